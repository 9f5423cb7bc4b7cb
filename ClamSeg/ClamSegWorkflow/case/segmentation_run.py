"""One click on Segment: volumes to the worker, results into the scene, one after the other.

Everything that takes time comes back by callback: the worker's events, and `later`, which lets the window answer
between two steps (QTimer.singleShot in Slicer, a plain call in tests). A run that was cancelled, or whose scene was
closed, leaves nothing behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ClamSegWorkflow.case.apart import Beside, Steps, at_once
from ClamSegWorkflow.case.doubtful_outline import DoubtfulOutline
from ClamSegWorkflow.case.first_look import FirstLook
from ClamSegWorkflow.case.model_fit import organ_doubts
from ClamSegWorkflow.case.run_import import import_case
from ClamSegWorkflow.case.run_input import RunCase, new_case, write_organ, write_scan
from ClamSegWorkflow.case.run_request import RunListener, RunOptions
from ClamSegWorkflow.case.run_state import Job, State
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.scan_facts import reading_of
from ClamSegWorkflow.words import tr as _

_OUTLINE = "organ.npy"
Later = Callable[[Callable[[], None]], None]


class SegmentationRun:
    """Runs one volume or a batch; one at a time.

    Args:
        scene: the MRML scene.
        worker: has `request(command, on_event, **values)` and `kill()`.
        listener: whom to tell.
        later: calls a function soon.
        beside: does work that touches no scene.
    """

    def __init__(self, scene: Any, worker: Any, listener: RunListener, later: Later, beside: Beside = at_once) -> None:
        self._scene, self._worker, self._listener, self._later = scene, worker, listener, later
        self._beside = beside
        self.job = Job(listener.state_changed)
        self._waiting: list[Any] = []
        self._options: RunOptions | None = None
        self._case: RunCase | None = None
        self._turn = 0  # tells a late callback of a cancelled run from the present one
        self._failures: list[str] = []
        self.done, self.total = 0, 0
        self.is_asking = False  # the user's answer to doubts is awaited
        self._outline = DoubtfulOutline(scene)
        self._first = FirstLook(scene)

    @property
    def first_words(self) -> str:
        """What a first look shows now, '' where nothing."""
        return self._first.words

    def start(self, volumes: list[Any], options: RunOptions) -> None:
        """Begins; a second call while a run is under way does nothing."""
        if self.job.is_busy:
            return
        self._waiting, self._options = list(volumes), options
        self._failures, self.done, self.total = [], 0, len(volumes)
        self._turn += 1
        self.job.move(State.STARTING)
        if not volumes:
            self._finish_with(_("Choose a volume first."))
            return
        self._next()

    def cancel(self) -> None:
        """Ends the run at once and without a result; no error is shown."""
        if not self.job.is_busy or self.job.state is State.CANCELLING:
            return
        self.job.move(State.CANCELLING)
        self._turn += 1
        self._worker.kill()
        self._clean_up()
        self._waiting = []
        self.job.move(State.IDLE)

    def scene_closed(self) -> None:
        """The scene is gone: the run ends and nothing is imported into the next scene."""
        self.cancel()

    # Steps of one case

    def _next(self) -> None:
        if not self._waiting:
            self._end()
            return
        volume = self._waiting.pop(0)
        if self.job.state is State.IMPORTING:
            self.job.move(State.STARTING)
        try:
            self._begin(volume)
        except (SceneError, OSError, MemoryError) as error:
            self._fail(_sentence(error))

    def _begin(self, volume: Any) -> None:
        assert self._options is not None
        case = self._case = new_case(self._scene, volume, self._options)
        case.organ = write_organ(self._scene, case, self._options)
        self._listener.progressed("writing", 0, 1, None)
        steps = write_scan(case)
        if case.is_picture:
            self._inspect()
            return
        turn = self._turn
        self._later(lambda: self._write_on(steps, turn))

    def _write_on(self, steps: Any, turn: int) -> None:
        if turn != self._turn:
            return
        try:
            done, total = next(steps)
        except StopIteration:
            self._inspect()
            return
        except OSError as error:
            self._fail(_sentence(error))
            return
        self._listener.progressed("writing", done, total, None)
        self._later(lambda: self._write_on(steps, turn))

    def _inspect(self) -> None:
        """A look at the organ first, so that doubts are shown before the run and not after."""
        case, options = self._case, self._options
        assert case is not None
        assert options is not None
        self.job.move(State.RUNNING)
        self._listener.progressed("checking the organ", 0, 0, None)
        chosen = {"device": options.device, "organ": case.organ}
        self._ask("inspect", self._inspected, case, chosen, outline=str(case.folder / _OUTLINE))

    def _ask(
        self, command: str, on_event: Callable[[dict[str, Any]], None], case: RunCase, chosen: Any, **more: Any
    ) -> None:
        assert self._options is not None
        turn = self._turn

        def current(event: dict[str, Any]) -> None:
            if turn == self._turn:
                on_event(event)

        self._worker.request(
            command, current, input=str(case.input), model=self._options.model["folder"], options=chosen,
            **reading_of(case.volume).lacking, **more,
        )  # fmt: skip

    def _inspected(self, event: dict[str, Any]) -> None:
        if self._common(event) or event["event"] != "done":
            return
        case = self._case
        assert case is not None
        of_organ = organ_doubts(event["organ"])
        case.doubts += [text for text in of_organ if text not in case.doubts]
        if of_organ and self._options is not None:
            # What is asked about lies before the reader's eyes.
            self._outline.show(case.volume, case.record, case.folder / _OUTLINE, self._options.config["organ"]["name"])
        goes_on = self._listener.confirms(case.name, case.doubts) if case.doubts else True
        self.is_asking = goes_on is None
        if goes_on is not None:
            self._go_on(goes_on)

    def answer(self, goes_on: bool) -> None:
        """The user's answer to doubts that the listener could not answer at once; ignored where nothing was asked."""
        if self.is_asking:
            self.is_asking = False
            self._go_on(goes_on)

    def _go_on(self, goes_on: bool) -> None:
        case = self._case
        assert case is not None
        self._outline.remove()
        if goes_on:
            self._segment()
            return
        self._listener.said(_("{name}: not segmented, as you chose.").format(name=case.name))
        self._drop_case()

    def _segment(self) -> None:
        case, options = self._case, self._options
        assert case is not None
        assert options is not None
        chosen = {"device": options.device, "level": options.level, "organ": case.organ, "threshold": options.threshold}
        self._ask(
            "segment", self._segmented, case, chosen,
            output=str(case.folder / "result"), accepted=case.doubts, arrays=True, pictures=False,
            **self._first.wanted(case, options.config["plane"]),
        )  # fmt: skip

    def _segmented(self, event: dict[str, Any]) -> None:
        if event["event"] == "preview":
            self._looked_first(event)
            return
        if self._common(event) or event["event"] != "done":
            return
        self.job.move(State.IMPORTING)
        self._listener.progressed("showing", 0, 0, None)
        turn = self._turn
        self._later(lambda: self._import(Path(event["folder"]), turn))

    def _looked_first(self, event: dict[str, Any]) -> None:
        case, options = self._case, self._options
        if case is not None and options is not None and self._first.show(case, event, options.config):
            self._listener.looked_first(self._first.words)

    def _common(self, event: dict[str, Any]) -> bool:
        """Progress, words and failures; True where nothing more is to be done with the event."""
        kind = event["event"]
        if kind == "progress":
            self._listener.progressed(event["stage"], event["done"], event["total"], event.get("seconds_left"))
        elif kind in ("warning", "note"):
            self._listener.said(event["message"])
        elif kind == "error":
            self._fail(event["message"])
        else:
            return False
        return True

    def _import(self, folder: Path, turn: int) -> None:
        if turn != self._turn:
            return
        case, options = self._case, self._options
        assert case is not None
        assert options is not None
        self._import_on(import_case(self._scene, case, folder, options.config), turn)

    def _import_on(self, steps: Steps[Any], turn: int, value: Any = None, failed: Exception | None = None) -> None:
        """On with an import, whose work came back with a value or failed."""
        if turn != self._turn:
            steps.close()
            return
        try:
            work = steps.send(value) if failed is None else steps.throw(failed)
        except StopIteration as end:
            result, certificate, report = end.value
        except (SceneError, OSError, MemoryError, ValueError, KeyError) as error:
            self._fail(_sentence(error))
            return
        except BaseException:
            self._first.remove()  # nothing provisional stays without a run
            raise
        else:
            self._beside(work, lambda value, failed: self._import_on(steps, turn, value, failed))
            return
        self._first.remove()
        self._tell_speed(report)
        self._listener.finished_case(result, str(certificate))
        self.done += 1
        self._clean_up()
        self._next()

    def _tell_speed(self, report: dict[str, Any]) -> None:
        seconds, slices = report["seconds"].get("network"), report["slices"]["analysed"]
        if seconds and slices:
            model = report["model"]
            self._listener.measured(model["name"], report["device"], model["level"], seconds / slices)

    # Ends

    def _drop_case(self) -> None:
        """A case the user did not want: on with the next one."""
        self._clean_up()
        self.job.move(State.IMPORTING)
        self._next()

    def _fail(self, message: str) -> None:
        """A case failed: said, and on with the next one; nothing of it is in the scene."""
        name = self._case.name if self._case is not None else ""
        text = f"{name}: {message}" if self.total > 1 and name else message
        self._failures.append(text)
        self._clean_up()
        if self._waiting:
            if self.job.state is State.STARTING:
                self.job.move(State.RUNNING)
            if self.job.state is State.RUNNING:
                self.job.move(State.IMPORTING)
            self._listener.said(text)
            self._next()
            return
        self._end()

    def _end(self) -> None:
        if self._failures:
            self._finish_with("\n".join(self._failures))
        else:
            if self.job.state is State.STARTING:
                self.job.move(State.RUNNING)
                self.job.move(State.IMPORTING)
            self.job.move(State.IDLE)

    def _finish_with(self, message: str) -> None:
        self.job.move(State.FAILED)
        self._listener.failed(message)

    def _clean_up(self) -> None:
        self.is_asking = False
        self._outline.remove()
        self._first.remove()
        if self._case is not None:
            folder, self._case = self._case.folder, None
            # Some hundred MB of arrays take a part of a second.
            self._beside(lambda: shutil.rmtree(folder, ignore_errors=True), lambda _value, _error: None)


def _sentence(error: Exception) -> str:
    """What the user reads of an exception; no traceback, no address."""
    if isinstance(error, SceneError):
        return str(error)
    if isinstance(error, MemoryError):
        return _("Memory ran out in Slicer; close other scenes or programs and run again.")
    if isinstance(error, OSError):
        return _("A file could not be written or read ({error}); check the disk and run again.").format(
            error=error.strerror or error
        )
    return _("The worker's answer cannot be used ({error}); run again, or see the log.").format(error=error)
