"""How much memory the machine has, and how much of it this process has taken."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def cpu_memory_mb() -> tuple[int | None, int | None]:
    """Free and total memory of the machine; None where the system does not say.

    What Linux keeps of files counts as free: it gives that back to whoever asks.
    """
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES") * page // 2**20
        return _linux_available_mb() or free, os.sysconf("SC_PHYS_PAGES") * page // 2**20
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        return None, None


def _linux_available_mb() -> int | None:
    """MemAvailable; None on other systems."""
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), None)


def peak_memory_mb() -> float | None:
    """Largest memory of this process so far; None where the system does not say."""
    # On Linux the figure below begins with that of the process that started this one.
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1e3, 1)
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1e6 if sys.platform == "darwin" else 1e3), 1)
