"""What the sections of the window share, and how they tell each other what changed."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ClamSegPanel.input_section import InputSection
from ClamSegPanel.keyboard import order_tabs
from ClamSegPanel.review.review_section import ReviewSection
from ClamSegPanel.segment_section import SegmentSection
from ClamSegPanel.setup.setup_section import SetupSection
from ClamSegPanel.training_section import TrainingSection
from ClamSegWorkflow.case import licence_words
from ClamSegWorkflow.case.run_state import State
from ClamSegWorkflow.scene.overlays import map_ids, remove_nodes


class Panel:
    """The window's sections around one logic.

    Attributes:
        ui: widgets by object name.
        logic: ClamSegLogic.
        node: parameter node of the scene, None while a scene closes.
    """

    def __init__(self, ui: Any, logic: Any, widget: Any) -> None:
        self.ui, self.logic, self.widget = ui, logic, widget
        self.node: Any = None
        logic.on_log = self.log
        self.input = InputSection(self)
        self.segment = SegmentSection(self)
        self.review = ReviewSection(self)
        self.training = TrainingSection(self)
        self.setup = SetupSection(self)
        self._looked = False
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.connect("timeout()", self._show_decisions)
        order_tabs(ui)

    # What the widget tells

    def bind(self, node: Any) -> None:
        """The choices of this scene are there."""
        self.node = node
        for section in (self.segment, self.input, self.review, self.training):
            section.bind()

    def entered(self) -> None:
        """The user came to the module."""
        if not self._looked:
            self._looked = True
            self.setup.look()
        self.review.take_over_edits()

    def left(self) -> None:
        """The user goes to another module, where clicks and keys mean something else."""
        self.review.left()

    def scene_closing(self) -> None:
        """The scene is about to go."""
        self.node = None
        self.segment.scene_closing()
        self.review.scene_closing()
        self.logic.forget_results()

    def scene_changed(self) -> None:
        """Another scene is there."""
        self.review.scene_changed()

    def segmentation_removed(self, segmentation: Any) -> None:
        """A result is gone: its maps follow, later, because the scene is still telling of the removal."""
        self.review.arrivals.removed(segmentation)
        scene, ids = slicer.mrmlScene, map_ids(slicer.mrmlScene, segmentation)
        if ids:
            self.logic.later(lambda: remove_nodes(scene, ids))

    def close(self) -> None:
        """The window goes: timers and shortcuts end; a training goes on."""
        self._soon.stop()
        for section in (self.setup, self.segment, self.review, self.training):
            section.close()

    # What sections tell each other

    def volume_changed(self, volume: Any) -> None:
        """Another scan was chosen: the steps that lead to its result are open."""
        self._fold(False)
        self.segment.volume_changed(volume)

    def models_changed(self) -> None:
        """Models came or went, or the set-up was looked at."""
        self.segment.fill_models()
        self.segment.fill_devices()
        self.training.fill_models()
        self.setup.fill_models()

    def result_arrived(self, result: Any, certificate: str) -> bool:
        """A run brought a result; whether it is shown, rather than waits in the list."""
        self.logic.keep_result(result)
        is_shown = self.review.arrived(result, certificate)
        if is_shown:
            self._soon.start()  # when the opened section has its height
        return is_shown

    def run_starts(self) -> None:
        """The reader asked for results."""
        self.review.run_starts()

    def _fold(self, folded: bool) -> None:
        """With a result the review has the room; before one the steps that lead to it."""
        for section in (self.ui.inputSection, self.ui.segmentSection):
            section.collapsed = folded

    def _show_decisions(self) -> None:
        """Folds the steps before the review, and scrolls so far that a lesion can be decided on, where the screen is too low
        for the whole panel.
        """
        if not self.segment.run.job.is_busy:  # else Cancel and the progress of those that follow stay in sight
            self._fold(True)
        area = self.widget.parent()
        while area is not None and not area.inherits("QScrollArea"):
            area = area.parent()
        if area is not None:
            area.ensureWidgetVisible(self.ui.acceptButton)

    def run_changed(self, state: State) -> None:
        """A run begins, ends, or is cancelled, which ends the worker and whatever else it does."""
        if state is State.CANCELLING:
            self.setup.engine.interrupted()
        elif state in (State.IDLE, State.FAILED):
            self.setup.engine.go_on()

    def log(self, line: str) -> None:
        """A line for the log; the widget keeps the last 500."""
        self.ui.logText.appendPlainText(line)

    def ask(self, title: str, text: str) -> bool:
        """A question the user must answer with OK."""
        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=title))

    def licence_confirmed(self, entry: dict[str, Any] | None) -> bool:
        """Whether a model may be used; one for non-commercial use only is asked about, once for all."""
        question = licence_words.question(entry)
        if entry is None or not question:
            return True
        if not self.ask(licence_words.title(), question):
            return False
        licence_words.keep_yes(entry, "panel")
        return True

    def failed(self, text: str) -> None:
        """Something failed: said in a window that closes by itself in testing mode."""
        self.log(text)
        slicer.util.errorDisplay(text, windowTitle=_("ClamSeg"))

    # The application's settings: what belongs to the computer

    def setting(self, name: str, default: str = "") -> str:
        """A setting of this computer."""
        return str(slicer.util.settingsValue(f"ClamSeg/{name}", default))

    def keep_setting(self, name: str, value: str) -> None:
        """Keeps a setting of this computer."""
        qt.QSettings().setValue(f"ClamSeg/{name}", value)
