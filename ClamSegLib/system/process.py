"""Whether a process still runs and is still the same one; whether a training runs in a folder."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

TRAINING_LOCK = "run.lock"


def process_start(pid: int) -> str:
    """Start time of a process as the system counts it, '' where it is unknown; tells a reused pid apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
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

    A lock left behind by a killed process of this machine counts as none.
    """
    try:
        lock = json.loads((Path(folder) / TRAINING_LOCK).read_text(encoding="utf-8"))
        pid = int(lock["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if lock.get("host") != socket.gethostname():
        return dict(lock)
    same_process = is_alive(pid) and lock.get("process_start", "") == process_start(pid)
    return dict(lock) if same_process else None


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
