"""PythonSlicer as a launcher: it starts Python, waits, and says and does at its end what CTK's launcher does.

Seen in Slicer 5.12.3: a killed Python makes it print "error: [PATH] exit abnormally - Report the problem." and end
with code 1; killed itself, it leaves its Python behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """#!{python} -IS
import signal, subprocess, sys
child = subprocess.Popen([{python!r}, *sys.argv[1:]])
with open({started!r}, "a") as file:
    print(child.pid, file=file)
code = child.wait()
if code < 0:
    print("error: [{python}] exit abnormally - Report the problem.", file=sys.stderr)
sys.exit(1 if code < 0 else code)
"""


class Launcher:
    """A program that stands between the application and Python.

    Attributes:
        path: to be started in the place of Python.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "PythonSlicer"
        self._started = folder / "started"
        self.path.write_text(_PROGRAM.format(python=sys.executable, started=str(self._started)), encoding="utf-8")
        self.path.chmod(0o755)

    def pids(self) -> list[int]:
        """What it started so far."""
        text = self._started.read_text(encoding="utf-8") if self._started.is_file() else ""
        return [int(line) for line in text.splitlines()]
