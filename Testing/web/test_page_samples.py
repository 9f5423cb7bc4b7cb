"""The main job in a browser: every sample opened, segmented, and its overlays seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from page_reader import LESION, ORGAN, SLICES, SOLID, PageReader, count, differs
from page_server import PageServer


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer]) -> PageServer:
    return serve()


@pytest.mark.parametrize(
    ("name", "title", "views", "marks_lesions"),
    [
        ("ct-chest", "Chest CT", (*SLICES, SOLID), True),
        ("ct-head", "Head CT", ("Red",), True),
        ("xray-chest", "Chest X-ray", ("Red",), False),
        ("mr-glioma", "Brain FLAIR, glioma", ("Red",), True),
    ],
)
def test_a_sample_is_segmented_and_its_overlays_are_seen_in_every_view(
    reader: PageReader, name: str, title: str, views: tuple[str, ...], marks_lesions: bool
) -> None:
    reader.open_sample(name, title)
    for view in views:
        assert reader.count(view, ORGAN) < 50, "nothing is marked before the run"
        assert reader.count(view, LESION) < 150, "no more than the cross of the cursor"
    reader.segment(fast=False)
    for view in views:
        reader.count_until(view, ORGAN, lambda n: n > 300)
        if marks_lesions:
            reader.count_until(view, LESION, lambda n: n > 150)
    if name == "xray-chest":
        assert reader.words("summary").startswith(
            "Lungs outlined, 1 of 1 slices analysed; this model looks for no lesions"
        )
        assert "it looks for no lesions" in reader.words("model-about")
        assert reader.tab.locator("#maps").count() == 0, "there is no map of lesions"
    else:
        assert reader.words("summary").startswith("No ") is not marks_lesions
    assert reader.words("certificate") == "Geometry: aligned, 0.000 mm"
    assert reader.notices() == []


def test_the_x_of_the_scan_that_is_shown_stays_in_sight_when_its_name_grows(reader: PageReader) -> None:
    for name, title in (("ct-head", "Head CT"), ("xray-chest", "Chest X-ray")):
        reader.open_sample(name, title)
    reader.segment()
    reader.until("() => window.trame.state.get('scans').every(scan => !scan.name.includes('X-ray') || scan.segmented)")
    right = "() => [document.querySelector('#scans [aria-current=true]'), document.getElementById('scans')].map(e => e.getBoundingClientRect().right)"
    reader.until(f"() => {{ const [chip, line] = ({right})(); return chip <= line + 1; }}")


def test_the_condition_of_every_lesion_is_read_whole_beside_its_decision(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    if not reader.value("lesion_rows"):
        reader.segment(fast=False)
    reader.until("() => window.trame.state.get('lesion_rows').length")
    reader.choose_lesion(reader.value("lesion_rows")[0]["number"])  # none is chosen where a review is come back to
    reader.click("decide-accepted")
    reader.until("() => window.trame.state.get('lesion_rows').some(row => row.state === 'accepted')")
    cells = reader.tab.locator("#lesions .lesion-condition")
    assert set(cells.all_inner_texts()) <= {"Nodule", "Infection"}
    cells.first.evaluate("cell => { cell.textContent = 'Infection' }")  # the longer word
    sizes = """() => {
      const there = document.querySelector('#lesions .v-table__wrapper'), table = there.querySelector('table');
      table.style.width = 'max-content';
      return [table.offsetWidth, there.clientWidth];
    }"""
    needed, there = reader.tab.evaluate(sizes)
    assert needed <= there - 8, "beside a thin bar to roll the table by"


def test_the_slices_of_each_view_are_named_and_the_patients_sides_stand_at_its_edges(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    for view, words in (("Red", "Axial R L A P"), ("Green", "Coronal R L S I"), ("Yellow", "Sagittal A P S I")):
        plane, *sides = words.split()
        # Of the 48 slices of the sample in the axial view; the other views have as many as the picture has rows and columns.
        reader.until(
            "([id, words]) => new RegExp(words).test(document.getElementById(id).textContent.trim())",
            [f"slice-of-{view}", f"^{plane} [0-9]+ / {48 if view == 'Red' else '[0-9]+'}$"],
        )
        letters = reader.tab.locator(f"#view-{view}").locator("..").locator(".side-letter")
        assert [text.strip() for text in letters.all_text_contents()] == sides


def test_a_turn_of_the_wheel_goes_through_the_slices(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    reader.click("fit-button")
    before = reader.picture("Red")
    reader.wheel("Red", 3)
    reader.picture_until("Red", lambda picture: differs(picture, before))


def test_a_turn_of_the_wheel_is_drawn_once(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    reader.tab.mouse.move(*reader.place("Red", 0.5, 0.5))
    reader.still("Red")
    drawn = "document.getElementById('view-Red').closest('.layout-grid-item')"
    reader.tab.evaluate(f"() => {{ window.drawn = 0; {drawn}.addEventListener('load', () => window.drawn++, true) }}")
    reader.wheel("Red", 1)
    reader.until("() => window.drawn > 0")
    reader.tab.wait_for_timeout(1000)
    assert reader.tab.evaluate("window.drawn") == 1, "not once more in another quality"


def test_hide_shows_the_scan_alone_and_again_the_overlays(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    marked = count(reader.still("Red"), ORGAN)
    assert marked > 300
    reader.click("hide-button")
    reader.count_until("Red", ORGAN, lambda n: n < 50)
    reader.click("hide-button")
    reader.count_until("Red", ORGAN, lambda n: n > 0.8 * marked)


def test_the_window_of_a_ct_is_chosen_by_name(reader: PageReader) -> None:
    reader.open_sample("ct-chest", "Chest CT")
    before = reader.picture("Red").mean()
    reader.click("window-button")
    reader.tab.locator(".window-choice", has_text="soft tissue").click()
    reader.picture_until("Red", lambda picture: picture.mean() < 0.8 * before)
