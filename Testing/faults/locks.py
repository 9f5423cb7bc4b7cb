"""Locks of trainings that are odd: left by the dead, damaged, of other machines, folders."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

from materials import attempt_once, hidden, train_words
from trial import Trial

_HERE = socket.gethostname()
# Name -> content of run.lock, and the exit code that is right.
_LOCKS: dict[str, tuple[str | bytes | None, int]] = {
    "of a process that is gone": (json.dumps({"pid": 2**22 - 1, "host": _HERE, "process_start": "1"}), 0),
    "of a number that another process has now": (json.dumps({"pid": 1, "host": _HERE, "process_start": "1"}), 0),
    "of a number of thirty digits": (json.dumps({"pid": 10**30, "host": _HERE}), 0),
    "without a host": (json.dumps({"pid": 1}), 0),
    "of process 0": (json.dumps({"pid": 0, "host": _HERE}), 0),
    "of process -1": (json.dumps({"pid": -1, "host": _HERE}), 0),
    "of an endless number": ('{"pid": 1e999, "host": "here"}', 0),
    "with text as number": (json.dumps({"pid": "many", "host": _HERE}), 0),
    "that is empty": ("", 0),
    "that is no JSON": ("{" * 5000, 0),
    "of bytes that are no text": (b"\xff\xfe\x00", 0),
    "that is a list": ("[1, 2]", 0),
    "of another machine": (json.dumps({"pid": 1, "host": "elsewhere", "process_start": ""}), 2),
    "that is a folder": (None, 2),
}


def trials(seed: int) -> list[Trial]:
    """Every odd lock once; the seed changes nothing."""
    found = [Trial("odd locks", f"a lock {name}", _attempt(*given)) for name, given in _LOCKS.items()]
    return [*found, Trial("odd locks", "a lock of a process that lives", _of_the_living)]


def _attempt(content: str | bytes | None, code: int) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        lock = folder / "out" / "run.lock"
        lock.parent.mkdir()
        if content is None:
            lock.mkdir()
        else:
            lock.write_bytes(content if isinstance(content, bytes) else content.encode())
        ended = attempt_once(train_words(folder / "out", "--steps", "2"), folder)
        if code == 0:
            return ended.complaint(0) or ("the lock stays" if hidden(folder) else "")
        if "run.lock" not in ended.err:
            return f"does not say which file stands in the way: {ended.err[-200:]}"
        return ended.complaint(code)

    return attempt


def _of_the_living(folder: Path) -> str:
    from ClamSegLib.system.process import process_start

    (folder / "out").mkdir()
    lock = {"pid": os.getpid(), "host": _HERE, "process_start": process_start(os.getpid())}
    (folder / "out" / "run.lock").write_text(json.dumps(lock))
    ended = attempt_once(train_words(folder / "out"), folder)
    return ended.complaint(2) or ("" if (folder / "out" / "run.lock").is_file() else "the lock of the other was taken")
