"""The folder for scans that are brought from elsewhere: of this user only, and gone with the process, also after a kill."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ClamSegLib.system.process import is_alive

_PREFIX = "clamseg-archive-"


@contextmanager
def private_room() -> Iterator[Path]:
    """Yields a new folder of this process; what killed processes of this user left is taken away first."""
    take_away_left()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as room:
        yield Path(room)


def take_away_left() -> None:
    """Takes away the rooms of processes that are gone."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
