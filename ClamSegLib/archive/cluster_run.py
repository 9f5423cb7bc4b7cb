"""The cases of a run as tasks of a cluster: what dies costs a retry, what cannot be done costs a row, nothing else."""

from __future__ import annotations

import glob
import json
import math
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ClamSegLib.archive.case import Case
from ClamSegLib.archive.cluster import ClusterError, OpenCluster
from ClamSegLib.archive.cluster_task import do_case, unfit, versions
from ClamSegLib.archive.settings import FAILED, Outcome, RunSettings
from ClamSegLib.model.model_folder import CONFIG, sha256_of
from ClamSegLib.system.disk import flush, output_error
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.process import is_alive
from ClamSegLib.system.progress import Reporter

_TRIES = 2
_LOOK_EVERY_S, _LOST_AFTER_S, _TELL_EVERY_S = 0.05, 30.0, 60.0
# Parts of Dask that speak with each other; what computes is compared by the workers.
_SAME = ("python", "dask", "distributed", "msgpack")
_NAMED_AT_MOST = 3
_TOKEN = ".clamseg-shared-"


def run_on_cluster(
    cases: Sequence[Case],
    again: set[str],
    settings: RunSettings,
    output: Path,
    licences: Sequence[str],
    gpu: bool,
    opened: OpenCluster,
    told: Callable[[Case, Outcome], None],
    reporter: Reporter,
) -> None:
    """Does all cases.

    Args:
        cases: to do.
        again: names of those whose result is replaced.
        settings: of the run.
        output: folder that all workers have to see.
        licences: that the user has confirmed.
        gpu: whether a worker takes a GPU where its machine has any.
        opened: the cluster.
        told: called with each case when it has come to its end.
        reporter: progress and notes.

    Raises:
        InputError: a worker has other versions, does not see the output or a model.
        ClusterError: the scheduler was lost.
    """
    _refuse_other_versions(opened.client)
    with _shared_token(output) as token, _two_tries(opened.client):
        models = {str(folder): sha256_of(folder / CONFIG) for folder in dict.fromkeys(case.model for case in cases)}
        run = {
            "versions": versions(), "token": token, "models": models, "gpu": gpu, "settings": _with_absolute_organ(settings).to_json(),
            "licences": list(licences), "threads": opened.threads,
        }  # fmt: skip
        words = json.dumps(run)
        _refuse_unfit(opened.client, words)
        tasks = {
            f"case-{number:06d}": (case, json.dumps(case.to_json() | {"again": case.name in again}))
            for number, case in enumerate(cases, 1)
        }
        _Tasks(opened.client, tasks, words, told, reporter).run()


def _with_absolute_organ(settings: RunSettings) -> RunSettings:
    """Workers begin paths elsewhere."""
    mask = Path(settings.segment.organ)
    return (
        replace(settings, segment=replace(settings.segment, organ=str(mask.absolute()))) if mask.is_file() else settings
    )


