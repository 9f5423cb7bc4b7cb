"""Segment: model, level, device, and the run with its progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.dicom_report import highdicom_problem
from ClamSegWorkflow.case.display_names import model_titles
from ClamSegWorkflow.case.model_figures import figures_words
from ClamSegWorkflow.case.model_fit import choosable_models, mismatches, model_words, suggest_model
from ClamSegWorkflow.case.progress_text import progress_words
from ClamSegWorkflow.case.result_views import show_fixed_window
from ClamSegWorkflow.case.run_request import RunListener, RunOptions, own_level
from ClamSegWorkflow.case.run_state import State
from ClamSegWorkflow.case.segmentation_run import SegmentationRun
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.words import tr as _

# Where the model looks; the last one for heads in MRI only.
_ORGAN_STEPS = (("auto", _("found by the model")), ("none", _("whole image")), ("strip_skull", _("skull stripped")))
# Before the id of an open scan.
_MASK = "mask "


class SegmentSection(RunListener):
    """Starts and cancels runs, and shows how they go."""

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._models: list[dict[str, Any]] = []
        self._replaces: int | None = None
        self.run = SegmentationRun(page.views.scene, page.worker, self, page.later, page.beside)
        self._state.update(
            {
                "models": [], "model": "", "levels": 1, "level": 1, "model_about": "", "model_figures": "", "fit_doubts": [],
                "devices": [{"title": _("automatic"), "value": "auto"}], "device": "auto",
                "organ_steps": [], "organ_step": "auto",
                "run_state": "idle", "run_words": "", "run_done": 0, "run_total": 0, "can_segment": False,
                "highdicom_words": "",
            }
        )  # fmt: skip
        self._state.change("model")(self._model_changed)
        self.fill_models()

    def look_at_installation(self) -> None:
        """Asks the worker which devices there are and whether torch works."""

        def answered(event: dict[str, Any]) -> None:
            if event["event"] == "greeting":  # what is installed; torch is loaded meanwhile
                self._state.highdicom_words = highdicom_problem(event)
            if event["event"] != "done":
                return
            self._state.devices = [{"title": _("automatic"), "value": "auto"}] + [
                {"title": f"{each['name']} {each['description']}", "value": each["name"]}
                for each in event.get("devices", [])
                if each["works"]
            ]
            self._state.highdicom_words = highdicom_problem(event)
            for problem in event.get("problems", []):
                self._page.failed(problem)

        self._page.worker.request("hello", answered)

    # Choices

    def fill_models(self) -> None:
        """Lists the installed models that can be chosen, keeping the choice."""
        from ClamSegLib.model.registry import list_models

        self._models = choosable_models(list_models())
        names = [entry["name"] for entry in self._models]
        self._state.models = [
            {"title": title, "value": name} for title, name in zip(model_titles(self._models), names, strict=True)
        ]
        if self._state.model not in names:
            self._state.model = names[0] if names else ""
        self._show_model()

    def scan_changed(self, case: Any) -> None:
        """Another scan: the model that fits is suggested."""
        self._state.can_segment = case is not None
        if case is not None:
            name = suggest_model(self._models, facts_of(self._page.views.scene, case.scan.volume))
            if name:
                self._state.model = name
            entry = self._entry()
            if case.result is None and entry is not None and not self._doubts(entry, case):
                show_fixed_window(self._config(entry), case.scan.volume)
        self._show_model()

    def _entry(self) -> dict[str, Any] | None:
        return next((entry for entry in self._models if entry["name"] == self._state.model), None)

    def _config(self, entry: dict[str, Any]) -> dict[str, Any]:
        return dict(json.loads((Path(entry["folder"]) / "config.json").read_text(encoding="utf-8")))

    def _model_changed(self, **_state: Any) -> None:
        self._show_model()

    def _show_model(self) -> None:
        """Levels of the model, its licence, and what does not fit the scan."""
        entry, current = self._entry(), self._page.input.current
        if entry is None:
            self._state.model_about, self._state.model_figures = _("No model is installed."), ""
            return
        self._state.levels, self._state.level = entry["levels"], own_level(entry)
        self.fill_organ_steps()
        self._state.model_about, self._state.model_figures = model_words(entry), figures_words(entry)
        self._state.fit_doubts = self._doubts(entry, current) if current is not None else []

    def fill_organ_steps(self) -> None:
        """Where the model may look: its own ways, and open masks that fit the scan."""
        entry, current = self._entry(), self._page.input.current
        if entry is None:
            return
        steps = dict(_ORGAN_STEPS if entry["modality"] == "MR" else _ORGAN_STEPS[:2])
        for mask in self._page.input.masks_for(current) if current is not None else []:
            steps[f"{_MASK}{mask.id}"] = _("mask: {name}").format(name=mask.scan.volume.GetName())
        self._state.organ_steps = [{"title": title, "value": value} for value, title in steps.items()]
        if self._state.organ_step not in steps:
            self._state.organ_step = "auto"

    def _doubts(self, entry: dict[str, Any], case: Any) -> list[str]:
        volume = case.scan.volume
        return mismatches(self._config(entry), facts_of(self._page.views.scene, volume), matrix_of(volume))

    # The run

    @user_action(_("The segmentation could not be started."))
    def segment_or_cancel(self, clicks: int = 1) -> None:
        """The button: starts a run, or ends the one under way.

        Args:
            clicks: how many in a row the browser counts; the second half of a double click ends nothing.
        """
        if self.run.job.is_busy:
            if clicks > 1 and self._state.question is None:
                return
            self._page.answer(False)
            self.run.cancel()
            self._state.run_words = _("Cancelled.")
            return
        entry, current = self._entry(), self._page.input.current
        if entry is None or current is None:
            self._page.failed(_("Choose a scan and a model first."))
            return
        self._page.with_licence(entry, lambda: self._replace_or_start(entry, current))

    @user_action(_("The segmentation could not be started."))
    def _replace_or_start(self, entry: dict[str, Any], current: Any) -> None:
        self._is_shown(current)
        level = int(self._state.level)
        self._page.review.stop_drawing()  # what is drawn just now counts as well
        if current.result is not None and current.result.is_reviewed():
            self._page.ask(
                _("Segment again?"),
                _(
                    "The review of this scan has decisions or labelled slices; a new result replaces it. Export it first to keep it."
                ),
                lambda yes: self._start(entry, current, level) if yes else None,
                _("Segment again"),
            )
            return
        self._start(entry, current, level)

    @user_action(_("The segmentation could not be started."))
    def _start(self, entry: dict[str, Any], current: Any, level: int) -> None:
        self._is_shown(current)
        self._page.answer(False)  # what was asked before is not asked about what this run brings
        # A review that the reader gave up just now; what is decided while the run goes on is another one.
        reviewed = current.result is not None and current.result.is_reviewed()
        self._replaces = current.result.lesions.steps.revision if reviewed else None
        options = RunOptions(
            entry,
            self._config(entry),
            device=self._state.device,
            level=level,
            organ=self._organ(current),
        )
        self.run.start([current.scan.volume], options)

    def _is_shown(self, case: Any) -> None:
        """A run is of the scan before the reader's eyes.

        Raises:
            SceneError: another one was chosen while a question stood.
        """
        if case is not self._page.input.current:
            raise SceneError(_("Another scan is shown by now; choose Segment again."))

    def _organ(self, case: Any) -> str:
        """The organ step as the worker takes it: for a mask its file."""
        step = str(self._state.organ_step)
        if not step.startswith(_MASK):
            return step
        for mask in self._page.input.masks_for(case):
            if step == f"{_MASK}{mask.id}":
                return str(mask.scan.source)
        raise SceneError(_("The mask of the organ is not open any more; open it again, or choose another organ step."))

    def state_changed(self, state: State) -> None:
        """Segment is Cancel while a run is under way."""
        self._state.run_state = state.value
        if state is State.IDLE:
            self._state.run_words = ""
        self._state.flush()

    def progressed(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """Slices, stage and time left."""
        self._state.run_done, self._state.run_total = int(done), int(total)
        self._state.run_words = progress_words(stage, done, total, seconds_left, self.run.first_words)

    def looked_first(self, words: str) -> None:
        """Some slices are drawn before all are known."""
        self._state.run_words = words
        self._page.views.draw()

    def said(self, text: str) -> None:
        """Warnings and notes go to the log."""
        self._page.log(text)

    def finished_case(self, result: Any, certificate: str) -> None:
        """A result is in the scene."""
        self._page.result_arrived(result, certificate, replaces=self._replaces)

    def failed(self, text: str) -> None:
        """The run ended with failures."""
        self._state.run_words = text
        self._page.failed(text)
        self._state.flush()

    def confirms(self, volume: str, doubts: list[str]) -> bool | None:
        """Doubts are shown before the run; the answer comes later and stays in the result."""
        self._page.views.draw()
        self._state.run_words = _("waiting for your answer")
        self._page.ask(_("Does this fit?"), f"{volume}:\n" + "\n".join(doubts), self.run.answer, _("Segment anyway"))
        return None
