"""Small things that a reader notices: where the review goes on, what a click in a view does, what is read whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from page_reader import PageReader
from page_scans import write_brain
from page_server import PageServer


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    return serve(write_brain(tmp_path_factory.mktemp("scan") / "brain.nii.gz"))


def test_a_scan_that_is_come_back_to_goes_on_with_its_first_undecided_lesion(reader: PageReader) -> None:
    reader.shows("brain")
    reader.segment()
    first, second = [row["number"] for row in reader.value("lesion_rows")][:2]
    reader.choose_lesion(first)
    reader.click("decide-accepted")
    reader.holds("lesion_number", second)
    reader.open_sample("xray-chest", "Chest X-ray")
    # The mouse rests where it clicked: what it is told there covers none of the open scans.
    for chip in reader.tab.locator("#scans .v-chip").all():
        box = chip.bounding_box()
        middle = [box["x"] + 12, box["y"] + box["height"] / 2]
        on_top = "([x, y]) => Boolean(document.elementFromPoint(x, y).closest('#scans'))"
        assert reader.tab.evaluate(on_top, middle)
    reader.holds("lesion_number", 0)
    reader.choose_scan("brain")
    reader.holds("lesion_number", second)
    assert reader.tab.locator("#decide-accepted").is_enabled()
    reader.tab.keyboard.press("r")
    reader.until("n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'rejected'", second)


def test_a_training_starts_from_the_model_of_the_scan_until_the_reader_chooses(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    reader.holds("training_init", "ct-lung-lesion")
    reader.open_sample("ct-head", "Head CT")
    reader.holds("training_init", "ct-head-haemorrhage")
    reader.unfold("Fine-tune")
    reader.tab.locator("#training-name").fill("mine")
    reader.holds("training_name", "mine")
    reader.choose_scan("ClamSeg Chest CT")
    reader.holds("model", "ct-lung-lesion")
    reader.tab.wait_for_timeout(500)
    assert reader.value("training_init") == "ct-head-haemorrhage"
    assert reader.value("training_name") == "mine"


def test_a_click_in_a_view_brings_the_others_to_its_point_and_a_drag_or_a_tool_does_not(reader: PageReader) -> None:
    reader.choose_scan("brain")
    reader.still("Red")
    before = reader.value("slice_of")
    reader.drag("Red", (0.35, 0.4), (0.37, 0.42))  # window and level
    reader.tab.wait_for_timeout(500)
    assert reader.value("slice_of") == before
    reader.tab.mouse.move(*reader.place("Red", 0.35, 0.34))
    reader.breathe()
    reader.tab.mouse.click(*reader.place("Red", 0.36, 0.35))
    reader.until(
        "old => { const now = window.trame.state.get('slice_of'); return now.Green !== old.Green && now.Yellow !== old.Yellow; }",
        before,
    )
    there = reader.value("slice_of")
    assert there["Red"] == before["Red"]
    reader.click("distance-button")
    reader.holds("measuring", True)
    reader.tab.mouse.click(*reader.place("Red", 0.6, 0.6))
    reader.tab.wait_for_timeout(500)
    assert reader.value("slice_of") == there
    reader.tab.keyboard.press("d")
    reader.holds("measuring", False)


def test_the_sections_are_made_wider_by_the_mouse_and_by_keys(reader: PageReader) -> None:
    def width() -> float:
        return float(reader.tab.locator("#sections").bounding_box()["width"])

    usual = width()
    edge = reader.tab.locator("#sections-edge").bounding_box()
    reader.tab.mouse.move(edge["x"] + 3, 400)
    reader.tab.mouse.down()
    reader.tab.mouse.move(edge["x"] + 60, 400)
    reader.tab.mouse.move(edge["x"] + 103, 400)
    reader.tab.mouse.up()
    reader.until("wide => document.getElementById('sections').offsetWidth > wide", usual + 90)
    reader.tab.locator("#sections-edge").focus()
    for _ in range(20):
        reader.tab.keyboard.press("ArrowLeft")
    reader.until("() => document.getElementById('sections').offsetWidth === 320")
    for _ in range(4):
        reader.tab.keyboard.press("ArrowRight")
    reader.until("() => document.getElementById('sections').offsetWidth === 400")


def test_a_section_that_is_opened_under_a_review_comes_into_sight(reader: PageReader) -> None:
    reader.choose_scan("brain")
    reader.until("() => window.trame.state.get('has_lesions')")
    reader.unfold("Fine-tune")
    reader.until(
        "() => { const field = document.getElementById('use-folder').getBoundingClientRect();"
        " return field.height && field.bottom < document.getElementById('decisions').getBoundingClientRect().top; }"
    )
    reader.unfold("Own files")
    icons = reader.tab.locator(".folder-entry .v-icon")
    assert icons.count()
    assert icons.first.evaluate("e => e.className.includes('mdi-file-image-outline')")


def test_the_name_of_a_model_is_read_to_its_end(reader: PageReader) -> None:
    reader.unfold("Segment")
    longest = max(reader.value("models"), key=lambda model: len(model["title"]))
    reader.tab.evaluate("name => window.trame.state.set('model', name)", longest["value"])
    reader.until(
        "words => document.querySelector('.v-select:has(#model) .v-select__selection-text').innerText.includes(words)",
        longest["title"],
    )
    name = "document.querySelector('.v-select:has(#model) .v-select__selection-text')"
    assert reader.tab.evaluate(f"getComputedStyle({name}).whiteSpace") == "normal"
    words, field = (
        reader.tab.evaluate(f"(() => {{ const r = {each}.getBoundingClientRect(); return [r.left, r.right, r.top, r.bottom]; }})()")
        for each in (name, f"{name}.closest('.v-field')")
    )  # fmt: skip
    assert field[0] <= words[0]
    assert words[1] <= field[1]
    assert field[2] <= words[2]
    assert words[3] <= field[3]