class _Tasks:
    """The tasks of a run until the last one has ended."""

    def __init__(
        self,
        client: Any,
        tasks: Mapping[str, tuple[Case, str]],
        run: str,
        told: Callable[[Case, Outcome], None],
        reporter: Reporter,
    ) -> None:
        self._client, self._tasks, self._run, self._told, self._reporter = client, tasks, run, told, reporter
        self._tries = dict.fromkeys(tasks, 0)
        self._done = 0

    def run(self) -> None:
        from distributed import as_completed

        keys = list(self._tasks)
        words = [self._tasks[key][1] for key in keys]
        futures = self._client.map(
            do_case, words, [self._run] * len(keys), key=[f"{key}/1" for key in keys], pure=False
        )
        completed = as_completed(futures)
        del futures
        last_seen = last_told = time.monotonic()
        while not completed.is_empty():
            if not completed.has_ready():
                last_seen, last_told = self._look(last_seen, last_told)
                time.sleep(_LOOK_EVERY_S)
                continue
            for future in completed.next_batch():
                another = self._ended(future)
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
            raise ClusterError("The scheduler does not answer any more; finished cases stay, go on with --resume.")
        if now - last_told > _TELL_EVERY_S:
            last_told = now
            with suppress(OSError, TimeoutError):
                if not self._client.scheduler_info(n_workers=-1)["workers"]:
                    self._reporter.note("no worker is there; waiting for one")
        return last_seen, last_told

    def _ended(self, future: Any) -> Any | None:
        """Tells of a case that has come to its end; a new task where it is to be tried again."""
        from distributed.scheduler import KilledWorker

        key = future.key.partition("/")[0]
        case, _ = self._tasks[key]
        self._tries[key] += 1
        if future.status == "cancelled":
            raise ClusterError("The scheduler was lost; finished cases stay, go on with --resume.")
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                words = (
                    f"{case.name} ended its worker {_TRIES} times (killed, out of memory, or its machine went away); look at the scan, or give "
                    "workers more memory."
                )
            else:
                words = f"The task of {case.name} failed ({type(error).__name__}); run again with --resume."
            self._end(case, Outcome(case.name, FAILED, words, _TRIES))
            return None
        told = json.loads(future.result())
        if "unfit" in told:
            self._dismiss(future, told["unfit"])
            self._tries[key] -= 1
            return self._again(key, "unfit")
        if told["state"] == FAILED and self._tries[key] < _TRIES:
            return self._again(key, "failed")
        self._end(case, Outcome(case.name, told["state"], told["words"], self._tries[key]))
        return None

    def _end(self, case: Case, outcome: Outcome) -> None:
        self._done += 1
        self._told(case, outcome)
        self._reporter.progress(self._done, len(self._tasks), "cases")

    def _again(self, key: str, why: str) -> Any:
        new = f"{key}/{self._tries[key] + 1}-{why}-{secrets.token_hex(4)}"
        return self._client.submit(do_case, self._tasks[key][1], self._run, key=new, pure=False)

    def _dismiss(self, future: Any, problem: str) -> None:
        """Sends a worker away that came later and cannot do cases; without any other the run ends."""
        holders = [address for found in self._client.who_has([future]).values() for address in found]
        self._reporter.warning(f"A worker was sent away: {problem}.")
        if holders:
            self._client.retire_workers(holders)
        if not set(self._client.scheduler_info(n_workers=-1)["workers"]) - set(holders):
            raise InputError(f"No worker can do cases: {problem}.")


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
        words = problem if isinstance(problem, str) else f"it cannot do cases ({type(problem).__name__})"
        raise InputError(f"The worker {address} cannot do cases: {words}.")


@contextmanager
def _shared_token(output: Path) -> Iterator[tuple[str, str]]:
    """A file in the output by which a worker sees that it is the same folder."""
    content, mine = secrets.token_hex(16), f"{_TOKEN}{platform.node()}-"
    path = output.absolute() / f"{mine}{os.getpid()}-{content[:8]}"
    try:
        output.mkdir(parents=True, exist_ok=True)
        for left in output.glob(f"{glob.escape(mine)}*"):  # of clients that were killed
            pid = left.name.removeprefix(mine).partition("-")[0]
            if pid.isdigit() and not is_alive(int(pid)):
                left.unlink(missing_ok=True)
        path.write_text(content, encoding="ascii")
        flush(path)
    except OSError as error:
        raise output_error(output, error) from error
    try:
        yield str(path), content
    finally:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _two_tries(client: Any) -> Iterator[None]:
    """While the block runs, the scheduler gives a case up after the second worker that died of it, and keeps cases from waiting at workers."""
    before = client.run_on_scheduler(_settle, _TRIES - 1, 1.0)
    try:
        yield
    finally:
        with suppress(Exception):  # it may be gone
            client.run_on_scheduler(_settle, *before)


def _settle(failures: int, saturation: float, dask_scheduler: Any = None) -> tuple[int, float]:
    """Runs on the scheduler; the values before."""
    before = dask_scheduler.allowed_failures, dask_scheduler.WORKER_SATURATION
    dask_scheduler.allowed_failures = failures
    if math.isfinite(before[1]):  # between an end and none it cannot change while tasks are there
        dask_scheduler.WORKER_SATURATION = saturation
    return before
