"""Views and keys as a radiologist uses them: one mouse, one keyboard, and the review always in sight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from page_reader import PageReader
from page_scans import write_brain
from page_server import PageServer


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    return serve(write_brain(tmp_path_factory.mktemp("scan") / "brain.nii.gz"))


def test_a_view_is_enlarged_by_a_double_click_tells_slice_and_value_and_measures(reader: PageReader) -> None:
    reader.shows("brain")
    reader.until("() => window.trame.state.get('slice_of').Red.endsWith('/ 8')")
    reader.tab.mouse.move(*reader.place("Red", 0.5, 0.5))
    reader.tab.mouse.move(*reader.place("Red", 0.52, 0.5))
    reader.says("cursor-words", "value ")
    reader.tab.mouse.dblclick(*reader.place("Red", 0.5, 0.5))
    reader.holds("enlarged", "Red")
    reader.has_pictures()
    assert reader.tab.locator("[id^=view-]").count() == 1
    reader.tab.keyboard.press("d")
    reader.holds("measuring", True)
    for across in (0.4, 0.6):
        reader.tab.mouse.move(*reader.place("Red", across, 0.5))
        reader.breathe()
        reader.tab.mouse.down()
        reader.breathe()
        reader.tab.mouse.up()
        reader.breathe()
    reader.holds("measuring", False)
    assert reader.value("distances") == 1
    reader.tab.mouse.dblclick(*reader.place("Red", 0.5, 0.3))
    reader.holds("enlarged", "")
    reader.has_pictures()
    assert reader.tab.locator("[id^=view-]").count() == 4
    window = reader.value("window_words")
    reader.click("window-button")
    reader.tab.locator(".window-choice", has_text="more contrast").click()
    reader.until("words => window.trame.state.get('window_words') !== words", window)
    wide, narrow = (float(words.split()[1]) for words in (window, reader.value("window_words")))
    assert narrow == pytest.approx(0.75 * wide, rel=0.01)


def test_the_browsers_console_stays_clean_and_no_letter_of_a_side_lies_on_a_slider(reader: PageReader) -> None:
    reader.shows("brain")
    errors: list[str] = []
    reader.tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    reader.tab.reload()
    reader.has_pictures()
    assert errors == []
    for view in ("Red", "Green", "Yellow"):
        slider = reader.tab.locator(f".v-slider:has(#slices-{view})").bounding_box()
        letters = reader.tab.locator(f"div:has(> #view-{view}) .side-letter")
        assert letters.count() == 4
        for box in (each.bounding_box() for each in letters.all()):
            assert box["y"] + box["height"] <= slider["y"] + 12, "the slider's line runs 16 px below its upper edge"


def test_after_a_run_the_steps_before_it_fold_and_every_decision_is_a_key_in_sight(reader: PageReader) -> None:
    reader.shows("brain")
    reader.start_segmenting(fast=False)
    reader.idle()
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    reader.holds("open_sections", ["review"])
    for name in ("decide-accepted", "decide-rejected", "edit-button", "undo-button", "redo-button"):
        box = reader.tab.locator(f"#{name}").bounding_box()
        assert box["y"] + box["height"] <= 800, f"{name} lies below the edge of the window"
    first, second, third = (row["number"] for row in reader.value("lesion_rows")[:3])
    reader.choose_lesion(first)
    keys = reader.tab.keyboard
    keys.press("a")
    reader.holds("lesion_number", second)
    reader.says("undo-button", f"Undo: lesion {first} accepted")
    keys.press("r")
    reader.says("undo-button", f"Undo: lesion {second} rejected")
    reader.says("not-exported", "Not exported yet")
    keys.press("Control+z")
    reader.says("redo-button", f"Redo: lesion {second} rejected")
    keys.press("y")
    reader.says("undo-button", f"Undo: lesion {second} rejected")
    reader.choose_lesion(third)
    keys.press("p")
    reader.holds("lesion_number", second)
    keys.press("ArrowDown")
    reader.holds("lesion_number", third)
    keys.press("3")
    reader.holds("slice_mark", "unsure")
    keys.press("e")
    reader.holds("tool", "paint")
    keys.press("x")
    reader.holds("tool", "erase")
    keys.press("Enter")
    reader.holds("tool", "")
    is_small_rejected_in_one_step(reader)
    reader.click("keys-button")
    reader.tab.locator("#keys-on").click()
    reader.holds("keys_on", False)
    keys.press("Escape")
    reader.tab.locator("#keys").wait_for(state="hidden")
    before = reader.words("undo-button")
    keys.press("r")
    reader.breathe()
    reader.tab.wait_for_timeout(300)
    assert reader.words("undo-button") == before, "switched off, a letter decides nothing"
    with reader.tab.expect_download():
        reader.click("export-table")
    reader.tab.locator("#not-exported").wait_for(state="detached")


def is_small_rejected_in_one_step(reader: PageReader) -> None:
    """Sorted by size and cut at one, all smaller lesions go in one step and come back in one."""
    everything = len(reader.value("lesion_rows"))
    reader.click("sort-size")
    reader.holds("sorted_by", "size")
    sizes = [float(row["size"].split()[0]) for row in reader.value("lesion_rows")]
    assert sizes == sorted(sizes, reverse=True)
    reader.tab.locator("#smallest-shown").fill("1.4")
    reader.until("n => window.trame.state.get('lesion_rows').length < n", everything)
    reader.says("statistics", "not shown")
    reader.tab.locator("#smallest-shown").press("a")  # typed into a field, a letter decides nothing
    reader.click("reject-small")
    reader.says("undo-button", "below 1.4 ml rejected")
    reader.tab.locator("#smallest-shown").fill("0")
    reader.holds("lesions_hidden", 0)
    reader.click("undo-button")
    reader.says("redo-button", "below 1.4 ml rejected")
