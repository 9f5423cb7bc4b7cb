"""The page: what its sections share, and how they tell each other what changed. Sections talk only through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ClamSegWeb.distance import Distances
from ClamSegWeb.export_section import ExportSection
from ClamSegWeb.frame import FIRST_STEPS, REVIEW, build_frame, slice_overlay, solid_overlay
from ClamSegWeb.input_section import InputSection
from ClamSegWeb.kept_reviews import KeptReviews
from ClamSegWeb.open_windows import OpenWindows
from ClamSegWeb.review_section import ReviewSection
from ClamSegWeb.roots import Roots
from ClamSegWeb.scene_views import SceneViews
from ClamSegWeb.segment_section import SegmentSection
from ClamSegWeb.training_section import TrainingSection
from ClamSegWeb.view_words import ViewWords
from ClamSegWeb.worker_process import AsyncWorkerProcess
from ClamSegWorkflow.case import licence_words
from ClamSegWorkflow.case.apart import Done, Work
from ClamSegWorkflow.scene.views import show_segments
from ClamSegWorkflow.words import tr as _

_LOG_LINES = 200


class Page:
    """One scene, one worker and the sections around them; all browsers that hold the key see the same.

    Args:
        server: trame's.
        roots: folders that may be opened.
        corrections: folder for saved corrections.
        folder: of this page, for what goes with it.
        left: folders of earlier pages with reviews in them.

    Attributes:
        state: what the browsers show.
        views, worker: the scene and the process behind it.
        kept: reviews on disk, for a page that is killed.
    """

    def __init__(self, server: Any, roots: Roots, corrections: Path, folder: Path, left: list[Path]) -> None:
        self.server, self.roots, self.corrections = server, roots, corrections
        self.state = server.state
        self.state.update(
            {"notices": [], "log_lines": [], "question": None, "window_title": "ClamSeg", "keys_on": True}
        )
        self._on_answer: Callable[[bool], None] | None = None
        self._asked, self._told = 0, 0
        self._shown: Any = None
        self._is_readers_own = False  # an answer, and not that of what took the question's place
        self._tasks: set[asyncio.Task[None]] = set()
        self.worker = AsyncWorkerProcess(self.log, self.state.flush)
        self.views = SceneViews(server, partial(slice_overlay, self.enlarge), partial(solid_overlay, self.enlarge))
        self.input = InputSection(self)
        self.segment = SegmentSection(self)
        self.review = ReviewSection(self)
        self.export = ExportSection(self)
        self.training = TrainingSection(self)
        self.words = ViewWords(self)
        self.distances = Distances(self)
        self.kept = KeptReviews(self, folder, left)
        self.windows = OpenWindows(server)
        build_frame(self)
        server.controller.on_client_connected.add(self.views.draw)

    # What sections tell each other

    def scan_shown(self, case: Any) -> None:
        """Another scan is before the reader's eyes, or none."""
        if case is not self._shown:
            self.answer(False)  # a question was put about what was shown when it was put
        self._shown = case
        self.state.enlarged = ""
        self.distances.clear()
        self.words.follow(case)
        if case is None:
            self.views.show_nothing()
        self._unfold(case is not None and case.result is not None)
        self.segment.scan_changed(case)
        self.review.show(case.result if case is not None else None)
        self._ask_pending()

    def result_arrived(self, result: Any, certificate: str, *, replaces: int | None = None) -> None:
        """A run, or a kept review, brought a result.

        It is shown where its scan is, and over no other one; a review that the reader did not give up goes only after a question.

        Args:
            replaces: state of the earlier review that the reader gave up when the run began, None where there was none.
        """
        case = self.input.case_of(result)
        if case is None:
            result.remove()
            return
        case.drop_pending()  # of a run before
        if case is self.input.current:
            self.review.stop_drawing()  # what is drawn just now counts, and before the older result of this scan goes
        earlier = case.result
        if earlier is None or not earlier.is_reviewed() or earlier.lesions.steps.revision == replaces:
            self._take_result(result, certificate)
            return
        show_segments(result.segmentation, False)
        case.pending = (result, certificate)
        self._ask_pending()

    def _ask_pending(self) -> None:
        """A result that waits for a word is asked about where its scan is shown and no other question stands."""
        case = self.input.current
        if case is None or case.pending is None or self.state.question is not None:
            return
        waiting = result, certificate = case.pending

        def answered(yes: bool) -> None:
            if case.pending is not waiting:
                return  # a newer result came meanwhile, and this one has left the scene
            if not yes and not self._is_readers_own:
                return  # another question or scan came between: it goes on waiting
            case.pending = None
            if yes:
                self._take_result(result, certificate)
            else:
                self._give_up(result)

        self.ask(
            _("Replace the review?"),
            _(
                "{name}: the new result is there, and this scan was reviewed while it was made. The new result replaces that review."
            ).format(name=case.scan.volume.GetName()),
            answered,
            _("Replace"),
        )

    def _take_result(self, result: Any, certificate: str) -> None:
        self.review.stop_drawing()
        self.input.keep_result(result)
        case = self.input.case_of(result)
        if case is None or case is not self.input.current:
            show_segments(result.segmentation, False)
            self.tell(_("{name} has a result; choose the scan to see it.").format(name=result.volume.GetName()))
            return
        self._unfold(True)
        self.review.show_new(result, certificate)

    def _give_up(self, result: Any) -> None:
        result.remove()
        self.tell(_("The review stays; the new result was given up."))

    def _unfold(self, has_result: bool) -> None:
        """Before a result the steps that lead to it are open; with one the review has the room."""
        others = [name for name in self.state.open_sections if name not in FIRST_STEPS]
        self.state.open_sections = [REVIEW] if has_result else list(dict.fromkeys([*FIRST_STEPS, REVIEW, *others]))

    def models_changed(self) -> None:
        """Models came or went."""
        self.segment.fill_models()
        self.training.fill_models()

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way or a scan is being opened."""
        return self.segment.run.job.is_busy or self.input.is_opening

    def close(self) -> None:
        """The page ends: the worker and what makes surfaces with it; a training goes on, and what was decided counts."""
        self.review.decisions.turns.finish()
        self.worker.kill()
        self.review.solid_view.close()

    def enlarge(self, name: str) -> None:
        """A view alone, or all again."""
        self.state.enlarged = name if self.views.enlarge(name) else ""

    # What the reader is told and asked

    def failed(self, text: str) -> None:
        """Something failed: a notice that stays until it is closed."""
        self.log(text)
        self._notice("error", text)

    def tell(self, text: str) -> None:
        """Something to know."""
        self.log(text)
        self._notice("info", text)

    def _notice(self, kind: str, text: str) -> None:
        others = [notice for notice in self.state.notices if notice["text"] != text]
        self._told += 1
        self.state.notices = [*others, {"id": self._told, "kind": kind, "text": text}][-4:]

    def close_notice(self, notice_id: int) -> None:
        """The reader has read it."""
        self.state.notices = [notice for notice in self.state.notices if notice["id"] != notice_id]

    def log(self, line: str) -> None:
        """A line for the log."""
        self.state.log_lines = [*self.state.log_lines, line][-_LOG_LINES:]

    def ask(self, title: str, text: str, on_answer: Callable[[bool], None], yes: str = "") -> None:
        """Puts a question; a second one takes the first one's place, which counts as No."""
        self.answer(False)
        self._on_answer = on_answer
        self._asked += 1
        self.state.question = {
            "id": self._asked, "title": title, "lines": text.split("\n"), "yes": yes or _("Continue"),
        }  # fmt: skip

    def with_licence(self, entry: dict[str, Any] | None, go_on: Callable[[], None]) -> None:
        """Goes on where a model or sample may be used; one for non-commercial use only is asked about, once for all."""
        question = licence_words.question(entry)
        if entry is None or not question:
            go_on()
            return

        def answered(yes: bool) -> None:
            if yes and self._keeps_yes(entry):
                go_on()

        self.ask(licence_words.title(), question, answered, _("I use it non-commercially"))

    def _keeps_yes(self, entry: dict[str, Any]) -> bool:
        from ClamSegLib.system.errors import ClamSegError

        try:
            licence_words.keep_yes(entry, "page")
        except ClamSegError as error:  # the folder of the settings cannot be written
            self.failed(str(error))
            return False
        return True

    def answer_asked(self, yes: bool, question_id: int, clicks: int = 0) -> None:
        """The reader's click on an answer.

        Args:
            question_id: of the question that stood there; one that another has replaced is answered already.
            clicks: how many in a row the browser counts; the second half of a double click says nothing to the next question.
        """
        question = self.state.question
        if question is not None and question["id"] == question_id and clicks <= 1:
            self._is_readers_own = True
            try:
                self.answer(yes)
            finally:
                self._is_readers_own = False
            self._ask_pending()

    def answer(self, yes: bool) -> None:
        """An answer to the question that stands there; none stands there after it."""
        on_answer, self._on_answer = self._on_answer, None
        self.state.question = None
        if on_answer is not None:
            on_answer(bool(yes))

    def later(self, call: Callable[[], None]) -> None:
        """Calls soon, and lets the page breathe before: pictures and clicks go first."""

        def act() -> None:
            call()
            self.state.flush()

        asyncio.get_running_loop().call_later(0.005, act)

    def beside(self, work: Work, done: Done) -> None:
        """Does work that touches no scene in a thread, while the page answers the reader; `done` is called on the loop."""

        async def act() -> None:
            try:
                value = await asyncio.to_thread(work)
            except Exception as error:
                done(None, error)
            else:
                done(value, None)
            self.state.flush()

        task = asyncio.get_running_loop().create_task(act())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
