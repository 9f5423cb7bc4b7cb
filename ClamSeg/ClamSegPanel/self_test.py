"""The whole way of a reader inside the application, through the module's window, with the real worker.

For every shipped sample: it arrives and is chosen, Segment, a decision, the scene saved, closed and opened with the
panel open, the review is back, export. Called by ClamSegTest and by Testing/Python, so by the SelfTests module and by
ctest. Steps that need PyTorch are left out, in words, where it does not work yet: a new Slicer has none.
"""

from __future__ import annotations

import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from ClamSegPanel.sample_data import register
from ClamSegWorkflow.case import licence_words
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.model_fit import suggest_model
from ClamSegWorkflow.case.run_state import State
from ClamSegWorkflow.case.samples import sample_name, shipped_samples
from ClamSegWorkflow.scene.overlays import PROBABILITY, map_array, map_of
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment, segment_mask
from ClamSegWorkflow.scene.volume_facts import facts_of

# Long, because the first run loads PyTorch from a cold disk; it only ends a test that hangs.
PATIENCE_S = 600.0
_SOON_S = 10.0
# The sample that lies under a transform.
_MOVED = "ct-chest"
_ENDINGS = {"segmentation": ".seg.nrrd", "nifti": ".nii.gz", "table": ".csv", "report": ".html"}


def run_self_test(say: Callable[[str], None]) -> None:
    """All steps in their order, in an empty scene.

    Args:
        say: tells each step before it begins, e.g. on the screen.

    Raises:
        AssertionError: names the step that failed, and what was not as it should be.
        unittest.SkipTest: PyTorch does not work here; the steps before were passed.
    """
    steps = _SelfTest(say)
    steps.do("samples are in Sample Data", _samples_are_registered)
    steps.do("the module's window opens and is bound to the scene", steps.window_opens)
    problem = steps.do("the worker looks at the installation", steps.torch_problem)
    if problem:
        raise unittest.SkipTest(f"The steps that segment were left out. {problem}")
    try:
        for sample, _path in sorted(shipped_samples(), key=lambda entry: entry[1].stat().st_size):
            if licence_words.question(sample):
                say(f"{sample['name']} is left out: its licence has not been confirmed")
            else:
                steps.go_all_the_way(sample)
        steps.do("Cancel leaves the scene as it was", steps.cancel_leaves_nothing)
    finally:
        steps.widget.logic.close()
    say("The self-test of ClamSeg passed.")


def _click_again(button: Any, quick: Any) -> None:
    """A click at once that is no second one of a double click: a short run would end while one waits for its time."""
    quick.forget()
    button.click()


def wait_until(condition: Callable[[], Any], what: str, limit_s: float = PATIENCE_S) -> None:
    """Lets the application work until the condition holds.

    Raises:
        AssertionError: it does not within the limit.
    """
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {limit_s:.0f} s")
        slicer.app.processEvents()
        time.sleep(0.005)


def load_sample(name: str) -> Any:
    """A shipped sample through Sample Data, as a user gets it."""
    import SampleData

    sample = next(sample for sample, _path in shipped_samples() if sample["name"] == name)
    return SampleData.SampleDataLogic().downloadSamples(sample_name(sample))[0]


def _samples_are_registered() -> None:
    """Every shipped sample is in Sample Data, once."""
    shipped = len(shipped_samples())
    assert register() == shipped > 2, f"{shipped} samples are shipped"
    register()
    sources = slicer.modules.sampleDataSources["ClamSeg"]
    assert len(sources) == shipped, f"registered twice: {[source.sampleName for source in sources]}"


