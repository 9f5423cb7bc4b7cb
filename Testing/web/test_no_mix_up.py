"""What a click, a question and a result were for is what they act on, whatever came between; no scan or review is lost on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from asyncio_apart import run_apart

from ClamSegWeb import kept_reviews
from ClamSegWeb import page as page_module
from ClamSegWeb.input_section import InputSection
from ClamSegWeb.kept_reviews import KeptReviews
from ClamSegWeb.open_case import OpenCase
from ClamSegWeb.opened_scan import OpenedScan, open_scan
from ClamSegWeb.page import Page
from ClamSegWeb.roots import Roots
from ClamSegWeb.segment_section import SegmentSection
from ClamSegWeb.transfers import Transfers
from ClamSegWorkflow.scene import SceneError

FACTS = {"is_picture": False, "spacing_known": True, "warnings": []}


class State(SimpleNamespace):
    """trame's, without browsers."""

    def update(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def change(self, *_names: str) -> Callable[[Any], Any]:
        return lambda method: method

    def flush(self) -> None:
        pass


class FakeResult:
    """A result with as many steps of review as are set."""

    def __init__(self, volume: Any) -> None:
        self.volume, self.segmentation, self.is_gone = volume, object(), False
        self.lesions = SimpleNamespace(steps=SimpleNamespace(revision=0))

    def is_reviewed(self) -> bool:
        return bool(self.lesions.steps.revision)

    def remove(self) -> None:
        self.is_gone = True


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A page whose views and worker do nothing; its questions, notices and input are the real ones."""
    made: Any = object.__new__(Page)
    made.state = State(notices=[], log_lines=[], question=None, open_sections=[], enlarged="", kept_reviews=[])
    made._on_answer, made._asked, made._told, made._shown = None, 0, 0, None
    made._is_readers_own = False
    nothing = SimpleNamespace
    made.views = nothing(scene=None, show=lambda *_given, **_named: None, show_nothing=lambda: None)
    made.distances, made.words = nothing(clear=lambda: None), nothing(follow=lambda _case: None)
    made.shown = []
    made.review = nothing(
        show=made.shown.append, show_new=lambda result, _words: made.shown.append(result), stop_drawing=lambda: None
    )
    job = nothing(is_busy=False)
    made.segment = nothing(run=nothing(job=job), scan_changed=lambda _case: None, fill_organ_steps=lambda: None)
    made.kept = nothing(drop=lambda _case: None, sources=list)
    made.later = lambda _call: None
    made.roots, made.worker, made.beside = Roots([]), nothing(), None
    monkeypatch.setattr("ClamSegWeb.input_section.remove_node", lambda _scene, _node: None)
    monkeypatch.setattr(InputSection, "_tell", lambda _section: None)
    monkeypatch.setattr(page_module, "show_segments", lambda _segmentation, _visible: None)
    made.input = InputSection(made)
    return made


def add_scan(page: Any, name: str) -> OpenCase:
    cases = page.input._cases
    volume = SimpleNamespace(GetName=lambda: name)
    cases.append(OpenCase(len(cases) + 1, OpenedScan(volume, Path(f"{name}.nrrd"), False, ()), False))
    page.input.show(cases[-1].id)
    return cases[-1]


def told(page: Any) -> str:
    return " ".join(notice["text"] for notice in page.state.notices)


# Questions


def test_a_question_about_a_scan_is_answered_no_when_another_one_is_shown(page: Any) -> None:
    first, second = add_scan(page, "first"), add_scan(page, "second")
    answers: list[bool] = []
    page.ask("Segment again?", "", answers.append)
    page.input.show(second.id)
    assert answers == [], "it is shown already"
    page.input.show(first.id)
    assert answers == [False]
    assert page.state.question is None
    page.ask("A licence", "", answers.append)
    page.input.close(second.id)
    assert answers == [False], "another scan was closed"
    page.input.close(first.id)
    assert answers == [False, False]


def test_a_run_is_begun_on_no_scan_but_the_one_that_is_shown(page: Any) -> None:
    first, second = add_scan(page, "first"), add_scan(page, "second")
    section: Any = object.__new__(SegmentSection)
    section._page, section._state = page, State(level=1, device="auto", organ_step="auto")
    section._config = lambda _entry: {}
    begun: list[Any] = []
    section.run = SimpleNamespace(start=lambda volumes, _options: begun.extend(volumes))
    for start in (lambda: section._replace_or_start({}, first), lambda: section._start({}, first, 1)):
        start()
        assert "Another scan is shown by now" in told(page)
    assert begun == []
    section._start({}, second, 1)
    assert begun == [second.scan.volume]


def test_a_click_on_an_answer_counts_for_the_question_that_stood_there_and_only_once(page: Any) -> None:
    answers: list[str] = []
    page.ask("licence", "", lambda _yes: page.ask("replace", "", lambda yes: answers.append(f"replace {yes}")))
    licence = page.state.question["id"]
    page.answer_asked(True, licence, 1)
    replace = page.state.question["id"]
    page.answer_asked(True, replace, 2)
    page.answer_asked(True, licence, 1)
    assert answers == [], "neither the second half of a double click nor a late one is an answer"
    assert page.state.question["title"] == "replace"
    page.answer_asked(True, replace, 1)
    assert answers == ["replace True"]
    page.answer_asked(True, replace, 1)
    assert answers == ["replace True"]


def test_a_scan_is_not_closed_by_an_old_question_while_a_run_goes_on(page: Any) -> None:
    case = add_scan(page, "scan")
    case.result = FakeResult(case.scan.volume)
    case.result.lesions.steps.revision = 1
    page.input.close(case.id)
    page.segment.run.job.is_busy = True
    page.answer_asked(True, page.state.question["id"], 1)
    assert page.input._cases == [case]
    assert "A run is in progress" in told(page)


# Results


def test_a_result_is_shown_over_no_other_scan(page: Any) -> None:
    first, second = add_scan(page, "first"), add_scan(page, "second")
    result = FakeResult(first.scan.volume)
    page.shown.clear()
    page.result_arrived(result, "")
    assert page.shown == []
    assert first.result is result
    assert second.result is None
    assert "first has a result" in told(page)
    page.input.show(first.id)
    assert page.shown == [result]
    assert page.input.case_of(result) is first


@pytest.mark.parametrize("yes", [True, False])
def test_decisions_made_while_the_run_went_on_are_replaced_only_after_a_question(page: Any, yes: bool) -> None:
    case = add_scan(page, "scan")
    case.result = older = FakeResult(case.scan.volume)
    older.lesions.steps.revision = 3
    newer = FakeResult(case.scan.volume)
    page.result_arrived(newer, "", replaces=2)
    assert case.result is older
    assert not older.is_gone
    assert page.state.question["title"] == "Replace the review?"
    page.answer_asked(yes, page.state.question["id"], 1)
    assert case.result is (newer if yes else older)
    assert (older.is_gone, newer.is_gone) == (yes, not yes)


def test_a_result_that_waits_for_a_word_is_given_up_by_nothing_but_the_readers_own_no(page: Any) -> None:
    case, other = add_scan(page, "scan"), add_scan(page, "other")
    page.input.show(case.id)
    case.result = older = FakeResult(case.scan.volume)
    older.lesions.steps.revision = 3
    newer = FakeResult(case.scan.volume)
    page.result_arrived(newer, "")
    page.input.show(other.id)
    assert page.state.question is None, "it was about the scan before"
    page.input.show(case.id)
    assert page.state.question["title"] == "Replace the review?"
    page.ask("Another question", "", lambda _yes: None)
    assert not newer.is_gone
    page.answer_asked(True, page.state.question["id"], 1)
    assert page.state.question["title"] == "Replace the review?", "asked again, with nothing else to be answered"
    page.answer_asked(False, page.state.question["id"], 1)
    assert newer.is_gone
    assert case.result is older
    assert page.state.question is None
    newest = FakeResult(case.scan.volume)
    page.result_arrived(newest, "")
    page.input._close(case)
    assert newest.is_gone, "nothing of a closed scan is left"


def waiting(page: Any) -> tuple[OpenCase, FakeResult]:
    """A reviewed scan, and a newer result that waits for the reader's word."""
    case = add_scan(page, "scan")
    case.result = FakeResult(case.scan.volume)
    case.result.lesions.steps.revision = 3
    newer = FakeResult(case.scan.volume)
    page.result_arrived(newer, "")
    return case, newer


def test_an_answer_about_a_result_that_a_newer_one_has_replaced_does_nothing(page: Any) -> None:
    case, _newer = waiting(page)
    newest = FakeResult(case.scan.volume)
    page.result_arrived(newest, "", replaces=3)
    assert case.result is newest
    page.answer_asked(True, page.state.question["id"], 1)
    assert case.result is newest
    assert not newest.is_gone


def test_of_two_results_that_wait_the_newer_one_is_asked_about(page: Any) -> None:
    case, newer = waiting(page)
    newest = FakeResult(case.scan.volume)
    page.result_arrived(newest, "")
    assert newer.is_gone
    page.answer_asked(True, page.state.question["id"], 1)
    assert not case.result.is_gone
    page.answer_asked(True, page.state.question["id"], 1)
    assert case.result is newest


def test_a_scan_with_a_result_that_waits_is_closed_only_after_a_question(page: Any) -> None:
    case, newer = waiting(page)
    page.answer(False)
    case.result.lesions.steps.revision = 0  # undone
    page.input.close(case.id)
    assert not newer.is_gone
    assert page.state.question["title"] == "Close the review?"


def test_a_scan_that_comes_while_a_question_stands_takes_its_place_from_nobody(page: Any, tmp_path: Path) -> None:
    case = add_scan(page, "scan")
    page.input._shown_before = case
    answers: list[bool] = []
    page.ask("Segment again?", "", answers.append)
    volume = SimpleNamespace(GetName=lambda: "next")
    page.input._opened(tmp_path, OpenedScan(volume, tmp_path / "next.nrrd", False, ()), "", lambda _case: None)
    assert page.input.current is case
    assert answers == []
    assert len(page.input._cases) == 2


def test_a_review_that_the_reader_gave_up_before_the_run_is_replaced_without_another_question(page: Any) -> None:
    case = add_scan(page, "scan")
    case.result = FakeResult(case.scan.volume)
    case.result.lesions.steps.revision = 3
    newer = FakeResult(case.scan.volume)
    page.result_arrived(newer, "", replaces=3)
    assert page.state.question is None
    assert case.result is newer


# Opening


def test_the_second_half_of_a_double_click_opens_nothing_of_the_next_list(page: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a.nrrd", "folder/b.nrrd"):
        (tmp_path / name).write_bytes(b"x")
    page.roots = Roots([tmp_path])
    opened: list[str] = []
    page.input.open_path = lambda path: opened.append(path.name)
    page.input.list_folder(None)
    page.input.open_entry(0, "folder", 1)
    page.input.open_entry(0, "b.nrrd", 2)
    page.input.open_entry(0, "folder", 1)
    page.input.open_entry(1, "a.nrrd", 1)
    assert opened == [], "a line that is not there any more"
    page.input.open_entry(0, "b.nrrd", 1)
    assert opened == ["b.nrrd"]


def test_files_that_wait_are_opened_also_where_more_come_or_one_cannot_be_shown(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Callable[..., None]]] = []

    def ask(_scene: Any, _worker: Any, path: Path, _name: str, on_done: Any, *_rest: Any) -> None:
        asked.append((path, on_done))

    monkeypatch.setattr("ClamSegWeb.input_section.open_scan", ask)
    a, b, c, d = (Path(f"{name}.nrrd") for name in "abcd")
    page.input.open_paths([a, b, c])
    page.input.open_paths([d])

    def fails(*_given: object, **_named: object) -> None:
        raise OSError("the file is gone")

    monkeypatch.setattr("ClamSegWeb.input_section.is_dicom_file", fails)
    for k in range(4):
        path, on_done = asked[k]
        on_done(OpenedScan(SimpleNamespace(GetName=lambda: "scan"), path, False, ()), "")
    assert [path for path, _on_done in asked] == [a, b, c, d]
    assert not page.input.is_opening


@pytest.mark.parametrize("error", [RuntimeError("/scans/Doe^Jane"), EOFError(), MemoryError(), None])
def test_whatever_goes_wrong_while_a_scan_is_opened_is_told_and_the_next_one_can_be_opened(
    error: Exception | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene, answers = slicer.vtkMRMLScene(), []

    def request(_command: str, on_event: Callable[[dict[str, Any]], None], **_values: object) -> None:
        # Without an error of the reading, the facts do not fit a volume.
        on_event({"event": "done", **FACTS, "direction": np.eye(3).ravel(), "spacing_mm": [1] * 3, "origin": [0] * 3})

    open_scan(
        scene, SimpleNamespace(request=request), tmp_path, "scan", lambda *answer: answers.append(answer),
        beside=lambda _work, done: done(slicer.vtkOrientedImageData(), error),
    )  # fmt: skip
    ((scan, problem),) = answers
    assert scan is None
    assert problem
    assert "Doe" not in caplog.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


# Kept reviews


def offer(root: Path, *names: str) -> Path:
    """A folder that an earlier page left, with reviews of one upload."""
    page_folder = root / "clamseg-page-old"
    upload = page_folder / "clamseg-uploads-x" / "abcdefgh1234"
    upload.mkdir(parents=True)
    for name in names:
        (upload / f"{name}.nrrd").write_text("voxels")
        review = page_folder / "reviews" / name
        review.mkdir(parents=True)
        source = {"path": str(upload / f"{name}.nrrd"), "name": name, "series": ""}
        (review / "source.json").write_text(json.dumps(source))
        words = np.frombuffer(json.dumps({"decided": 1, "labelled": 0}).encode(), np.uint8)
        np.savez(review / "review.npz", words=words)
    return page_folder


@pytest.fixture
def kept(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptReviews:
    """Two reviews of scans that were uploaded together."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "own").mkdir()
    page.kept = KeptReviews(page, tmp_path / "own", [offer(tmp_path, "a", "b")])
    Transfers(page, "key", 1000)
    return page.kept


def test_a_scan_that_cannot_be_opened_now_is_not_deleted_and_its_review_can_be_brought_later(
    page: Any, kept: KeptReviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (each["id"] for each in page.state.kept_reviews)
    page.input.is_opening = True
    kept.bring(first)
    assert "Wait for the run" in told(page)
    page.input.is_opening = False
    answers: list[tuple[Path, Any]] = []
    monkeypatch.setattr(
        "ClamSegWeb.input_section.open_scan",
        lambda _scene, _worker, path, _name, on_done, *_rest: answers.append((path, on_done)),
    )
    kept.bring(first)
    answers[-1][1](None, "The worker died.")
    kept.bring(first)
    assert answers[-1][0].read_text() == "voxels"
    fails = [True]

    def bring_back(_scene: Any, volume: Any, _folder: Path) -> Any:
        if fails:
            raise SceneError("memory")
        result: Any = FakeResult(volume)
        result.certificate = lambda: ""
        return result

    monkeypatch.setattr(kept_reviews, "bring_back", bring_back)
    for each in (first, second, first):
        kept.bring(each)
        path, on_done = answers[-1]
        if not page.input.is_opening:
            continue
        on_done(OpenedScan(SimpleNamespace(GetName=lambda: "scan"), path, False, ()), "")
    assert {path.parent.parent.parent.name for path in kept.sources()} == {"clamseg-page-old"}, "nothing has moved"
    fails.clear()
    kept.bring(first)
    (left,) = kept.sources()
    assert left.read_text() == "voxels"
    assert "clamseg-page-old" not in str(left), "what was uploaded together moves together, and is found"
    for case in list(page.input._cases):
        if case.result is not None:
            assert case.scan.source.read_text() == "voxels"
            page.input._close(case)
    assert left.read_text() == "voxels", "a review that is offered still needs it"


def test_a_second_click_on_discard_takes_no_other_review_and_nothing_goes_without_a_yes(
    page: Any, kept: KeptReviews
) -> None:
    first, second = (each["id"] for each in page.state.kept_reviews)
    kept.discard(first)
    assert len(kept.sources()) == 2
    page.answer_asked(False, page.state.question["id"], 1)
    kept.discard(first)
    page.answer_asked(True, page.state.question["id"], 1)
    kept.discard(first)
    kept.bring(first)
    assert page.state.question is None
    assert [each["id"] for each in page.state.kept_reviews] == [second]
    assert len(kept.sources()) == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_a_review_that_cannot_be_kept_for_any_reason_is_told(
    page: Any, kept: KeptReviews, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_result: Any) -> None:
        raise error

    monkeypatch.setattr(kept_reviews, "snapshot_of_maps", fails)
    result: Any = SimpleNamespace(
        lesions=SimpleNamespace(decisions=lambda: {1: "accepted"}), marks={}, is_alive=lambda: True
    )
    case = SimpleNamespace(id=1, result=result)

    async def decided() -> None:
        kept.step_done(case)
        await kept.all_written()
        await asyncio.sleep(0)

    run_apart(decided())
    assert "could not be kept" in told(page)
    assert type(error).__name__ in told(page) or str(error) in told(page)
