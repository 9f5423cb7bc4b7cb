"""Ends a process together with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def kill_tree(pid: int, *, leads_group: bool) -> None:
    """Kills at once; a process that is already gone is no error.

    What the process started goes too: PythonSlicer is a launcher, whose Python outlives it otherwise.

    Args:
        pid: of the process.
        leads_group: POSIX: it leads a process group of its own, which is killed as a whole.
    """
    if pid <= 0:
        return
    if os.name == "nt":
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        subprocess.run(
            ["taskkill", "/PID", str(pid), "/T", "/F"], capture_output=True, check=False, creationflags=hidden
        )
        return
    started = _descendants(pid)  # asked before the kill: orphans belong to nobody
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leads_group and os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    for each in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """POSIX: what `pid` started, what that started, and so on."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        started = children.get(waiting.pop(), [])
        found += started
        waiting += started
    return found


def _parents() -> list[tuple[int, int]]:
    """Every process of the system with its parent: from /proc where there is one, else from ps."""
    pairs = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # After the name in brackets, which may hold anything: state, parent, ...
            parent = int(status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            pairs.append((int(status.parent.name), parent))
    if pairs:
        return pairs
    with contextlib.suppress(OSError):
        told = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
        pairs = [(int(words[0]), int(words[1])) for words in map(str.split, told.splitlines()) if len(words) == 2]
    return pairs
