"""The command line in a process of its own, under limits, stopped or killed when a trial says so.

The processes are forked from one that has torch and SimpleITK loaded already, so that a trial costs a fraction of a
second. How a process ends while it still loads them is tried in `starts.py`, with real starts.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LOADED = ("ClamSegLib.api", "ClamSegLib.cli", "ClamSegLib.commands.segment", "ClamSegLib.commands.train",
           "ClamSegLib.training.run", "ClamSegLib.segmentation.batch_of_cases", "ClamSegLib.evaluation.evaluate",
           "ClamSegLib.experiments.study", "scipy.ndimage", "scipy.stats", "SimpleITK", "matplotlib.figure",
           "matplotlib.backends.backend_agg", "torch._dynamo")  # fmt: skip
# Half of the time of an export goes into loading these; a sample without one does not need them.
_LOADED_TO_EXPORT = ("torch.onnx._internal.exporter._core", "torch.export", "onnxscript", "onnx")
_PATIENCE_S = 600.0
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(list(_LOADED))


def load_all() -> None:
    """Loads what every verb needs; to be called before the first process is started."""
    _processes.set_forkserver_preload([*_LOADED, *_LOADED_TO_EXPORT])


@dataclass(frozen=True)
class Harm:
    """What is done to a process.

    Attributes:
        limits: of `resource`, e.g. RLIMIT_FSIZE, in bytes or files, below what the process may have anyway.
        memory_mb: that it may take more than it has at its start.
        signal_after_s: seconds after which it is sent `signal`; None for never.
        die_at: the process kills itself before its n-th change on the disk (a rename, link, flush, removal or new folder).
        in_swap: count from the moment in which a folder is swapped for another.
        environment: variables set or, with '', taken away.
        stdout: where standard output goes instead of a file.
    """

    limits: Mapping[int, int] = field(default_factory=dict)
    memory_mb: int = 0
    signal_after_s: float | None = None
    signal: int = signal.SIGKILL
    die_at: int = 0
    in_swap: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    stdout: str = ""


NONE = Harm()


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (a signal's number, negative), what it wrote, and after how long."""

    code: int
    out: str
    err: str
    seconds: float

    def complaint(self, *codes: int) -> str:
        """'' where it ended with one of the codes and, other than with 0, in one line for a person."""
        if self.code not in codes:
            return f"ended with {self.code}: {self.err[-300:]}"
        if "Traceback" in self.err + self.out or "Internal error" in self.err:
            return f"ended with {self.code} and {self.err[-300:]}"
        errors = [line for line in self.err.splitlines() if line.startswith("error")]
        if self.code in (1, 2) and not errors:
            return f"ended with {self.code} without a line: {self.err[-300:]}"
        return ""


class Running:
    """A process of the command line that was started."""

    def __init__(self, words: Sequence[object], folder: Path, harm: Harm = NONE) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("out-*.txt")))
        self._out, self._err = folder / f"out-{number}.txt", folder / f"err-{number}.txt"
        self._out.touch()
        self._harm = harm
        self._started_s = time.monotonic()
        self._process: Any = _processes.Process(
            target=_run, args=([str(word) for word in words], harm.stdout or str(self._out), str(self._err), harm)
        )
        self._process.start()

    def wait(self, patience_s: float = _PATIENCE_S) -> Ended:
        """How it ended; a process that outlives the patience is killed and counts as ended by that."""
        if self._harm.signal_after_s is not None:
            self._process.join(max(0.0, self._started_s + self._harm.signal_after_s - time.monotonic()))
            if self._process.is_alive():
                os.kill(self._process.pid, self._harm.signal)
        self._process.join(patience_s)
        seconds = time.monotonic() - self._started_s
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            return Ended(-signal.SIGKILL, "", f"still ran after {seconds:.0f} s", seconds)
        texts = [path.read_text(errors="replace") if path.is_file() else "" for path in (self._out, self._err)]
        return Ended(int(self._process.exitcode), *texts, seconds)


def run(words: Sequence[object], folder: Path, harm: Harm = NONE) -> Ended:
    """Runs the command line to its end.

    Args:
        words: after `clamseg`.
        folder: takes what it prints, not its results.
    """
    return Running(words, folder, harm).wait()


def _run(words: list[str], out: str, err: str, harm: Harm) -> None:
    for descriptor, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["clamseg", *words]
    for name, value in harm.environment.items():
        os.environ.pop(name, None)
        if value:
            os.environ[name] = value
    _set_limits(harm)
    if harm.die_at:
        _die_at(harm.die_at, harm.in_swap)
    from ClamSegLib.cli import main

    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _set_limits(harm: Harm) -> None:
    for kind, value in harm.limits.items():
        resource.setrlimit(kind, (value, value))
    if harm.memory_mb:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + harm.memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _die_at(count: int, in_swap: bool) -> None:
    """Kills the process before its `count`-th change on the disk."""
    left = [count]
    counts = [not in_swap]

    def deadly(module: Any, name: str) -> None:
        before = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            counts[0] = counts[0] or ".clamseg-old-" in str(given[0])
            left[0] -= counts[0]
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return before(*given, **named)

        setattr(module, name, call)

    for name in ("rename", "replace", "link", "fsync", "mkdir", "unlink", "rmdir"):
        deadly(os, name)
