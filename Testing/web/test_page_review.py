"""The review in a browser: jump, threshold, decisions, drawing, marks, corrections."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

import numpy as np
import pytest
from page_reader import LESION, ORGAN, SLICES, SOLID, PageReader, count
from page_scans import write_brain
from page_server import PageServer

THUMB = ".v-slider:has(#threshold) [role=slider]"


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    return serve(write_brain(tmp_path_factory.mktemp("scan") / "brain.nii.gz"))


@pytest.fixture
def review(reader: PageReader) -> PageReader:
    """A reader before a fresh result of a few slices with many spots."""
    reader.shows("brain")
    reader.start_segmenting(fast=False)
    reader.idle()
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    return reader


def rows(reader: PageReader) -> dict[int, dict[str, str]]:
    """Rows of the lesion table by number."""
    return {row["number"]: row for row in reader.value("lesion_rows")}


def decided(reader: PageReader) -> dict[int, str]:
    return {number: row["state"] for number, row in rows(reader).items() if row["state"] != "undecided"}


def slice_number(reader: PageReader) -> int:
    """The slice in the axial view, from 1."""
    found = re.match(r"Slice (\d+) of 8", reader.words("slice-words"))
    assert found
    return int(found[1])


def test_the_largest_lesion_stands_in_the_views_at_once_and_a_click_in_the_table_jumps_to_another(
    review: PageReader,
) -> None:
    first = review.value("lesion_number")
    assert first in rows(review)
    last = max(rows(review))
    review.choose_lesion(last)
    low, _dash, high = rows(review)[last]["slices"].partition("–")
    review.until(
        "([low, high]) => { const n = +document.getElementById('slice-words').innerText.split(' ')[1];"
        " return low <= n && n <= high; }",
        [int(low), int(high or low)],
    )
    for view in (*SLICES, SOLID):
        review.count_until(view, LESION, lambda n: n > 60)


def test_while_the_threshold_is_dragged_the_map_moves_and_on_release_the_masks_follow(review: PageReader) -> None:
    before = rows(review)
    kept = review.value("lesion_number")
    review.click("decide-accepted")
    review.until("n => window.trame.state.get('lesion_rows').some(r => r.number === n && r.state === 'accepted')", kept)
    review.choose_lesion(kept)
    at = review.middle(THUMB)
    mouse = review.tab.mouse
    mouse.move(*at)
    mouse.down()
    mouse.move(at[0] - 60, at[1], steps=4)
    review.holds("overlay", "probability")
    low = review.count_until("Red", LESION, lambda n: n > 0)
    assert len(review.value("lesion_rows")) == len(before), "no mask follows before the release"
    mouse.move(at[0] + 110, at[1], steps=8)
    moved = review.picture("Red")
    assert len(review.value("lesion_rows")) == len(before)
    mouse.up()
    review.holds("threshold_moving", None)
    review.until("n => window.trame.state.get('lesion_rows').length < n", len(before))
    assert float(review.words("threshold-value")) > 0.7
    assert decided(review) == {kept: "accepted"}
    assert rows(review)[kept]["size"] == before[kept]["size"], "what was decided stays as it is"
    assert low > 0
    assert moved.shape[2] == 3


def test_what_was_changed_just_before_a_click_counts_for_it_also_while_an_answer_is_on_its_way(
    review: PageReader,
) -> None:
    before = len(rows(review))
    review.reach("#threshold")
    at = review.middle(THUMB)
    review.tab.evaluate("() => window.trame.client.beginBusy()")
    try:
        review.tab.mouse.move(*at)
        review.tab.mouse.down()
        review.tab.mouse.move(at[0] + 110, at[1], steps=8)
        review.tab.mouse.up()
        review.until("n => window.trame.state.get('lesion_rows').length < n", before)
        sizes = sorted(float(row["size"].split()[0]) for row in rows(review).values())
        review.tab.locator("#smallest-shown").fill(str((sizes[1] + sizes[2]) / 2))
        review.tab.locator("#reject-small").click()
        review.says("summary", "2 decided (2 rejected)")
    finally:
        review.tab.evaluate("() => window.trame.client.endBusy()")
    review.breathe()
    review.holds("threshold_moving", None)
    review.tab.locator("#smallest-shown").fill("0")


def test_accept_and_reject_go_on_to_the_next_lesion_and_undo_takes_them_back(review: PageReader) -> None:
    first, second, third = sorted(rows(review))[:3]
    review.choose_lesion(first)
    review.click("decide-accepted")
    review.holds("lesion_number", second)
    review.click("decide-rejected")
    review.holds("lesion_number", third)
    assert decided(review) == {first: "accepted", second: "rejected"}
    assert f"{len(rows(review))} lesions (glioma), 2 decided (1 rejected)" in review.words("summary")
    review.click("undo-button")
    review.until("n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'undecided'", second)
    review.click("undo-button")
    review.until("() => window.trame.state.get('lesion_rows').every(r => r.state === 'undecided')")
    assert review.tab.locator("#undo-button").is_disabled(), "there is nothing more to undo"


def test_a_held_key_and_the_second_of_two_clicks_decide_on_no_lesion_that_was_not_seen(review: PageReader) -> None:
    first, second, third = sorted(rows(review))[:3]
    review.choose_lesion(first)
    review.tab.keyboard.down("a")
    for _ in range(3):
        review.tab.keyboard.down("a")  # as the keyboard repeats it
    review.tab.keyboard.up("a")
    review.holds("lesion_number", second)
    assert decided(review) == {first: "accepted"}
    review.tab.locator("#decide-rejected").dblclick()
    review.holds("lesion_number", third)
    review.tab.wait_for_timeout(500)
    assert decided(review) == {first: "accepted", second: "rejected"}
    # The second click of a slow hand comes when the next lesion stands there already.
    review.tab.locator("#decide-accepted").evaluate(
        "button => button.dispatchEvent(new MouseEvent('click', {bubbles: true, detail: 2}))"
    )
    review.tab.wait_for_timeout(500)
    assert decided(review) == {first: "accepted", second: "rejected"}
    review.tab.locator("#decide-accepted").focus()
    review.tab.keyboard.down("Enter")
    for _ in range(3):
        review.tab.keyboard.down("Enter")
    review.tab.keyboard.up("Enter")
    review.until("n => window.trame.state.get('lesion_number') !== n", third)
    review.tab.wait_for_timeout(500)
    assert decided(review) == {first: "accepted", second: "rejected", third: "accepted"}


def test_a_missed_lesion_is_painted_with_the_mouse_and_what_is_too_much_erased(review: PageReader) -> None:
    before = set(rows(review))
    review.tab.locator(".add-button").first.click()
    review.says("drawing", "a new lesion")
    unpainted = count(review.still("Red"), LESION)
    review.drag("Red", (0.42, 0.4), (0.58, 0.4), (0.58, 0.5))
    review.count_until("Red", LESION, lambda n: n > unpainted + 300)
    painted = count(review.still("Red"), LESION)
    review.click("drawing-done")
    review.until("n => window.trame.state.get('lesion_rows').length > n", len(before))
    (number,) = set(rows(review)) - before
    assert rows(review)[number]["state"] == "added"
    drawn_ml = size_ml(review, number)
    assert drawn_ml > 0.1
    # As in Slicer: a lesion that is edited opens with the brush, and the eraser lies beside it.
    review.choose_lesion(number)
    review.click("edit-button")
    review.says("drawing", f"lesion {number}")
    review.click("tool-erase")
    review.holds("tool", "erase")
    review.still("Red")
    review.drag("Red", (0.40, 0.4), (0.52, 0.4))
    review.count_until("Red", LESION, lambda n: n < painted - 100)
    review.still("Red")
    review.click("drawing-done")
    review.holds("tool", "")
    assert 0 < size_ml(review, number) < drawn_ml - 0.05


def size_ml(reader: PageReader, number: int) -> float:
    return float(rows(reader)[number]["size"].split(" ml")[0])


def test_edit_decides_nothing_by_itself_and_one_undo_takes_a_drawing_back(review: PageReader) -> None:
    number = review.value("lesion_number")
    before = rows(review)
    review.click("edit-button")
    review.says("drawing", f"lesion {number}")
    colour = "id => getComputedStyle(document.getElementById(id)).backgroundColor"
    review.until(f"() => ({colour})('tool-paint') === 'rgb(25, 118, 210)'")
    assert review.tab.evaluate(colour, "tool-erase") == "rgba(0, 0, 0, 0)", "the one in hand is seen"
    review.click("drawing-done")
    review.holds("tool", "")
    assert rows(review) == before
    review.click("edit-button")
    review.holds("tool", "paint")
    review.drag("Red", (0.42, 0.4), (0.58, 0.4), (0.58, 0.5))
    review.click("drawing-done")
    review.until("n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'edited'", number)
    review.click("undo-button")
    review.until("n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'undecided'", number)
    assert rows(review) == before


def test_surfaces_stay_in_the_3d_view_through_drawing_and_the_decisions_after_it(review: PageReader) -> None:
    review.holds("solid", True)
    shown = review.count_until(SOLID, ORGAN, lambda n: n > 300)
    review.click("edit-button")
    review.holds("tool", "paint")
    review.tab.wait_for_timeout(1500)  # those of the lesion that is opened would be made in this time
    review.count_until(SOLID, ORGAN, lambda n: n < 50)
    review.drag("Red", (0.42, 0.4), (0.58, 0.4), (0.58, 0.5))
    review.click("drawing-done")
    review.holds("tool", "")
    review.count_until(SOLID, ORGAN, lambda n: n > shown / 2)
    review.click("undo-button")
    review.until("() => window.trame.state.get('lesion_rows').every(r => r.state === 'undecided')")
    review.still(SOLID)
    assert review.count(SOLID, ORGAN) > shown / 2
    review.click("decide-accepted")
    review.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'accepted')")
    review.still(SOLID)
    assert review.count(SOLID, ORGAN) > shown / 2
    review.click("solid-button")
    review.count_until(SOLID, ORGAN, lambda n: n < 50)
    review.click("solid-button")
    review.count_until(SOLID, ORGAN, lambda n: n > shown / 2)


def test_a_step_that_changes_no_surface_draws_the_slices_and_no_3d_view(review: PageReader) -> None:
    review.holds("solid", True)
    review.count_until(SOLID, ORGAN, lambda n: n > 300)
    review.tab.locator("#smallest-shown").fill("0.00001")
    review.tab.mouse.move(5, 5)
    for view in (*SLICES, SOLID):
        review.still(view)
    view = "document.getElementById('view-NAME').closest('.layout-grid-item')"
    for name, counter in (("Red", "slices"), (SOLID, "solid")):
        counts = f"{view.replace('NAME', name)}.addEventListener('load', () => window.drawn_{counter}++, true)"
        review.tab.evaluate(f"() => {{ window.drawn_{counter} = 0; {counts} }}")
    review.click("reject-small")
    review.says("notices", "No undecided lesion is smaller")
    review.until("() => window.drawn_slices > 0")
    review.tab.wait_for_timeout(600)
    assert review.tab.evaluate("window.drawn_solid") == 0


def test_steps_asked_for_one_right_behind_the_other_are_taken_in_their_order(review: PageReader) -> None:
    first = review.value("lesion_number")
    review.tab.keyboard.press("a")
    review.until("() => /accepted/.test(window.trame.state.get('undo_words'))")
    before = review.value("threshold")
    review.tab.locator(".v-input:has(input#threshold) .v-slider-thumb").focus()
    for _key in range(3):
        review.tab.keyboard.press("ArrowRight")
    review.click("undo-button")
    review.until("v => window.trame.state.get('redo_words') === `threshold ${v.toFixed(2)}`", before + 0.03)
    assert review.value("undo_words") == f"threshold {before + 0.02:.2f}"
    review.until("v => Math.abs(window.trame.state.get('threshold') - v) < 1e-6", before + 0.02)
    assert decided(review) == {first: "accepted"}


def test_a_threshold_that_a_key_moves_further_while_the_step_before_is_taken_stays_there(review: PageReader) -> None:
    before = review.value("threshold")
    review.tab.locator(".v-input:has(input#threshold) .v-slider-thumb").focus()
    review.tab.keyboard.press("ArrowRight")
    review.tab.keyboard.down("ArrowRight")
    taken = "v => window.trame.state.get('undo_words') === `threshold ${v.toFixed(2)}`"
    review.until(taken, before + 0.01)
    assert review.value("threshold") == pytest.approx(before + 0.02)
    review.tab.keyboard.up("ArrowRight")
    review.until(taken, before + 0.02)


def test_a_threshold_key_that_is_held_while_the_slider_is_left_counts_as_let_go(review: PageReader) -> None:
    before = len(rows(review))
    review.reach("#threshold")
    review.tab.locator(THUMB).focus()
    for _ in range(9):
        review.tab.keyboard.down("PageUp")
    review.tab.evaluate("() => document.activeElement.blur()")
    review.holds("threshold_moving", None)
    review.until("n => window.trame.state.get('lesion_rows').length < n", before)
    review.tab.keyboard.up("PageUp")


def test_undo_takes_back_the_last_step_also_where_it_labelled_a_slice(review: PageReader) -> None:
    number = review.value("lesion_number")
    review.click("decide-accepted")
    review.until("n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'accepted'", number)
    review.click("mark-diseased")
    review.holds("slice_mark", "diseased")
    review.click("undo-button")
    review.holds("slice_mark", "")
    assert decided(review) == {number: "accepted"}


def test_a_new_lesion_that_is_left_empty_goes(review: PageReader) -> None:
    before = rows(review)
    review.tab.locator(".add-button").first.click()
    review.says("drawing", "a new lesion")
    review.click("drawing-done")
    review.holds("tool", "")
    assert rows(review) == before


def test_maps_are_shown_over_the_slices_one_at_a_time(review: PageReader) -> None:
    def differ(picture: np.ndarray, other: np.ndarray) -> bool:
        """Whether more than two in a thousand pixels are others: a map is seen where it exceeds the threshold."""
        return bool((abs(picture - other).max(axis=2) > 20).mean() > 0.002)

    plain = review.still("Red")
    shown = []
    for kind in ("probability", "doubt"):
        review.click(f"map-{kind}")
        review.holds("overlay", kind)
        shown.append(review.picture_until("Red", lambda picture: differ(picture, plain)))
        shown[-1] = review.still("Red")
    assert differ(*shown)
    review.click("map-none")
    review.picture_until("Red", lambda picture: not differ(picture, plain))


def test_opacity_fades_the_fill_of_the_segments(review: PageReader) -> None:
    filled = review.count_until("Red", LESION, lambda n: n > 60)
    review.slide("opacity", "Home")
    review.holds("opacity", 0)
    review.count_until("Red", LESION, lambda n: n < filled)


def test_marked_slices_and_decisions_are_saved_for_the_next_fine_tuning(review: PageReader, server: PageServer) -> None:
    review.click("mark-diseased")
    review.holds("slice_mark", "diseased")
    marked = slice_number(review)
    review.wheel("Red", 1)
    review.holds("slice_mark", "")
    assert slice_number(review) != marked
    review.click("mark-normal")
    review.holds("slice_mark", "normal")
    review.click("mark-normal")
    review.holds("slice_mark", "")
    review.click("decide-accepted")
    review.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'accepted')")
    review.click("save-corrections")
    review.says("corrections-words", "saved for fine-tuning")
    with (server.corrections / "labels.csv").open(encoding="utf-8", newline="") as file:
        saved = list(csv.DictReader(file))
    assert str(marked - 1) in {row["slice_index"] for row in saved}
    assert f"{len(saved)} slices saved" in review.words("corrections-words")


def test_segmenting_a_reviewed_scan_again_asks_first(review: PageReader) -> None:
    review.click("decide-accepted")
    review.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'accepted')")
    review.click("segment-button")
    review.says("question", "Segment again?")
    review.click("question-no")
    review.holds("question", None)
    assert "accepted" in decided(review).values()
    assert review.value("run_state") == "idle"


def test_what_is_drawn_just_now_is_not_lost_to_a_new_run_or_with_its_scan(review: PageReader) -> None:
    review.tab.locator(".add-button").first.click()
    review.says("drawing", "a new lesion")
    review.drag("Red", (0.42, 0.4), (0.58, 0.4), (0.58, 0.5))
    review.click("segment-button")
    review.says("question", "Segment again?")
    review.click("question-no")
    review.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'added')")
    review.click("edit-button")
    review.holds("tool", "paint")
    review.tab.locator("#scans button").first.click()
    review.says("question", "Close the review?")
    review.click("question-no")
    assert "added" in decided(review).values()
    assert review.tab.locator("#scans .v-chip", has_text="brain").is_visible(), (
        "a scan that stays open is offered still"
    )


def test_marked_slices_are_not_lost_to_a_new_run(review: PageReader) -> None:
    review.click("mark-diseased")
    review.holds("marked_slices", 1)
    review.click("segment-button")
    review.says("question", "Segment again?")
    review.click("question-no")
    review.holds("marked_slices", 1)


def test_closing_a_reviewed_scan_asks_and_takes_its_overlays_along(review: PageReader) -> None:
    review.click("decide-accepted")
    review.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'accepted')")
    review.tab.locator("#scans button").first.click()
    review.says("question", "has decisions or labelled slices")
    review.click("question-yes")
    review.holds("scans", [])
    review.says("no-result", "Nothing to review yet")
    review.count_until("Red", LESION, lambda n: n < 50)
