"""Segment: model, organ step, device, level, and the run with its progress."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ClamSegPanel.colours import say
from ClamSegPanel.quick_clicks import QuickClicks
from ClamSegPanel.run_speeds import RunSpeeds
from ClamSegPanel.setup.faster_engine import is_offered
from ClamSegWorkflow.case.display_names import model_titles
from ClamSegWorkflow.case.model_figures import figures_words
from ClamSegWorkflow.case.model_fit import mismatches, model_words, suggest_model
from ClamSegWorkflow.case.progress_text import progress_words
from ClamSegWorkflow.case.run_request import RunListener, RunOptions, own_level
from ClamSegWorkflow.case.run_state import State
from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.scene.volumes import problem_of_volume

ORGAN_STEPS = ("auto", "segment", "roi", "none", "strip_skull")
# Shorter work is run by the network as trained, whatever is installed.
_LONG_S = 10.0


class SegmentSection(RunListener):
    """Starts and cancels runs, and shows how they go."""

    def __init__(self, panel: Any) -> None:
        self._panel = panel
        self._ui = panel.ui
        self._models: list[dict[str, Any]] = []
        self._filling = False
        self._chosen_by_user = False
        self._results = self._waiting = 0
        self._speeds = RunSpeeds(panel)
        self.run = panel.logic.new_run(self)
        self._ui.organSelector.addItems(
            [
                _("found by the model"),
                _("an existing segment"),
                _("an ROI"),
                _("whole image"),
                _("skull stripped (MRI)"),
            ]
        )
        for part in self._ui.organSegmentSelector.children():
            if part.isWidgetType():
                part.toolTip = self._ui.organSegmentSelector.toolTip
        self._ui.modelSelector.connect("currentIndexChanged(int)", self._model_changed)
        self._ui.organSelector.connect("currentIndexChanged(int)", self._organ_changed)
        self._ui.organSegmentSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._organ_segment_changed)
        self._ui.organSegmentSelector.connect("currentSegmentChanged(QString)", self._organ_segment_changed)
        self._ui.deviceSelector.connect("currentIndexChanged(int)", self._device_changed)
        self._ui.levelSlider.connect("valueChanged(double)", self._level_changed)
        self._quick = QuickClicks(self._ui.applyButton)
        self._ui.applyButton.connect("clicked(bool)", self._apply)
        self.fill_models()
        self.fill_devices()
        self._organ_changed(0)

    def close(self) -> None:
        """The window goes: a run ends."""
        self.run.cancel()

    def bind(self) -> None:
        """The choices of this scene are there."""
        node = self._panel.node
        self._ui.organSelector.currentIndex = ORGAN_STEPS.index(node.organStep) if node.organStep in ORGAN_STEPS else 0
        self._bind_organ_segment(node)
        self._chosen_by_user = bool(node.model)
        self.fill_models()

    def _bind_organ_segment(self, node: Any) -> None:
        """Shows the organ's segment that this scene remembers; the selector itself is bound by nothing of Slicer's."""
        segmentation, segment = node.organSegmentation, node.organSegment
        self._filling = True
        try:
            self._ui.organSegmentSelector.setCurrentNode(segmentation)
            if segmentation is not None and segment:
                self._ui.organSegmentSelector.setCurrentSegmentID(segment)
        finally:
            self._filling = False

    def _organ_segment_changed(self, _changed: Any = None) -> None:
        node, selector = self._panel.node, self._ui.organSegmentSelector
        # While a scene comes or goes the selector follows its nodes: that is no choice of the user's.
        if node is not None and not self._filling and not slicer.mrmlScene.IsBatchProcessing():
            node.organSegmentation = selector.currentNode()
            node.organSegment = selector.currentSegmentID() or ""

    def scene_closing(self) -> None:
        """A run ends without a result, and the next one begins in the next scene."""
        self.run.scene_closed()

    # Choices

    def fill_models(self) -> None:
        """Fills the list of models, keeping the choice."""
        chosen = self._panel.node.model if self._panel.node is not None else ""
        self._filling = True
        try:
            self._models = self._panel.logic.choosable_models()
            self._ui.modelSelector.clear()
            self._ui.modelSelector.addItems(model_titles(self._models))
            names = [entry["name"] for entry in self._models]
            if chosen in names:
                self._ui.modelSelector.currentIndex = names.index(chosen)
        finally:
            self._filling = False
        if not self._models:
            self._ui.fitLabel.text = _("No model is installed; import one in Setup.")
            self._ui.fitLabel.visible = True
            self._ui.modelFiguresLabel.text = ""
        self.volume_changed(self._ui.volumeSelector.currentNode())

    def fill_devices(self) -> None:
        """Fills the list of devices as the worker found them; 'automatic' before it was asked."""
        devices = self._panel.logic.installation.get("devices", [])
        chosen = self._panel.setting("device", "auto")
        self._filling = True
        try:
            self._ui.deviceSelector.clear()
            self._ui.deviceSelector.addItem(_("automatic"))
            self._device_names = ["auto"]
            for device in devices:
                if device["works"]:
                    free = device.get("free_mb")
                    memory = _(", {free:.1f} GB free").format(free=free / 1024) if free else ""
                    self._ui.deviceSelector.addItem(f"{device['name']} {device['description']}{memory}")
                    self._device_names.append(device["name"])
            if chosen in self._device_names:
                self._ui.deviceSelector.currentIndex = self._device_names.index(chosen)
        finally:
            self._filling = False
        self._show_time()

    def volume_changed(self, volume: Any) -> None:
        """Another scan: the model that fits is suggested, unless the user chose one."""
        if volume is not None and not problem_of_volume(volume) and not self._chosen_by_user and self._models:
            name = suggest_model(self._models, facts_of(slicer.mrmlScene, volume))
            names = [entry["name"] for entry in self._models]
            if name in names:
                self._filling = True
                self._ui.modelSelector.currentIndex = names.index(name)
                self._filling = False
        self._show_model()

    def chosen_model(self) -> dict[str, Any] | None:
        """Entry of the chosen model."""
        index = self._ui.modelSelector.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    def device(self) -> str:
        """Name of the chosen device."""
        index = self._ui.deviceSelector.currentIndex
        return self._device_names[index] if 0 <= index < len(self._device_names) else "auto"

    def _model_changed(self, index: int) -> None:
        if self._filling:
            return
        entry = self.chosen_model()
        if entry is not None and self._panel.node is not None:
            self._panel.node.model = entry["name"]
            self._chosen_by_user = True
        self._show_model()

    def _organ_changed(self, index: int) -> None:
        step = ORGAN_STEPS[max(0, index)]
        for widget in (self._ui.organSegmentSelector, self._ui.organSegmentLabel_):
            widget.visible = step == "segment"
        for widget in (self._ui.organRoiSelector, self._ui.organRoiLabel_):
            widget.visible = step == "roi"
        if self._panel.node is not None:
            self._panel.node.organStep = step

    def _device_changed(self, index: int) -> None:
        if not self._filling:
            self._panel.keep_setting("device", self.device())
            self._show_time()

    def _level_changed(self, level: float) -> None:
        entry = self.chosen_model()
        if entry is not None and self._panel.node is not None and not self._filling:
            self._panel.node.level = 0 if int(level) == own_level(entry) else int(level)
        self._show_time()

    def _show_model(self) -> None:
        """Levels of the model, and what does not fit the volume."""
        entry, volume = self.chosen_model(), self._ui.volumeSelector.currentNode()
        self._ui.applyButton.enabled = True
        if entry is None:
            return
        kept = self._panel.node.level if self._panel.node is not None else 0
        self._filling = True
        self._ui.levelSlider.maximum = float(entry["levels"])
        self._ui.levelSlider.value = float(kept or own_level(entry))
        self._filling = False
        doubts = []
        if volume is not None and not problem_of_volume(volume):
            doubts = mismatches(self._panel.logic.config(entry), facts_of(slicer.mrmlScene, volume), matrix_of(volume))
        words = [*doubts, *([] if entry["task"] == "lesion" else [model_words(entry)])]
        say(self._ui.fitLabel, "\n".join(words), "warning" if doubts else "ok")
        self._ui.fitLabel.visible = bool(words)
        self._ui.modelSelector.toolTip = model_words(entry)
        self._ui.modelFiguresLabel.text = figures_words(entry)
        self._show_time()

    # Time

    def _computing(self, device: str) -> str:
        """The device that a run takes: 'automatic' is a GPU where there is one."""
        if device != "auto":
            return device
        return "cuda:0" if any(name.startswith("cuda") for name in self._device_names) else "cpu"

    def level_seconds(self, level: int) -> float | None:
        """Seconds the chosen volumes will take at a level, as the last run on this computer took; None before one."""
        entry = self.chosen_model()
        volumes = [v for v in self._panel.input.volumes() if not problem_of_volume(v)] if entry is not None else []
        if entry is None or not volumes:
            return None
        each = self._speeds.seconds_a_slice(entry["name"], self._computing(self.device()), level)
        if each is None:
            return None
        return each * sum(facts_of(slicer.mrmlScene, volume).n_slices for volume in volumes)

    def _show_time(self) -> None:
        entry = self.chosen_model()
        if entry is None:
            self._ui.levelTimeLabel.text = ""
            return
        level, deepest = int(self._ui.levelSlider.value), entry["levels"]
        name = _("accurate") if level >= deepest else _("fast, finds less") if level == 1 else _("in between")
        seconds = self.level_seconds(level)
        if seconds is None:
            self._ui.levelTimeLabel.text = _("{name} ({level} of {deepest})").format(
                name=name, level=level, deepest=deepest
            )
            return
        time = _("under a second") if seconds < 1 else _("about {n} s").format(n=round(seconds))
        words = _("{name} ({level} of {deepest}), {time} in the network")
        if seconds >= _LONG_S and is_offered(self._panel.logic.installation):
            words = _("{name} ({level} of {deepest}), {time} in the network; Setup offers a faster engine")
        self._ui.levelTimeLabel.text = words.format(name=name, level=level, deepest=deepest, time=time)

    # The run

    def _apply(self, checked: bool = False) -> None:
        if not self._quick.is_second():  # which would cancel what the first one started
            self._start_or_cancel()
            self._quick.done()

    def _start_or_cancel(self) -> None:
        if self.run.job.is_busy:
            self.run.cancel()
            self._ui.progressLabel.text = _("Cancelled.")
            return
        with slicer.util.tryWithErrorDisplay(_("The segmentation could not be started.")):
            self._start()

    def _start(self) -> None:
        entry = self.chosen_model()
        if entry is None:
            self._panel.failed(_("No model is chosen; import one in Setup."))
            return
        problem = self._panel.logic.torch_problem()
        if problem:
            self._panel.failed(problem)
            return
        if not self._panel.licence_confirmed(entry):
            return
        step = ORGAN_STEPS[max(0, self._ui.organSelector.currentIndex)]
        selector = self._ui.organSegmentSelector
        node = selector.currentNode() if step == "segment" else self._ui.organRoiSelector.currentNode()
        options = RunOptions(
            entry,
            self._panel.logic.config(entry),
            device=self.device(),
            level=int(self._ui.levelSlider.value),
            organ=step,
            organ_node=node if step in ("segment", "roi") else None,
            organ_segment=selector.currentSegmentID() if step == "segment" else "",
        )
        self._results = self._waiting = 0
        self._panel.run_starts()
        self.run.start(self._panel.input.volumes(), options)

    def state_changed(self, state: State) -> None:
        """Apply is Cancel while a run is under way."""
        busy = state in (State.STARTING, State.RUNNING, State.IMPORTING, State.CANCELLING)
        self._ui.applyButton.text = _("Cancel") if busy else _("Segment")
        self._ui.progressBar.visible = busy
        for widget in (self._ui.modelSelector, self._ui.organSelector, self._ui.deviceSelector, self._ui.levelSlider):
            widget.enabled = not busy
        if state is State.IDLE:
            words = _("Done.") if self._results else ""
            if self._waiting:  # the section that lists them may be folded
                words = _("Done. Not shown yet, because a review is under way: {n}; choose in Review, Result.").format(
                    n=self._waiting
                )
            self._ui.progressLabel.text = words
        self._panel.run_changed(state)

    def progressed(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """Slices, stage and time left."""
        self._ui.progressBar.maximum = int(total)
        self._ui.progressBar.value = int(done)
        words = progress_words(stage, done, total, seconds_left, self.run.first_words)
        if self.run.total > 1:
            words = _("Volume {n} of {all}. ").format(n=self.run.done + 1, all=self.run.total) + words
        self._ui.progressLabel.text = words

    def looked_first(self, words: str) -> None:
        """Some slices are drawn before all are known."""
        self._ui.progressLabel.text = words

    def said(self, text: str) -> None:
        """Warnings and notes go to the log."""
        self._panel.log(text)

    def finished_case(self, result: Any, certificate: str) -> None:
        """A result is in the scene."""
        self._results += 1
        if not self._panel.result_arrived(result, certificate):
            self._waiting += 1

    def failed(self, text: str) -> None:
        """The run ended with failures."""
        self._ui.progressLabel.text = text
        self._panel.failed(text)

    def measured(self, model: str, device: str, level: int, seconds_a_slice: float) -> None:
        """Keeps the speed for the next estimate."""
        self._speeds.keep(model, self._computing(device), level, seconds_a_slice)
        self._show_time()

    def confirms(self, volume: str, doubts: list[str]) -> bool:
        """Doubts are shown before the run; the answer stays in the result."""
        question = _("{volume}:\n\n{doubts}\n\nSegment anyway? Your answer is kept with the result.")
        return self._panel.ask(_("Does this fit?"), question.format(volume=volume, doubts="\n".join(doubts)))
