"""Runs in the page: cancelled, killed, reloaded, seen in two tabs, and asked about before they start."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_reader import LESION, ORGAN, PageReader
from page_scans import brain, write_brain
from page_server import PageServer
from tiny_model import tiny_model

from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.system.process import is_alive


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    folder = tmp_path_factory.mktemp("runs")
    tiny_model(folder / "models" / "tiny-ct", "CT")
    tiny_model(folder / "models" / "tiny-mr", "MR")
    of_study = tiny_model(folder / "models" / "study-model", "MR") / "config.json"
    config = json.loads(of_study.read_text())
    # Not the licence of the shipped glioma model, which these tests confirm beforehand.
    of_study.write_text(json.dumps({**config, "licence": "CC-BY-NC-SA-3.0", "non_commercial": True}))
    return serve(
        write_long(folder / "long.nii.gz"), write_brain(folder / "brain.nii.gz"), CLAMSEG_MODELS=str(folder / "models"),
        CLAMSEG_SETTINGS=str(folder / "settings"),
    )  # fmt: skip


def write_long(path: Path) -> Path:
    """The whole sample five times over: a run that goes on while a page is loaded anew."""
    volume = brain(slice(0, 46))
    array = np.tile(volume.array, (5, 1, 1))
    write_volume(array, dataclasses.replace(volume, array=array), path)
    return path


@pytest.fixture
def whole(reader: PageReader) -> PageReader:
    """A reader before a long scan, with a model that takes its time."""
    reader.until("() => window.trame.state.get('scans').some(scan => scan.name === 'brain')")
    reader.choose_scan("long")
    choose_model(reader, "mr-flair-glioma")
    return reader


def choose_model(reader: PageReader, name: str) -> None:
    """Takes a model from the list, where it stands under its display name."""
    if reader.value("model") != name:
        titles = {entry["value"]: entry["title"] for entry in reader.value("models")}
        reader.reach("#model")
        reader.tab.locator(".v-select:has(#model)").click()
        reader.tab.locator(".v-overlay--active .v-list-item", has_text=titles[name]).click()
        reader.holds("model", name)


def is_looked_at_first(reader: PageReader) -> None:
    """Goes on although five heads are no organ, and waits until the slices on screen are drawn."""
    reader.says("question", "Does this fit?")
    reader.click("question-yes")
    reader.says("run-words", "First look at slices")


def is_running(reader: PageReader) -> None:
    """Waits until the worker does its work."""
    reader.holds("run_state", "running")


def test_a_double_click_on_segment_starts_and_does_not_cancel(whole: PageReader) -> None:
    whole.reach("#segment-button")
    whole.tab.locator("#segment-button").dblclick()
    whole.says("segment-button", "Cancel")
    is_running(whole)
    assert whole.words("run-words") != "Cancelled."
    whole.click("segment-button")
    whole.holds("run_state", "idle")
    whole.says("run-words", "Cancelled.")


def test_a_model_of_ones_own_is_not_taken_for_a_scan_without_a_word(whole: PageReader) -> None:
    whole.choose_scan("brain")
    whole.holds("model", "mr-flair-glioma")
    assert "tiny-mr" in [entry["value"] for entry in whole.value("models")]
    assert whole.words("model-figures").startswith("Shipped model, learned from ")
    choose_model(whole, "tiny-mr")
    whole.says("model-figures", "Your own model")


def test_a_model_for_non_commercial_use_only_is_asked_about_once(whole: PageReader) -> None:
    whole.choose_scan("brain")
    choose_model(whole, "study-model")
    whole.says("model-about", "CC-BY-NC-SA-3.0, for non-commercial use only")
    whole.click("segment-button")
    whole.says("question", "what is made from it is under the same licence")
    whole.click("question-no")
    assert whole.value("run_state") == "idle"
    whole.click("segment-button")
    whole.click("question-yes")
    whole.says("summary", "8 of 8 slices analysed")
    whole.idle()
    whole.click("segment-button")
    whole.until("() => window.trame.state.get('run_state') !== 'idle'")
    assert whole.value("question") is None
    whole.idle()


def test_cancel_ends_the_worker_and_leaves_no_result(whole: PageReader, server: PageServer) -> None:
    whole.start_segmenting(fast=False)
    is_looked_at_first(whole)
    whole.count_until("Red", ORGAN, lambda n: n > 100)
    pid = server.worker_pid()
    assert pid
    whole.click("segment-button")
    whole.holds("run_state", "idle")
    whole.says("run-words", "Cancelled.")
    assert whole.value("has_result") is False
    whole.count_until("Red", ORGAN, lambda n: n < 50)
    assert whole.notices() == []
    assert not is_alive(pid) or server.worker_pid() != pid


def test_a_worker_that_is_killed_is_told_and_the_next_run_works(whole: PageReader, server: PageServer) -> None:
    whole.start_segmenting(fast=False)
    is_running(whole)
    os.kill(server.worker_pid(), signal.SIGKILL)
    whole.is_told("was killed, perhaps because memory ran out")
    assert whole.value("has_result") is False
    whole.choose_scan("brain")
    choose_model(whole, "mr-flair-glioma")
    whole.segment()
    whole.says("summary", "8 of 8 slices analysed")
    whole.count_until("Red", ORGAN, lambda n: n > 300)


def test_a_reload_during_a_run_and_a_second_tab_show_the_same_state(whole: PageReader) -> None:
    whole.start_segmenting(fast=False)
    is_running(whole)
    whole.tab.reload()
    whole.has_pictures()
    assert whole.words("segment-button") == "Cancel"
    assert "long" in whole.words("scan-name")
    second = whole.another_tab()
    assert second.words("segment-button") == "Cancel"
    second.click("segment-button")
    whole.says("segment-button", "Segment")
    second.says("segment-button", "Segment")
    for tab in (whole, second):
        tab.says("run-words", "Cancelled.")
    second.tab.close()


def test_what_one_tab_decides_the_other_shows(reader: PageReader) -> None:
    reader.choose_scan("brain")
    choose_model(reader, "mr-flair-glioma")
    reader.segment(fast=False)
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    second = reader.another_tab()
    second.click("decide-rejected")
    reader.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'rejected')")
    reader.count_until("Red", LESION, lambda n: n > 60)
    second.count_until("Red", LESION, lambda n: n > 60)
    second.tab.close()


def test_two_tabs_say_so_and_what_is_drawn_in_one_counts_when_the_other_goes_on(reader: PageReader) -> None:
    reader.choose_scan("brain")
    choose_model(reader, "mr-flair-glioma")
    reader.segment(fast=False)
    reader.until("() => window.trame.state.get('lesion_rows').length > 5")
    assert reader.tab.locator("#windows-open").count() == 0
    second = reader.another_tab()
    for tab in (reader, second):
        tab.says("windows-open", "open in 2 windows")
    before = {row["number"] for row in reader.value("lesion_rows")}
    reader.tab.bring_to_front()
    reader.tab.mouse.move(*reader.place("Red", 0.5, 0.6))  # the window that the reader is in
    reader.tab.locator(".add-button").first.click()
    reader.says("drawing", "a new lesion")
    second.says("drawing", "a new lesion")
    reader.still("Red")
    reader.drag("Red", (0.42, 0.4), (0.58, 0.4), (0.58, 0.5))
    chosen = second.value("lesion_number")
    second.click("decide-accepted")
    for tab in (reader, second):
        tab.until("n => window.trame.state.get('lesion_rows').find(r => r.number === n).state === 'accepted'", chosen)
        drawn = [row["state"] for row in tab.value("lesion_rows") if row["number"] not in before]
        assert drawn == ["added"]
    second.tab.close()
    reader.tab.locator("#windows-open").wait_for(state="detached")


def ask_about_the_model(reader: PageReader) -> None:
    """Chooses a model for CT on the brain and clicks Segment, which asks before it starts."""
    reader.choose_scan("brain")
    choose_model(reader, "tiny-mr")
    reader.open_sample("xray-chest", "Chest X-ray")
    choose_model(reader, "tiny-mr")
    reader.says("sections", "model 'tiny-mr' was made for MRI")
    reader.click("segment-button")
    reader.says("question", "Does this fit?")
    reader.says("question", "model 'tiny-mr' was made for MRI")
    reader.says("run-words", "waiting for your answer")


def test_doubts_are_asked_about_before_the_run_and_no_means_no(reader: PageReader) -> None:
    ask_about_the_model(reader)
    reader.click("question-no")
    reader.holds("run_state", "idle")
    reader.holds("question", None)
    assert reader.value("has_result") is False


def test_a_cancel_while_the_question_stands_takes_it_away(reader: PageReader) -> None:
    ask_about_the_model(reader)
    reader.click("segment-button")
    reader.holds("question", None)
    reader.holds("run_state", "idle")
    assert reader.value("has_result") is False


def test_yes_goes_on_and_the_doubt_stays_in_the_result(reader: PageReader) -> None:
    ask_about_the_model(reader)
    reader.click("question-yes")
    reader.says("summary", "1 of 1 slices analysed")
    reader.holds("run_state", "idle")
    assert any("model 'tiny-mr' was made for MRI" in words for words in reader.value("result_warnings"))
    assert reader.tab.locator("#solid-button").count() == 0, "a single picture has nothing to show in 3-D"


def test_while_a_run_is_under_way_no_other_scan_is_opened(whole: PageReader) -> None:
    whole.start_segmenting(fast=False)
    is_running(whole)
    assert whole.tab.locator("#sample-ct-chest").is_disabled()
    whole.tab.locator("#scans .v-chip", has_text="brain").first.click()
    whole.is_told("A run is in progress")
    whole.click("segment-button")
    whole.holds("run_state", "idle")


def test_the_views_have_the_size_of_the_window_that_the_reader_turns_to(reader: PageReader) -> None:
    second = reader.another_tab()
    second.tab.set_viewport_size({"width": 1000, "height": 900})
    for window in (second, reader, second, reader):
        window.tab.mouse.move(*window.place("Red", 0.5, 0.5))
        window.tab.wait_for_timeout(1000)
        window.tab.mouse.move(*window.place("Red", 0.4, 0.6))
        window.has_pictures()
    second.tab.close()


# The last one: the long scan has a result after it.
def test_the_slice_on_screen_is_drawn_hatched_before_the_run_ends_and_is_no_result(
    whole: PageReader, server: PageServer
) -> None:
    whole.count_until("Red", LESION, lambda n: n == 0)
    whole.start_segmenting()
    is_looked_at_first(whole)
    os.kill(server.worker_pid(), signal.SIGSTOP)  # the run cannot end while it is looked at
    hatched = whole.count_until("Red", LESION, lambda n: n > 100)
    assert whole.value("run_state") == "running"
    assert "hatched, not final" in whole.words("run-words")
    assert whole.value("has_result") is False
    assert whole.value("lesion_rows") == []
    assert whole.tab.locator("#export-segmentation:visible").count() == 0
    asked = whole.tab.request.get(f"http://{server.host}/export/segmentation?secret={server.key}")
    assert not asked.ok, "there is nothing to export"
    assert list(server.temporary.glob("**/*.mrb")) == list(server.temporary.glob("**/*.seg.nrrd")) == []
    os.kill(server.worker_pid(), signal.SIGCONT)
    whole.says("summary", "230 of 230 slices analysed")
    whole.idle()
    assert "First look" not in whole.words("sections")
    number = whole.value("lesion_number")
    assert number
    assert whole.count_until("Red", LESION, lambda n: n > 100) != hatched
