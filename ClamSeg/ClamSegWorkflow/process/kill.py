"""Ends a process together with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


def kill_tree(pid: int, *, leads_group: bool) -> None:
    """Kills at once; a process that is already gone is no error.

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
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leads_group and os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
