"""Lesions added by clicks in a browser: real mouse, real keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from page_reader import PageReader
from page_scans import write_brain
from page_server import PageServer

# The spot that the model misses, across and down the axial view.
MISSED = (0.61, 0.29)


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    return serve(write_brain(tmp_path_factory.mktemp("scan") / "brain.nii.gz"))


@pytest.fixture
def review(reader: PageReader) -> PageReader:
    """A reader before a result of a few slices with many spots; each test leaves it as it was, the last one but for a border."""
    reader.shows("brain")
    if not reader.value("has_lesions"):
        reader.start_segmenting(fast=False)
        reader.idle()
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    return reader


def yellow(picture: np.ndarray) -> int:
    """Pixels of a proposal."""
    red, green, blue = (picture[..., k] for k in range(3))
    return int(np.count_nonzero((red - blue > 40) & (green - blue > 30)))


def click_at(reader: PageReader, view: str, across: float, down: float) -> None:
    reader.tab.mouse.click(*reader.place(view, across, down))


def numbers(reader: PageReader) -> dict[int, str]:
    return {row["number"]: row["state"] for row in reader.value("lesion_rows")}


def test_a_click_proposes_a_lesion_keys_change_it_enter_keeps_it_and_undo_takes_it_back(review: PageReader) -> None:
    before = numbers(review)
    bare = yellow(review.still("Red"))
    review.click("click-button")
    review.holds("clicking", True)
    review.says("click-words", "Click on a lesion")
    assert review.tab.locator("#views.crossed").count() == 1
    click_at(review, "Red", *MISSED)
    review.says("click-words", "Proposed")
    review.picture_until("Red", lambda picture: yellow(picture) > bare + 20)
    usual = review.words("click-words")
    review.tab.keyboard.press("+")
    review.holds("click_width", 1)
    review.until("words => document.getElementById('click-words').innerText !== words", usual)
    review.tab.keyboard.press("Enter")
    review.until("n => window.trame.state.get('lesion_rows').length > n", len(before))
    (number,) = set(numbers(review)) - set(before)
    assert numbers(review)[number] == "added"
    review.holds("has_proposal", False)
    assert review.value("clicking"), "the next missed lesion is one click away"
    review.click("undo-button")
    review.until("n => window.trame.state.get('lesion_rows').length === n", len(before))
    review.tab.keyboard.press("Escape")
    review.holds("clicking", False)


def test_a_drag_is_no_click_escape_drops_the_proposal_and_a_click_on_air_is_refused(review: PageReader) -> None:
    before = numbers(review)
    review.tab.keyboard.press("l")
    review.holds("clicking", True)
    review.drag("Red", (0.42, 0.45), (0.5, 0.5))
    assert not review.value("has_proposal")
    click_at(review, "Red", 0.03, 0.3)
    review.is_told("outside")
    click_at(review, "Red", *MISSED)
    review.holds("has_proposal", True)
    review.tab.keyboard.down("Alt")
    click_at(review, "Red", *MISSED)
    review.tab.keyboard.up("Alt")
    review.says("click-words", "Nothing is left")
    assert review.tab.locator("#click-keep").is_disabled()
    assert review.tab.locator("#click-back").is_enabled()
    review.tab.keyboard.press("Escape")
    review.says("click-words", "Click on a lesion")
    review.tab.keyboard.press("Escape")
    review.holds("clicking", False)
    assert numbers(review) == before


def test_a_border_is_made_wider_from_the_menu_and_the_most_doubtful_lesion_is_a_key_away(review: PageReader) -> None:
    rows = review.value("lesion_rows")
    review.tab.keyboard.press("q")
    doubt = max(float(row["doubt"]) for row in rows)
    review.until(
        "d => { const s = window.trame.state; const r = s.get('lesion_rows').find(r => r.number === s.get('lesion_number'));"
        " return r && Number(r.doubt) >= d - 0.011; }",
        doubt,
    )
    chosen = review.value("lesion_number")
    review.click("border-button")
    review.click("border-wider")
    review.until(
        "n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'edited'", chosen,
    )  # fmt: skip
