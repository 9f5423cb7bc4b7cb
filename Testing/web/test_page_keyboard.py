"""The page by keyboard and for a screen reader: what a mouse reaches is reached by Tab and Enter, and it is told aloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from page_reader import PageReader
from page_scans import write_brain
from page_server import PageServer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_brain(folder / "brain.nii.gz")
    (folder / "renamed.nii").write_text("Dear colleague, the scan follows by post.")
    return folder


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], folder: Path) -> PageServer:
    return serve("--root", folder, "--empty")


def test_a_scan_is_opened_and_its_lesions_gone_through_by_keyboard(reader: PageReader) -> None:
    reader.unfold("Own files")
    reader.tab.locator(".folder-entry").get_by_text("brain.nii.gz").locator("..").focus()
    reader.tab.keyboard.press("Enter")
    reader.shows("brain")
    reader.start_segmenting(fast=False)
    reader.idle()
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    row = reader.tab.locator("#lesions tbody tr").nth(3)
    row.focus()
    number = int(str(row.get_attribute("id")).removeprefix("lesion-"))
    assert number != reader.value("lesion_number")
    reader.tab.keyboard.press("Enter")
    reader.holds("lesion_number", number)


def test_what_is_told_asked_and_found_stands_where_a_screen_reader_listens(reader: PageReader) -> None:
    listening = "id => document.getElementById(id).closest('[aria-live]')?.getAttribute('aria-live') ?? ''"
    for name, how in (("told", "assertive"), ("run-words", "polite"), ("summary", "polite")):
        assert reader.tab.evaluate(listening, name) == how
    reader.unfold("Own files")
    reader.tab.locator(".folder-entry").get_by_text("renamed.nii").click()
    reader.tab.locator("#told [data-testid=notice]", has_text="renamed.nii").wait_for()
    reader.is_told("renamed.nii")


def test_sliders_and_pictures_have_names(reader: PageReader) -> None:
    if not reader.value("scans"):
        reader.unfold("Own files")
        reader.tab.locator(".folder-entry").get_by_text("brain.nii.gz").click()
        reader.shows("brain")
    reader.has_pictures()
    names = "() => [...document.querySelectorAll('[role=slider]')].map(s => s.getAttribute('aria-label'))"
    assert set(reader.tab.evaluate(names)) >= {"Level", "Axial slices", "Coronal slices", "Sagittal slices"}
    assert all(reader.tab.evaluate(names))
    pictures = "() => [...document.querySelectorAll('#views img')].map(i => i.alt).sort()"
    assert reader.tab.evaluate(pictures) == ["3-D view", "Axial view", "Coronal view", "Sagittal view"]


def test_a_reader_may_enlarge_the_page(reader: PageReader) -> None:
    viewport = reader.tab.locator("meta[name=viewport]").get_attribute("content")
    assert viewport
    assert "maximum-scale" not in viewport


def test_the_x_of_an_open_scan_names_the_scan_and_nothing_is_left_of_it_in_the_views(reader: PageReader) -> None:
    if not reader.value("scans"):
        reader.unfold("Own files")
        reader.tab.locator(".folder-entry").get_by_text("brain.nii.gz").click()
        reader.shows("brain")
    close = reader.tab.locator("#scans button").first
    assert close.get_attribute("aria-label") == "Close brain"
    close.click()
    reader.holds("scans", [])
    reader.picture_until("Red", lambda picture: (picture.max(axis=2) > 60).mean() < 0.0005)


# What a reader can use, whether Tab comes to it or not. A slider's own input is hidden behind its thumb.
_CONTROLS = """() => [...document.querySelectorAll(
    'button, a, input, select, textarea, [tabindex="0"], [role=slider], [role=button]')]
  .filter(each => !each.disabled && !each.closest('[inert], [aria-hidden=true], .v-btn--disabled') && each.getClientRects().length)
  .filter(each => each.checkVisibility({ visibilityProperty: true }) && !each.matches('.v-slider input'))
  .map((each, k) => {
    each.dataset.walked = k;
    return [String(k), each.id || each.getAttribute('aria-label') || each.outerHTML.slice(0, 120)];
  })"""
# The element with the focus, and whether it, or what is drawn for it, has an outline.
_FOCUSED = """() => {
  const seen = document.activeElement;
  const drawn = [seen, seen.closest('.v-selection-control, .v-field, .v-slider-thumb')].filter(Boolean);
  return [seen.dataset.walked ?? '', drawn.some(each => {
    const style = getComputedStyle(each);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && Number(style.opacity) > 0.5;
  })];
}"""


def test_every_control_is_reached_by_tab_and_seen_to_have_the_focus(reader: PageReader) -> None:
    if not reader.value("scans"):
        reader.unfold("Own files")
        reader.tab.locator(".folder-entry").get_by_text("brain.nii.gz").click()
        reader.shows("brain")
    if not reader.value("has_result"):
        reader.segment(fast=False)
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    reader.tab.reload()  # Tab begins at the top
    reader.has_pictures()
    for title in ("Own files", "Segment", "Fine-tune"):
        reader.unfold(title)
    reader.tab.evaluate("() => document.activeElement.blur()")
    reader.tab.add_style_tag(content="* { transition: none !important }")
    reader.breathe()
    controls = dict(reader.tab.evaluate(_CONTROLS))
    assert len(controls) > 60
    reached, unseen = set(), set()
    reader.tab.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    for _ in range(2 * len(controls)):
        reader.tab.keyboard.press("Tab")
        walked, is_seen = reader.tab.evaluate(_FOCUSED)
        if walked in reached and len(reached) > 0.9 * len(controls):
            break
        reached.add(walked)
        if walked and not is_seen:
            unseen.add(walked)
    missed = [words for each, words in controls.items() if each not in reached]
    assert not missed, missed
    assert not unseen, [controls[each] for each in unseen]
