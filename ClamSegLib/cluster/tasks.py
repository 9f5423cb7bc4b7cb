"""Pieces of work as tasks of a cluster: what dies costs a retry, what cannot be done is told, nothing else is lost."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegLib.cluster.open_cluster import ClusterError, OpenCluster
from ClamSegLib.cluster.scheduler import TRIES, answering, deaths_alone, two_tries
from ClamSegLib.cluster.worker import unfit, versions
from ClamSegLib.model.model_folder import CONFIG, sha256_of
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.outcome import FAILED, Outcome
from ClamSegLib.system.progress import Reporter

_LOST_AT_MOST = 5
_LOOK_EVERY_S, _LOST_AFTER_S, _TELL_EVERY_S = 0.05, 30.0, 60.0
_ANSWER_S = 10.0
# Parts of Dask that speak with each other; what computes is compared by the workers.
_SAME = ("python", "dask", "distributed", "msgpack")
_NAMED_AT_MOST = 3


# Told of a piece: its place, what became of it, and the answer of its task; {} where there is none.
Ended = Callable[[int, Outcome, dict[str, Any]], None]


@dataclass(frozen=True)
class Piece:
    """A piece of work: its name in messages and tables, and what its task carries (JSON)."""

    name: str
    words: str


@dataclass(frozen=True)
class Work:
    """What is done with all pieces of a run.

    Attributes:
        do: takes the words of a piece and of the run and answers as `cluster.worker.answer`; a function of a module.
        models: folders of the models that it loads.
        gpu: whether a worker takes a GPU where its machine has any.
        told: further words of the run, for `do` and for `cluster.worker.unfit`.
        kept: what to say of finished pieces when the cluster is lost.
        pieces: what they are called.
    """

    do: Callable[[str, str], str]
    models: Sequence[Path] = ()
    gpu: bool = False
    told: Mapping[str, Any] | None = None
    kept: str = "finished cases stay, go on with --resume"
    pieces: str = "cases"


def spread(pieces: Sequence[Piece], work: Work, opened: OpenCluster, reporter: Reporter, ended: Ended) -> None:
    """Does all pieces.

    Args:
        pieces: of the run.
        work: what is done with each.
        opened: the cluster.
        reporter: progress and notes.
        ended: called with the place of each piece as it comes to its end, what became of it, and its task's answer.

    Raises:
        InputError: a worker has other versions, or does not see what it needs.
        ClusterError: the scheduler was lost.
    """
    models = {str(folder): sha256_of(folder / CONFIG) for folder in dict.fromkeys(work.models)}
    told = {"versions": versions(), "models": models, "gpu": work.gpu, "threads": opened.threads, "licences": []}
    run = json.dumps(told | dict(work.told or {}))
    with ExitStack() as stack:
        with answering(work.kept):
            _refuse_other_versions(opened.client)
            stack.enter_context(two_tries(opened.client))
            _refuse_unfit(opened.client, run)
        _Tasks(opened.client, pieces, work, run, ended, reporter).run()


class _Tasks:
    """The tasks of a run until the last one has ended."""

    def __init__(
        self, client: Any, pieces: Sequence[Piece], work: Work, run: str, ended: Ended, reporter: Reporter
    ) -> None:
        self._client, self._work, self._run, self._tell, self._reporter = client, work, run, ended, reporter
        # The dashboard shows the keys: they tell nothing of what the pieces are. A scheduler takes tasks of one key for one task,
        # whoever sends them: keys of two runs must never be the same.
        run_id = secrets.token_hex(8)
        self._pieces = {f"case-{number:06d}-{run_id}": piece for number, piece in enumerate(pieces, 1)}
        self._places = {key: place for place, key in enumerate(self._pieces)}
        self._tries = dict.fromkeys(self._pieces, 0)
        self._lost = dict.fromkeys(self._pieces, 0)
        # To be done again while no other of this run is: a worker died of one of several.
        self._suspects: deque[str] = deque()
        self._done = 0

    def run(self) -> None:
        from distributed import as_completed

        keys = list(self._pieces)
        words = [self._pieces[key].words for key in keys]
        with answering(self._work.kept):
            futures = self._client.map(
                self._work.do, words, [self._run] * len(keys), key=[f"{key}/1" for key in keys], pure=False
            )
        completed = as_completed(futures)
        del futures
        last_seen = last_told = time.monotonic()
        while self._suspects or not completed.is_empty():
            if completed.is_empty():
                key = self._suspects.popleft()
                completed.add(self._again(key, f"alone-{self._lost[key]}"))
            if not completed.has_ready():
                last_seen, last_told = self._look(last_seen, last_told)
                time.sleep(_LOOK_EVERY_S)
                continue
            for future in completed.next_batch():
                another = self._ended(future)
                if another is not future:
                    # A result that is kept would be computed anew when its worker dies.
                    future.release()
                if another is not None:
                    completed.add(another)

    def _look(self, last_seen: float, last_told: float) -> tuple[float, float]:
        """Whether anybody is there to work; says so when there is not."""
        now = time.monotonic()
        if self._client.status == "running":
            last_seen = now
        elif now - last_seen > _LOST_AFTER_S:
            raise ClusterError(f"The scheduler does not answer any more; {self._work.kept}.")
        if now - last_told > _TELL_EVERY_S:
            last_told = now
            with suppress(OSError, TimeoutError):
                if not self._client.scheduler_info(n_workers=-1)["workers"]:
                    self._reporter.note("no worker is there; waiting for one")
        return last_seen, last_told

    def _ended(self, future: Any) -> Any | None:
        """Tells of a piece that has come to its end; a task that is to be waited for where it has not."""
        from distributed.scheduler import KilledWorker

        key = future.key.partition("/")[0]
        name = self._pieces[key].name
        if future.status == "cancelled":
            raise ClusterError(f"The scheduler was lost; {self._work.kept}.")
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                self._died(key)
                return None
            words = f"The task of {name} failed ({type(error).__name__}); run again."
            self._end(key, Outcome(name, FAILED, words, self._tries[key] + 1), {})
            return None
        try:
            with answering(self._work.kept):
                told = self._answer(future)
        except KilledWorker:
            self._died(key)
            return None
        if told is None:
            return future
        if "unfit" in told:
            with answering(self._work.kept):
                self._dismiss(future, told["unfit"])
            return self._again(key, "unfit")
        self._tries[key] += 1
        if told["state"] == FAILED and self._tries[key] < TRIES:
            return self._again(key, "failed")
        self._end(key, Outcome(name, told["state"], told["words"], self._tries[key]), told)
        return None

    def _answer(self, future: Any) -> dict[str, Any] | None:
        """What a task answered; None where that went with its worker and is being computed anew."""
        try:
            return dict(json.loads(future.result(timeout=_ANSWER_S)))
        except TimeoutError:
            return None

    def _died(self, key: str) -> None:
        """Names a piece that ended its workers; one that was beside others when they died is tried again by itself."""
        name = self._pieces[key].name
        with answering(self._work.kept):
            deaths = deaths_alone(self._client, f"{key}/")
        self._lost[key] += 1
        if deaths >= TRIES:
            words = (
                f"{name} ended its worker {deaths} times (killed, out of memory, or its machine went away); look at the scan, or give "
                "workers more memory."
            )
            self._end(key, Outcome(name, FAILED, words, self._tries[key] + deaths), {})
        elif self._lost[key] <= _LOST_AT_MOST:
            self._suspects.append(key)
        else:
            words = f"The workers of {name} died {self._lost[key]} times beside other tasks; run again."
            self._end(key, Outcome(name, FAILED, words, self._tries[key] + 1), {})

    def _end(self, key: str, outcome: Outcome, told: dict[str, Any]) -> None:
        self._done += 1
        self._tell(self._places[key], outcome, told)
        self._reporter.progress(self._done, len(self._pieces), self._work.pieces)

    def _again(self, key: str, why: str) -> Any:
        new = f"{key}/{self._tries[key] + 1}-{why}-{secrets.token_hex(4)}"
        with answering(self._work.kept):
            return self._client.submit(self._work.do, self._pieces[key].words, self._run, key=new, pure=False)

    def _dismiss(self, future: Any, problem: str) -> None:
        """Sends a worker away that came later and cannot do its work; without any other the run ends."""
        holders = [address for found in self._client.who_has([future]).values() for address in found]
        self._reporter.warning(f"A worker was sent away: {problem}.")
        if holders:
            self._client.retire_workers(holders)
        if not set(self._client.scheduler_info(n_workers=-1)["workers"]) - set(holders):
            raise InputError(f"No worker can do {self._work.pieces}: {problem}.")


def _refuse_other_versions(client: Any) -> None:
    """Refuses a cluster whose parts have other versions than this process; says which.

    Raises:
        InputError: they have.
    """
    told = client.get_versions(packages=["ClamSegLib"])
    here = told["client"]["packages"]
    parts = {
        "the scheduler": told["scheduler"],
        **{f"the worker {address}": w for address, w in told["workers"].items()},
    }
    others = []
    for part, found in parts.items():
        packages = (found or {}).get("packages", {})
        for name in (*_SAME, "ClamSegLib"):
            if _short(name, packages.get(name)) != _short(name, here.get(name)):
                shown = "clamseg" if name == "ClamSegLib" else name
                others.append(f"{part} has {shown} {packages.get(name) or 'not at all'}, here is {here.get(name)}")
    if others:
        more = f" and {len(others) - _NAMED_AT_MOST} more" if len(others) > _NAMED_AT_MOST else ""
        raise InputError(
            f"Versions do not fit: {'; '.join(others[:_NAMED_AT_MOST])}{more}. Install the same everywhere."
        )


def _short(name: str, version: str | None) -> str:
    """Of Python the first two numbers count."""
    text = str(version)
    return ".".join(text.split(".")[:2]) if name == "python" else text


def _refuse_unfit(client: Any, run: str) -> None:
    found = client.run(unfit, run, on_error="return")
    problems = {address: problem for address, problem in found.items() if problem}
    for address, problem in problems.items():
        words = problem if isinstance(problem, str) else f"it cannot do its part ({type(problem).__name__})"
        raise InputError(f"The worker {address} cannot do its part: {words}.")
