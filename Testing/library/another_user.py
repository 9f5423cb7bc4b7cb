"""Rights of files, tested also where root runs the tests, who may read everything."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NOBODY = 65534


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    """Root is somebody else for a while, who may read what everybody may; others stay who they are."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextlib.contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """A folder that everybody may read; those of the tests are open to their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="clamseg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
