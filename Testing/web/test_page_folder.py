"""What pages leave in the temporary folder: cleared at the next start, but never a review of this week or of a living page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ClamSegWeb  # noqa: F401 - puts the rooms that the page shares on the path
from ClamSegWeb.page_folder import clear_where_empty, kept_in, left_behind, make_page_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def of_a_dead_page(folder: Path) -> Path:
    """A folder as a killed page leaves it."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owner = json.loads((folder / "owner.json").read_text())
    (folder / "owner.json").write_text(json.dumps({**owner, "pid": gone.pid, "process_start": "1"}))
    return folder


def with_review(folder: Path, days: float = 0.0) -> Path:
    review = folder / "reviews" / "1"
    review.mkdir(parents=True)
    file = review / "review.npz"
    file.write_bytes(b"decisions")
    then = time.time() - days * 86400
    os.utime(file, (then, then))
    return folder


def test_a_folder_is_readable_by_its_user_only(temporary: Path) -> None:
    folder = make_page_folder()
    assert folder.parent == temporary
    if os.name != "nt":
        assert folder.stat().st_mode & 0o077 == 0


def test_only_dead_pages_are_looked_through_and_only_their_reviews_are_kept(temporary: Path) -> None:
    alive = with_review(make_page_folder())
    empty = of_a_dead_page(make_page_folder())
    (empty / "clamseg-uploads-x").mkdir()
    reviewed = of_a_dead_page(with_review(make_page_folder()))
    old = of_a_dead_page(with_review(make_page_folder(), days=8))
    strange = temporary / "clamseg-page-of-somebody-else"
    strange.mkdir()
    assert left_behind() == [reviewed]
    assert alive.exists()
    assert strange.exists(), "a folder that names no owner is not ours to clear"
    assert not empty.exists()
    assert not old.exists()
    assert kept_in(reviewed) == [reviewed / "reviews" / "1"]


def test_a_folder_goes_once_its_last_review_was_taken_or_given_up(temporary: Path) -> None:
    folder = with_review(make_page_folder())
    clear_where_empty(folder)
    assert folder.exists()
    (folder / "reviews" / "1" / "review.npz").unlink()
    clear_where_empty(folder)
    assert not folder.exists()
