"""PythonSlicer is a launcher: it starts the real Python, waits for it, and takes over its exit code.

Where that Python was killed, the launcher itself ends in order, with code 1, and says so on its error stream
(CTK's ctkAppLauncher, applicationFinished). Its line is the only sign of the kill, and no help to a reader.
"""

from __future__ import annotations

import re

_KILLED = re.compile(r"error: \[.*\] exit abnormally - Report the problem\.?")


def without_launchers_line(text: str) -> tuple[str, bool]:
    """What a program printed without the launcher's own line, and whether that stood there: the program was killed."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not _KILLED.fullmatch(line.strip())]
    return "".join(kept), len(kept) < len(lines)
