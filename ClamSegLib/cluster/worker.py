"""A worker of a cluster: whether it can do the pieces of a run, its models and its device, and words in, words out.

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
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.model.licence import VARIABLE
from ClamSegLib.model.model_folder import CONFIG, sha256_of
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.outcome import FAILED, outcome_of

PACKAGES = ("numpy", "scipy", "torch", "SimpleITK", "pydicom", "safetensors")
_TEXT_BYTES = 300


@dataclass
class _Kept:
    """What a worker keeps from task to task; `stack` closes it with the process."""

    models: dict[str, Any] = field(default_factory=dict)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    device: str = ""


_kept = _Kept()
# A process has one model and one device: tasks that reach it at once wait for each other.
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
    """Why this worker cannot do the pieces of a run; '' where it can.

    Args:
        run_json: of the run: `versions`, `models` (folder to hash of its configuration), `gpu` (whether a worker takes a
            GPU where its machine has any), and, where it has them, `token` (a file in the output and what it holds) and
            `inputs` (file to hash: what shows that it sees the same data).
    """
    return _unfit(json.loads(run_json))


def _unfit(run: dict[str, Any]) -> str:
    here = versions()
    other = [
        f"{name} {here[name]} in place of {wanted}" for name, wanted in run["versions"].items() if here[name] != wanted
    ]
    if other:
        return f"it has {', '.join(other)}"
    problem = _no_output(*run["token"]) if "token" in run else ""
    if problem:
        return problem
    files = [(Path(path), digest, path) for path, digest in run.get("inputs", {}).items()]
    files += [(Path(path) / CONFIG, digest, f"the model in {path}") for path, digest in run["models"].items()]
    for path, digest, words in files:
        try:
            if _hash_of(path) != digest:
                return f"{words} is another one there"
        except ClamSegError:
            return f"it does not see {words}"
    return _no_device(run["gpu"])


def _hash_of(path: Path) -> str:
    """Taken again only where the file has changed: every task asks."""
    try:
        told = path.stat()
    except OSError:
        return sha256_of(path)  # says why it cannot be read
    return _hash(path, told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash(path: Path, _size: int, _changed_ns: int) -> str:
    return sha256_of(path)


def _no_output(path: str, content: str) -> str:
    try:
        shared = Path(path).read_text(encoding="ascii") == content
        with tempfile.TemporaryFile(dir=Path(path).parent, prefix=".clamseg-part-"):
            pass
    except OSError as error:
        return f"the output is not shared with it, or it may not write there ({error.strerror})"
    return "" if shared else "the output is not shared with it"


def answer(run_json: str, name: str, work: Callable[[dict[str, Any]], dict[str, Any]], tell: bool = True) -> str:
    """Does a piece of work and says in JSON what became of it; called by tasks, one at a time.

    Args:
        run_json: as for `unfit`, with `licences` and `threads`.
        name: of the piece.
        work: does it; gives `state`, `words` and what else there is to tell.
        tell: whether words of unexpected errors may leave the task: they name paths.

    Returns:
        JSON of what `work` gave, or of `state` and `words`; or `unfit`, where another worker has to do it.
    """
    with _one_at_a_time:
        run = json.loads(run_json)
        problem = _unfit(run)
        if problem:
            return json.dumps({"unfit": problem})
        try:
            _take_threads(run["threads"])
            return json.dumps(work(run))
        except ClamSegError as error:
            outcome = outcome_of(name, error)
            told = {"state": outcome.state, "words": outcome.words}
        except Exception as error:  # nothing may leave a task but words
            why = f": {' '.join(str(error).split())[:_TEXT_BYTES]}" if tell else ""
            internal = f"Internal error ({type(error).__name__}{why}); please report it."
            told = {"state": FAILED, "words": words_of_the_machine(error) or internal}
        return json.dumps(told)


def kept_model(folder: Path, licences: list[str]) -> Any:
    """The model, loaded once; what the user confirmed counts on the worker as well."""
    from ClamSegLib.model.checkpoint import load_model

    if str(folder) not in _kept.models:
        known = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*known, *licences]))
        _kept.models[str(folder)] = load_model(folder)
    return _kept.models[str(folder)]


def kept_device(asked: str) -> str:
    """The GPU that this worker has taken; where it has none, what the run asks for."""
    return _kept.device or asked


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
