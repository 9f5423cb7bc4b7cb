"""The temporary folder of a page, and those that earlier pages left behind.

Uploads and kept reviews lie in it, readable by the user only. It goes with the page, except where a review is in no file
yet; what a page left that was killed is looked through at the next start.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from ClamSegLib.system.process import is_alive, process_start
from ClamSegWorkflow.case.kept_review import STEPS_FILE

_PREFIX, _OWNER, REVIEWS = "clamseg-page-", "owner.json", "reviews"
_KEPT_DAYS = 7
_SECONDS_A_DAY = 86400


def make_page_folder() -> Path:
    """A new folder, marked with the process it belongs to."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    owner = {"pid": os.getpid(), "process_start": process_start(os.getpid()), "host": socket.gethostname()}
    (folder / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
    return folder


def left_behind() -> list[Path]:
    """Folders of pages that are gone, with a review in them; others, and those older than a week, are cleared here."""
    kept = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        if not _is_orphan(folder):
            continue
        reviews = kept_in(folder)
        if any(time.time() - (each / STEPS_FILE).stat().st_mtime < _KEPT_DAYS * _SECONDS_A_DAY for each in reviews):
            kept.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return kept


def kept_in(folder: Path) -> list[Path]:
    """Folders of the reviews in a page's folder, the latest first."""
    found = [path.parent for path in folder.glob(f"{REVIEWS}/*/{STEPS_FILE}")]
    return sorted(found, key=lambda path: (path / STEPS_FILE).stat().st_mtime, reverse=True)


def clear_where_empty(folder: Path) -> None:
    """Clears a folder that an earlier page left, once no review is in it any more."""
    if not kept_in(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _is_orphan(folder: Path) -> bool:
    """Whether the folder is ours to look at: of this user, and of a page of this machine that no longer runs."""
    try:
        if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
            return False
        owner = json.loads((folder / _OWNER).read_text(encoding="utf-8"))
        pid, began, host = int(owner["pid"]), owner["process_start"], owner["host"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(host == socket.gethostname() and not (is_alive(pid) and process_start(pid) == began))
