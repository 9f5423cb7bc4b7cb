"""A case on a worker of a cluster: words in, words out; the model stays loaded from one case to the next.

What a task carries is JSON: paths, UIDs, options and numbers. What it answers is JSON too, also when it fails, so that no
exception with a path in it reaches a log.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.metadata
import json
import os
import platform
import tempfile
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.archive.case import Case
from ClamSegLib.archive.case_job import CaseJob, standing_of
from ClamSegLib.archive.case_json import case_of
from ClamSegLib.archive.case_record import FINISHED, report_in
from ClamSegLib.archive.private_room import private_room
from ClamSegLib.archive.settings import DONE, FAILED, Outcome, RunSettings, outcome_of
from ClamSegLib.model.licence import VARIABLE
from ClamSegLib.model.model_folder import CONFIG, sha256_of
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError

PACKAGES = ("numpy", "scipy", "torch", "SimpleITK", "pydicom", "safetensors")
_TEXT_BYTES = 300


@dataclass
class _Kept:
    """What a worker keeps from case to case."""

    models: dict[str, Any] = field(default_factory=dict)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    room: Path | None = None
    device: str = ""


_kept = _Kept()
# A process has one model and one device: cases that reach it at once wait for each other.
_one_at_a_time = threading.Lock()


@cache
def versions() -> dict[str, str]:
    """What has to be the same on every worker, so that a case has the same result wherever it runs; not to be changed."""
    found = {"Python": platform.python_version(), "clamseg": __version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def unfit(run_json: str) -> str:
    """Why this worker cannot do cases of a run; '' where it can.

    Args:
        run_json: of the run: `versions`, `token` (a file in the output and what it holds), `models` (folder to hash of its
            configuration), `gpu` (whether a worker takes a GPU where its machine has any).
    """
    run = json.loads(run_json)
    here = versions()
    other = [
        f"{name} {here[name]} in place of {wanted}" for name, wanted in run["versions"].items() if here[name] != wanted
    ]
    if other:
        return f"it has {', '.join(other)}"
    path, content = run["token"]
    try:
        shared = Path(path).read_text(encoding="ascii") == content
        with tempfile.TemporaryFile(dir=Path(path).parent, prefix=".clamseg-part-"):
            pass
    except OSError as error:
        return f"the output is not shared with it, or it may not write there ({error.strerror})"
    if not shared:
        return "the output is not shared with it"
    for folder, digest in run["models"].items():
        try:
            if sha256_of(Path(folder) / CONFIG) != digest:
                return f"the model in {folder} is another one there"
        except ClamSegError:
            return f"it does not see the model in {folder}"
    return _no_device(run["gpu"])


def do_case(case_json: str, run_json: str) -> str:
    """Does a case, unless it is finished.

    Args:
        case_json: of `Case.to_json`, with `again`.
        run_json: as for `unfit`, with `settings`, `licences` and `threads`.

    Returns:
        JSON: `state`, `words`; or `unfit`, where another worker has to do it.
    """
    with _one_at_a_time:
        told, run = json.loads(case_json), json.loads(run_json)
        problem = unfit(run_json)
        if problem:
            return json.dumps({"unfit": problem})
        case = case_of(told)
        try:
            outcome = _outcome(case, told["again"], run)
        except ClamSegError as error:
            outcome = outcome_of(case.name, error)
        except Exception as error:  # nothing may leave a task but words: a traceback names paths
            words = (
                words_of_the_machine(error)
                or f"Internal error ({type(error).__name__}{_words(case, error)}); please report it."
            )
            outcome = Outcome(case.name, FAILED, words)
        return json.dumps({"state": outcome.state, "words": outcome.words})


def _words(case: Case, error: Exception) -> str:
    return "" if case.source.is_private else f": {' '.join(str(error).split())[:_TEXT_BYTES]}"


def _outcome(case: Case, again: bool, run: dict[str, Any]) -> Outcome:
    from ClamSegLib.archive.local_run import pipeline_options
    from ClamSegLib.segmentation.batch_of_cases import CasePipeline, CaseWork
    from ClamSegLib.segmentation.segment_volume import CaseResult
    from ClamSegLib.system.progress import Reporter

    settings = RunSettings.of_json(run["settings"])
    if _kept.device:
        settings = replace(settings, segment=replace(settings.segment, device=_kept.device))
    _take_threads(run["threads"])
    model = _model(case.model, run["licences"])
    if _kept.room is None:
        _kept.room = _kept.stack.enter_context(private_room())
    # A worker that was killed, or lost its scheduler, may have finished the case on its way.
    job = CaseJob(case, settings, again, _kept.room)
    outcomes: list[Outcome] = []

    def finished(_work: CaseWork, result: CaseResult) -> None:
        try:
            job.deliver()
            outcomes.append(Outcome(case.name, DONE, result.summary()))
        except ClamSegError as error:
            outcomes.append(outcome_of(case.name, error))

    def failed(_work: CaseWork, error: ClamSegError) -> None:
        outcomes.append(_finished_meanwhile(case, settings, run) or outcome_of(case.name, error))

    try:
        CasePipeline(model, pipeline_options(settings), finished, failed, Reporter()).run([job.work])
    finally:
        job.tidy()
    return outcomes[0]


def _finished_meanwhile(case: Case, settings: RunSettings, run: dict[str, Any]) -> Outcome | None:
    """A case that another worker of a run, thought dead, brought to its end; None where it is none."""
    with contextlib.suppress(ClamSegError, OSError):
        # Both by the clock of the shared disk.
        began = Path(run["token"][0]).stat().st_mtime
        if (
            case.folder.exists()
            and case.folder.stat().st_mtime >= began
            and standing_of(case, settings).state == FINISHED
        ):
            return Outcome(case.name, DONE, str(report_in(case.folder)["summary"]))
    return None


def _model(folder: Path, licences: list[str]) -> Any:
    """The model, loaded once; what the user confirmed counts on the worker as well."""
    from ClamSegLib.model.checkpoint import load_model

    if str(folder) not in _kept.models:
        known = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*known, *licences]))
        _kept.models[str(folder)] = load_model(folder)
    return _kept.models[str(folder)]


def _take_threads(count: int) -> None:
    """Threads of torch and ITK: a worker's own settings do not reach its tasks, so each task sets them."""
    import SimpleITK
    import torch

    torch.set_num_threads(count)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(count)


def _no_device(gpu: bool) -> str:
    """Takes a GPU that no other worker of this machine has, and keeps it; says why there is none."""
    if not gpu or _kept.device:
        return ""
    import torch
    from filelock import FileLock, Timeout

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        number = visible[index] if index < len(visible) and visible[index] else str(index)
        with contextlib.suppress(Timeout):
            lock = FileLock(Path(tempfile.gettempdir()) / f"clamseg-gpu-{number}-{getpass.getuser()}.lock", timeout=0)
            _kept.stack.enter_context(lock)
            _kept.device = f"cuda:{index}"
            return ""
    return "other workers have taken all GPUs of its machine; start one worker for each" if count else ""