class _SelfTest:
    """The steps; within a sample a later one goes on where an earlier one ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.widget: Any = None
        self._before: list[tuple[Any, ...]] = []

    def do(self, name: str, step: Callable[..., Any], *given: Any) -> Any:
        """One step, told before it begins and named where it fails."""
        self._say(name)
        try:
            return step(*given)
        except Exception as error:
            what = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"ClamSeg self-test, step '{name}': {what}") from error

    def go_all_the_way(self, sample: dict[str, Any]) -> None:
        """A sample from Sample Data to exported files."""
        name = sample["name"]
        self.do(f"{name}: the scan arrives and is chosen", self.scan_is_chosen, sample)
        self.do(f"{name}: Segment", self.is_segmented, sample)
        if self._result.lesions is None:  # a model that outlines an organ leaves nothing to decide
            with tempfile.TemporaryDirectory() as folder:
                self.do(f"{name}: export", self.is_exported, Path(folder), ("segmentation", "nifti"))
            return
        if self._result.lesions.rows():
            self.do(f"{name}: the threshold moves what is undecided and nothing else", self.threshold_moves)
        self.do(f"{name}: a lesion is decided, or added where none was found", self.is_decided)
        with tempfile.TemporaryDirectory() as folder:
            self.do(f"{name}: the scene is saved, closed and opened, and the review is back", self.comes_back, folder)
            self.do(f"{name}: export", self.is_exported, Path(folder))

    # The steps

    def window_opens(self) -> None:
        """As by a click in the module list; without a main window by its widget alone."""
        self.widget = slicer.util.getModuleWidget("ClamSeg")
        try:
            slicer.util.selectModule("ClamSeg")
        except RuntimeError:  # Slicer without a main window
            self.widget.enter()
        assert self.widget.is_bound, "the parameter node is not bound to the window"
        assert self._panel.node is not None, "the sections do not know the parameter node"

    def torch_problem(self) -> str:
        """Why networks cannot run in this application; '' where they can."""
        told: list[str] = []
        self.widget.logic.look_at_installation(told.append)
        wait_until(lambda: told, "the worker's look at the installation")
        found = self.widget.logic.installation
        return told[0] or ("" if found["torch"] else " ".join(found["problems"]))

    def scan_is_chosen(self, sample: dict[str, Any]) -> None:
        """The first scan that arrives is the input, kept in the parameter node, and its model suggested."""
        slicer.mrmlScene.Clear()
        volume = load_sample(sample["name"])
        selector = self._ui.volumeSelector
        wait_until(lambda: selector.currentNode() is not None, "the choice of the scan", _SOON_S)
        assert selector.currentNode() is volume, f"{selector.currentNode().GetName()} was chosen"
        assert self._panel.node.inputVolume is volume, "the choice is not kept in the scene"
        if sample["name"] == _MOVED:
            volume.SetAndObserveTransformNodeID(_tilted(slicer.mrmlScene).GetID())
        shipped = [model for model in self.widget.logic.choosable_models() if model["origin"] == "shipped"]
        suggested = suggest_model(shipped, facts_of(slicer.mrmlScene, volume))
        assert suggested == sample["model"], f"{suggested} was suggested"
        for index in range(self._ui.modelSelector.count):
            if self._panel.segment.chosen_model()["name"] == sample["model"]:
                return
            self._ui.modelSelector.currentIndex = index
        assert self._panel.segment.chosen_model()["name"] == sample["model"], "its model is not in the list"

    def is_segmented(self, sample: dict[str, Any]) -> None:
        """A click leads to a result that lies where the scan lies, and leaves the scan as it was."""
        volume = self._ui.volumeSelector.currentNode()
        before = slicer.util.arrayFromVolume(volume).copy()
        run = self._panel.segment.run
        self._ui.applyButton.click()
        assert run.job.is_busy, f"Segment started nothing: {self._ui.progressLabel.text}"
        wait_until(lambda: not run.job.is_busy, "the result")
        assert run.done == 1, self._ui.progressLabel.text
        result = self._result
        assert result.volume is volume, "the result is of another scan"
        assert self._ui.certificateLabel.text.endswith("aligned, 0.000 mm"), self._ui.certificateLabel.text
        assert result.segmentation.GetTransformNodeID() == volume.GetTransformNodeID(), "the transform is not followed"
        organ = "organ" if result.lesions is not None else "organ-lungs"
        assert result.segmentation.GetSegmentation().GetSegment(organ) is not None, "the organ has no segment"
        assert result.segmentation.GetDisplayNode().GetVisibility(), "the result is not seen"
        assert not self._ui.hideButton.checked, "what is seen is said to be hidden"
        provenance = result.provenance
        assert provenance["model"] == sample["model"], f"{provenance['model']} was run"
        assert len(provenance["weights_sha256"]) == 64, "the weights are not named"
        assert "not for diagnosis" in provenance["notice"], "the notice is missing"
        assert np.array_equal(slicer.util.arrayFromVolume(volume), before), "the volume was changed"
        rows = len(result.lesions.rows()) if result.lesions is not None else 0
        assert self._ui.lesionTable.rowCount == rows, "the table does not show the lesions"

    def threshold_moves(self) -> None:
        """Undecided lesions follow the map; an accepted one stays; one step back."""
        result = self._result
        lesions, shape = result.lesions, result.record.shape
        rows = sorted(lesions.rows(), key=lambda row: -row.area_px)
        condition = rows[0].condition
        result.decide(rows[0].number, Decision.ACCEPTED)
        own = f"lesion-{condition}-{rows[0].number}"
        kept = segment_mask(result.segmentation, own, shape)
        assert kept.any(), "an accepted lesion has no segment of its own"
        for row in rows[1:2]:
            result.decide(row.number, Decision.REJECTED)
        result.set_threshold(0.8)
        assert np.array_equal(segment_mask(result.segmentation, own, shape), kept), "accepted voxels moved"
        undecided = segment_mask(result.segmentation, f"lesion-{condition}", shape)
        probability = map_array(map_of(result.segmentation, PROBABILITY))
        assert (probability[undecided] > 0.8 * 255).all(), "the mask does not follow the threshold"
        assert not (undecided & kept).any(), "a voxel belongs to two lesions"
        assert result.undo(), "the threshold cannot be taken back"
        assert lesions.threshold == float(result.provenance["threshold"]), "the threshold was not taken back"
        self._panel.review.refresh()

    def is_decided(self) -> None:
        """A lesion is rejected, then accepted, the first that is not accepted yet; where there is none, one is drawn.

        No dialog is opened, as nobody is there to answer it: a lesion is drawn without asking which condition it has.
        """
        result, table = self._result, self._ui.lesionTable
        rows = result.lesions.rows()
        if rows:
            line = next((line for line, row in enumerate(rows) if row.decision is not Decision.ACCEPTED), 0)
            for button, wanted in (
                (self._ui.rejectButton, Decision.REJECTED),
                (self._ui.acceptButton, Decision.ACCEPTED),
            ):
                table.selectRow(line)  # a decision goes on to the next undecided lesion
                _click_again(button, self._panel.review._decisions._quick)
                came = result.lesions.decisions().get(rows[line].number)
                assert came is wanted, f"the lesion is {came}, where it should be {wanted.value}"
        else:
            segment_id = result.begin_lesion(result.lesions.conditions[0])
            self._panel.review._editor.open(result.segmentation, result.volume, segment_id)
            drawn = np.zeros(result.record.shape, bool)
            drawn[tuple(slice(size // 2, size // 2 + 3) for size in drawn.shape)] = True
            put_segment(result.segmentation, result.volume, SegmentLook(segment_id, "drawn", (213, 94, 0)), drawn)
            self.window_opens()
            assert Decision.ADDED in result.lesions.decisions().values(), "what was drawn does not count as added"
        assert result.certificate().holds, str(result.certificate())
        self._before = _memory(result)

    def comes_back(self, folder: str) -> None:
        """With the panel open all the time, as a reader has it."""
        path = str(Path(folder) / "review.mrb")
        name = self._result.volume.GetName()
        assert slicer.util.saveScene(path), "the scene was not saved"
        slicer.mrmlScene.Clear()
        wait_until(lambda: self._panel.review.result is None, "the end of the review", _SOON_S)
        slicer.util.loadScene(path)
        wait_until(lambda: self._panel.review.result is not None, "the review of the opened scene", _SOON_S)
        result = self._result
        assert _memory(result) == self._before, "the review is another one"
        assert result.certificate().holds, str(result.certificate())
        assert self._ui.volumeSelector.currentNode() is result.volume, "the scan is not chosen"
        assert result.volume.GetName() == name, f"{result.volume.GetName()} is under review"
        assert self._ui.lesionTable.rowCount == len(result.lesions.rows()), "the table does not show the lesions"

    def is_exported(self, folder: Path, kinds: tuple[str, ...] = tuple(_ENDINGS)) -> None:
        """Every kind of file that needs no DICOM, written through the panel; the reader's folder stays the setting."""
        kept = self._panel.setting("exportFolder")
        try:
            for kind in kinds:
                ending = _ENDINGS[kind]
                self._panel.review._export.export(kind, folder / "review")
                written = folder / f"review{ending}"
                assert written.is_file(), f"{kind} was not written"
                assert written.stat().st_size > 0, f"{kind} is empty"
        finally:
            self._panel.keep_setting("exportFolder", kept)

    def cancel_leaves_nothing(self) -> None:
        """A run that was cancelled in the middle adds no node and leaves no process."""
        slicer.mrmlScene.Clear()
        volume = load_sample("ct-chest")
        wait_until(lambda: self._ui.volumeSelector.currentNode() is volume, "the choice of the scan", _SOON_S)
        before = _images()
        run = self._panel.segment.run
        self._ui.applyButton.click()
        wait_until(lambda: run.job.state is State.RUNNING or not run.job.is_busy, "the start of a run")
        _click_again(self._ui.applyButton, self._panel.segment._quick)
        assert run.job.state is State.IDLE, f"the run is {run.job.state.value} after Cancel"
        assert not self.widget.logic.worker.is_running, "the worker still runs"
        slicer.app.processEvents()
        assert _images() == before, "the cancelled run left nodes"

    @property
    def _panel(self) -> Any:
        return self.widget.panel

    @property
    def _ui(self) -> Any:
        return self.widget.ui

    @property
    def _result(self) -> Any:
        result = self._panel.review.result
        assert result is not None, f"no result is under review: {self._ui.summaryLabel.text}"
        return result


def _tilted(scene: Any) -> Any:
    """A transform as Slicer's DICOM reader adds for a tilted gantry: turned and shifted."""
    turn = vtk.vtkTransform()
    turn.Translate(40.0, -25.0, 100.0)
    turn.RotateX(12.0)
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    node.SetMatrixTransformToParent(turn.GetMatrix())
    return node


def _images() -> list[str]:
    """Ids of all volumes and segmentations."""
    kinds = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode")
    return [node.GetID() for kind in kinds for node in slicer.util.getNodesByClass(kind)]


def _memory(result: Any) -> list[tuple[Any, ...]]:
    """What a reader sees of a review, comparable."""
    shape = result.record.shape
    data = result.segmentation.GetSegmentation()
    ids = sorted(data.GetNthSegmentID(index) for index in range(data.GetNumberOfSegments()))
    masks = [(name, int(np.count_nonzero(segment_mask(result.segmentation, name, shape)))) for name in ids]
    rows = [(row.number, row.condition, row.decision, row.area_px, row.peak_index) for row in result.lesions.rows()]
    return [*masks, *rows, (result.lesions.threshold,)]
