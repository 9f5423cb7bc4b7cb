"""Whether a process still runs and is still the same one; whether a training runs in a folder."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from ClamSegLib.system.disk import output_error
from ClamSegLib.system.errors import InputError

TRAINING_LOCK = "run.lock"
_ATTEMPTS = 5


def process_start(pid: int) -> str:
    """Start time of a process as the system counts it, '' where it is unknown; tells a reused pid apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine; 0 and below name groups, and none has so large a number."""
    if not 0 < pid < 2**31:
        return False
    if os.name == "nt":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # type: ignore[attr-defined, unused-ignore]
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)  # type: ignore[attr-defined, unused-ignore]
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def running_training(folder: Path) -> dict[str, Any] | None:
    """The lock of the training that runs in `folder` on this machine or another, None when none does.

    A lock left behind by a killed process of this machine counts as none, and so does one that says no process or host.
    """
    return _living(Path(folder) / TRAINING_LOCK)


def _living(path: Path) -> dict[str, Any] | None:
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        pid, host = int(lock["pid"]), lock["host"]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if not isinstance(host, str) or not host or not 0 < pid < 2**31:
        return None
    if host != socket.gethostname():
        return dict(lock)
    same_process = is_alive(pid) and lock.get("process_start", "") == process_start(pid)
    return dict(lock) if same_process else None


def take_training_lock(folder: Path) -> None:
    """Makes this process the one that trains in `folder`; of two that ask at once, one gets it.

    Raises:
        InputError: another training runs there, or something else is called as the lock.
        OutputError: not writable, disk full.
    """
    path = folder / TRAINING_LOCK
    if path.is_dir():
        raise InputError(
            f"{path} is a folder where the lock of a training is kept; remove it, or choose another output."
        )
    own = folder / f".{TRAINING_LOCK}-{uuid.uuid4().hex[:8]}"
    pid = os.getpid()
    lock = {"pid": pid, "started": time.time(), "host": socket.gethostname(), "process_start": process_start(pid)}
    try:
        own.write_text(json.dumps(lock), encoding="utf-8")
        for _ in range(_ATTEMPTS):
            _refuse_running(folder)
            if _taken(own, path):
                _take_away_left(own)
                return
            _take_away_stale(path)
        raise InputError(f"Other trainings start in {folder} at this moment; choose another output.")
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            own.unlink()


def _refuse_running(folder: Path) -> None:
    other = running_training(folder)
    if other is None:
        return
    elsewhere = other["host"] != socket.gethostname()
    over = f"; if none runs there any more, remove {TRAINING_LOCK}" if elsewhere else ""
    raise InputError(
        f"A training already runs in {folder} (process {other['pid']} on {other['host']}); "
        f"stop it by creating a file named 'stop' there, or choose another output{over}."
    )


def _taken(own: Path, path: Path) -> bool:
    """Whether the file is now also the lock; False where a lock is there."""
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    except OSError:  # a disk without links
        with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
            file.write(own.read_text(encoding="utf-8"))
            return True
        return False
    return True


def _take_away_left(own: Path) -> None:
    """Takes away what processes left that were killed while they asked; an unfinished file may be that of a living one."""
    for other in own.parent.glob(f".{TRAINING_LOCK}-????????"):
        with suppress(OSError):
            if other != own and other.stat().st_size and _living(other) is None:
                other.unlink()


def _take_away_stale(path: Path) -> None:
    """Takes a lock away that no living process holds; of two processes that see it, the second finds it gone."""
    aside = path.with_name(f".{TRAINING_LOCK}-{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if _living(aside) is not None:  # taken anew by another process meanwhile
            aside.rename(path)
        else:
            aside.unlink()


def end_with(parent_pid: int) -> None:
    """Ends this process within a second or two when the process `parent_pid` is gone.

    On POSIX this process becomes the leader of a group of its own, so that its parent can end it with all its
    children at once.
    """
    if hasattr(os, "setsid") and os.getpgrp() != os.getpid():
        os.setsid()
    began = process_start(parent_pid)

    def watch() -> None:
        while is_alive(parent_pid) and process_start(parent_pid) == began:
            time.sleep(1.0)
        sys.stderr.flush()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
