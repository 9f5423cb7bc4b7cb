"""Review: the result that is open, its summary, its lesion table and its threshold; what is done with them lies beside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer
from slicer.i18n import tr as _

from ClamSegPanel.review.arrivals import Arrivals
from ClamSegPanel.review.click_tool import ClickTool
from ClamSegPanel.review.export_menu import ExportMenu
from ClamSegPanel.review.lesion_decisions import LesionDecisions
from ClamSegPanel.review.lesion_table import LesionTable
from ClamSegPanel.review.result_display import ResultDisplay
from ClamSegPanel.review.segment_editor import SegmentEditor
from ClamSegPanel.review.slice_marks import SliceMarks
from ClamSegPanel.review.slice_views import PictureLayout, fit_slice_views
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.case.result_views import jump_to_lesion, show_result
from ClamSegWorkflow.case.review_text import sizes_words, statistics_words
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.views import show_crosshair

_NOT_EXPORTED = _("Not exported yet.")
_DECIDING = ("acceptButton", "rejectButton", "editButton", "resetButton")


class ReviewSection:
    """The result under review.

    Attributes:
        result: `Result`, None where none is chosen.
        arrivals: results that wait until the reader is done with this one.
    """

    def __init__(self, panel: Any) -> None:
        self._panel, self._ui = panel, panel.ui
        self.result: Any = None
        self._filling = self._has_pointed = False
        ui = self._ui
        self._editor = SegmentEditor()
        self._display = ResultDisplay(panel, self)
        self._decisions = LesionDecisions(panel, self, self._editor)
        self._clicks = ClickTool(panel, self)
        keys = {**self._decisions.keys, "H": self._display.toggle_hidden, **self._clicks.keys}
        self._table = LesionTable(ui.lesionTable, self._jump, keys)
        self._marks = SliceMarks(panel, self)
        self._export = ExportMenu(panel, self)
        self._layout = PictureLayout()
        self.arrivals = Arrivals(ui, self, self._clicks)
        ui.resultSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._result_chosen)
        ui.resultSelector.connect("nodeActivated(vtkMRMLNode*)", self._bring)
        ui.thresholdSlider.connect("valueIsChanging(double)", self._threshold_moves)
        ui.thresholdSlider.connect("valueChanged(double)", self._threshold_set)
        ui.undecidedOnlyBox.connect("toggled(bool)", self._filter)
        ui.minimumSizeBox.connect("valueChanged(double)", self._filter)
        self._show_nothing()

    # What the panel tells

    def bind(self) -> None:
        """The choices of this scene are there: its result is taken up again."""
        self._choose(self._panel.node.result)

    def close(self) -> None:
        """The window goes."""
        self._clicks.stop()
        self._marks.close()
        self._export.close()
        self._editor.left()

    def left(self) -> None:
        """Another module, perhaps the Segment Editor: its strokes are no clicks for lesions."""
        self._clicks.stop()

    def scene_closing(self) -> None:
        """The scene is about to go."""
        self._clicks.stop()
        self.result = None
        self.arrivals.scene_closing()
        self._marks.close()
        self._show_nothing()

    def scene_changed(self) -> None:
        """Another scene is there."""
        if self._panel.node is not None:
            self._choose(self._panel.node.result)

    def run_starts(self) -> None:
        """The reader asked for a result: it is shown, unless the review is gone on with meanwhile."""
        self.arrivals.may_come()

    def arrived(self, result: Any, certificate: str) -> bool:
        """A run brought a result; whether it is shown, because the reader is not in the middle of another review."""
        if self.arrivals.must_wait():
            self.arrivals.wait(result)
            return False
        self.show_new(result, certificate)
        return True

    def show_new(self, result: Any, certificate: str) -> None:
        """A run brought a result: it is opened, in front of its scan, at the model's window."""
        self._ui.reviewSection.collapsed = False
        self._choose(result.segmentation)
        self._bring(result.segmentation)
        self._ui.certificateLabel.text = _("Geometry: {certificate}").format(certificate=certificate)
        rows = result.lesions.rows() if result.lesions is not None else []
        if rows:
            self._table.choose(rows[0].number)
            self._jump(rows[0].number)
        self.arrivals.may_come()

    def take_over_edits(self) -> None:
        """The reader comes back, perhaps from the Segment Editor: what was drawn there counts."""
        self._editor.left()
        if self.result is None or self.result.lesions is None:
            return
        if not self.result.is_alive():
            self._choose(None)
            return
        self._take_over()

    @user_action(_("Your drawing could not be read."))
    def _take_over(self) -> None:
        self.result.end_edit()
        self.refresh()

    def go_back_to(self, result: Any) -> None:
        """The result that the reader was asked about is the one under review, also where another one came meanwhile.

        Raises:
            SceneError: it was removed meanwhile.
        """
        if not result.is_alive():
            raise SceneError(_("The result was removed or changed meanwhile; nothing was added to it."))
        if self.result is not result:
            self._choose(result.segmentation)
            self._bring(result.segmentation)

    # Showing

    def _choose(self, segmentation: Any) -> None:
        """Shows a result in the selector and below it."""
        self._filling = True
        try:
            self._ui.resultSelector.setCurrentNode(segmentation)
        finally:
            self._filling = False
        self._open(segmentation)

    def _result_chosen(self, node: Any) -> None:
        if not self._filling:
            self._open(node)

    @user_action(_("The result could not be shown."))
    def _bring(self, _node: Any) -> None:
        """The reader asked for this result: the views show its scan, and nothing of another result.

        Slicer also calls this for a node that a program chose (`_choose`), before that node was opened.
        """
        if self.result is None or self._filling:
            return
        opened = self._layout.follow(self.result.volume)
        show_result(self.result, fit_slice_views)
        if opened:
            self._panel.logic.later(fit_slice_views)
        self._ui.hideButton.checked = False

    @user_action(_("The result could not be opened."))
    def _open(self, segmentation: Any) -> None:
        self._clicks.stop()
        self.result = None
        self._show_nothing()
        self.arrivals.opened(segmentation)
        if segmentation is None:
            return
        result = self._panel.logic.result_of(segmentation)
        if self._panel.node is not None:
            self._panel.node.result = segmentation if result is not None else None
        if result is None:
            self._ui.summaryLabel.text = _(
                "This segmentation is not a result of ClamSeg, or its scan has been removed."
            )
            return
        self.result = result
        self._ui.segmentsTable.setSegmentationNode(segmentation)
        self._ui.show3DButton.setSegmentationNode(segmentation)
        self._display.open(segmentation)
        facts = result.provenance
        told = [facts.get(name, "") for name in ("warnings", "accepted_warnings")]
        words = "\n".join(text.replace(" | ", "\n") for text in told if text)
        self._ui.resultWarningsLabel.text = words
        self._ui.resultWarningsLabel.visible = bool(words)
        self._marks.follow(result)
        if result.lesions is not None:
            self._clicks.fill_conditions(result.condition_names())
        self.refresh()

    def _show_nothing(self) -> None:
        """No result: everything that needs one is greyed."""
        ui = self._ui
        ui.summaryLabel.text = _("Nothing to review yet; segment a scan first.")
        ui.certificateLabel.text = ""
        ui.statisticsLabel.text = ""
        ui.exportLabel.text = ""
        ui.hideButton.checked = False  # belongs to the result before
        ui.resultWarningsLabel.visible = False
        ui.segmentsTable.setSegmentationNode(None)
        ui.show3DButton.setSegmentationNode(None)
        self._table.fill([], {})
        self._enable(False, False)

    def _enable(self, has_result: bool, has_lesions: bool) -> None:
        ui = self._ui
        for widget in (ui.hideButton, ui.overlaySelector, ui.opacitySlider, ui.exportButton, ui.show3DButton):
            widget.enabled = has_result
        for widget in (
            ui.thresholdSlider,
            ui.lesionTable,
            ui.addButton,
            ui.saveCorrectionsButton,
            ui.undecidedOnlyBox,
            ui.minimumSizeBox,
        ):
            widget.enabled = has_result and has_lesions
        self._tell_steps()
        self._marks.enable(has_result and has_lesions)
        self._clicks.enable(has_result and has_lesions)
        for name in _DECIDING:
            getattr(ui, name).enabled = has_result and has_lesions

    def _tell_steps(self) -> None:
        """Undo and Redo name what they would do."""
        ui, steps = self._ui, None
        if self.result is not None and self.result.lesions is not None:
            steps = self.result.lesions.steps
        ui.undoLabel.text = steps.undo_words if steps is not None else ""
        for button, key, words in (
            (ui.undoButton, "U", steps.undo_words if steps is not None else ""),
            (ui.redoButton, "Y", steps.redo_words if steps is not None else ""),
        ):
            button.enabled = bool(words)
            button.toolTip = f"{button.text}: {words} ({key})" if words else f"{button.text} ({key})"
        ui.rejectSmallButton.enabled = steps is not None and ui.minimumSizeBox.value > 0

    def refresh(self) -> None:
        """Summary, certificate, table and statistics as they are now."""
        result, ui = self.result, self._ui
        if result is None:
            return
        ui.summaryLabel.text = result.summary()
        ui.certificateLabel.text = _("Geometry: {certificate}").format(certificate=result.certificate())
        lesions = result.lesions
        self._enable(True, lesions is not None)
        if lesions is None:
            return
        rows = lesions.rows()
        self._table.fill(rows, self.result.condition_names())
        told = (statistics_words(rows), sizes_words(result.volume) if rows else "")
        ui.statisticsLabel.text = "\n".join(words for words in told if words)
        self._filling = True
        try:
            ui.thresholdSlider.value = lesions.threshold
        finally:
            self._filling = False
        self._marks.show()
        ui.minimumSizeBox.suffix = _(" ml") if lesions.spacing_known else _(" px")
        self.tell_export()

    def show_installation(self) -> None:
        """What can be exported depends on what is installed."""
        self._export.show_installation()

    def tell_export(self) -> None:
        """Whether something of the review is in no file yet."""
        label = self._ui.exportLabel
        if self.result is not None and self.result.waits_for_export():
            label.text = _NOT_EXPORTED
        elif str(label.text) == _NOT_EXPORTED:
            label.text = ""

    def _filter(self, _value: Any = None) -> None:
        """Which lesions the table shows."""
        ui = self._ui
        self._table.show(
            replace(
                self._table.view, undecided_only=ui.undecidedOnlyBox.checked, minimum=float(ui.minimumSizeBox.value)
            )
        )
        self._tell_steps()

    @user_action(_("The view could not be changed."))
    def _jump(self, number: int) -> None:
        result = self.result
        if result is None or result.lesions is None:
            return
        jump_to_lesion(result, number)
        if not self._has_pointed:  # once, so that a reader who switches it off is not asked again
            self._has_pointed = True
            show_crosshair(slicer.mrmlScene)

    # Threshold

    def _threshold_moves(self, threshold: float) -> None:
        """While dragging only the map moves; it is shown, because otherwise there is nothing to see."""
        if self.result is None or self.result.lesions is None or self._filling:
            return
        self._display.need_map()
        self.result.preview_threshold(float(threshold))

    @user_action(_("The threshold could not be changed."))
    def _threshold_set(self, threshold: float) -> None:
        if self.result is None or self.result.lesions is None or self._filling:
            return
        if abs(self.result.lesions.threshold - float(threshold)) < 1e-9:
            return
        self.result.set_threshold(float(threshold))
        self._panel.node.threshold = float(threshold)
        self.refresh()

    # The chosen lesion

    def chosen_number(self) -> int | None:
        """The lesion chosen in the table."""
        return self._table.chosen()

    def chosen(self) -> int | None:
        """The lesion chosen in the table; the reader is told where there is none."""
        if self.result is None or self.result.lesions is None:
            return None
        number = self._table.chosen()
        if number is None:
            self._panel.failed(_("Choose a lesion in the table first."))
        return number

    def show_lesion(self, number: int, *, jump: bool = True) -> None:
        """Chooses a lesion in the table, and goes to it."""
        self._table.choose(number)
        if jump:
            self._jump(number)

    def next_undecided(self, rows: Any, number: int) -> int | None:
        """The undecided lesion that followed a lesion in the rows that the table showed."""
        return self._table.next_undecided(rows, number)

    def shown_rows(self) -> Any:
        """The rows that the table shows."""
        return self._table.rows()
