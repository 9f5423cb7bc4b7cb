"""A review outlives its page: killed or ended, the next start offers it, and it goes on as it was."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from page_axe import violations
from page_reader import PageReader
from page_scans import write_brain
from page_server import PageServer


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_lost_page_gives_its_review_back(browser: Any, tmp_path: Path, how: int) -> None:
    scan = write_brain(tmp_path / "brain.nii.gz")
    first = PageServer(tmp_path, "--empty")
    with PageReader(browser, first.address) as reader:
        reader.unfold("Own files")
        reader.tab.locator("#upload-files").set_input_files(scan)
        reader.shows("brain")
        reader.start_segmenting()
        reader.idle()
        reader.click("decide-accepted")
        reader.says("undo-button", "accepted")
        reader.tab.keyboard.press("1")
        reader.holds("slice_mark", "normal")
        rows, chosen = reader.value("lesion_rows"), reader.words("slice-words")
        reader.says("not-exported", "Not exported yet")
        while not list(first.temporary.glob("clamseg-page-*/reviews/1/review.npz")):
            reader.breathe()
        reader.tab.wait_for_timeout(1000)  # the label of the slice is written after the decision
    first.stop(how)
    scan.unlink()  # what was uploaded is a copy, and comes along
    second = PageServer(tmp_path / "second", "--empty", TMPDIR=str(first.temporary))
    try:
        with PageReader(browser, second.address) as reader:
            offered = reader.tab.locator(".kept-review")
            assert "brain: one lesion decided, one slice labelled" in offered.inner_text()
            assert violations(reader.tab) == []
            offered.locator(".kept-bring").click()
            reader.until("() => window.trame.state.get('has_lesions')")
            assert reader.value("lesion_rows") == rows
            assert reader.value("marked_slices") == 1
            assert chosen.endswith(reader.words("slice-words").rpartition(" ")[2])
            offered.wait_for(state="detached")
            reader.tab.locator("#scans button").first.click()
            reader.says("question", "Close the review?")
            reader.click("question-yes")
            reader.holds("scans", [])
    finally:
        second.stop()
    assert list(first.temporary.iterdir()) == [], "neither page leaves anything once the review is closed"
