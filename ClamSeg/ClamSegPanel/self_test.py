"""From the shipped samples to a reviewed segmentation inside the application, with the real worker.

Called by ClamSegTest, so by ctest and by the SelfTests module. Steps that need PyTorch are skipped, in words, where it
does not work yet: a new Slicer has none.
"""

from __future__ import annotations

import sys
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
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.model_fit import suggest_model
from ClamSegWorkflow.case.result import REVIEW
from ClamSegWorkflow.case.run_request import RunListener, RunOptions
from ClamSegWorkflow.case.run_state import State
from ClamSegWorkflow.case.samples import sample_name, shipped_samples
from ClamSegWorkflow.scene.overlays import PROBABILITY, map_array, map_of
from ClamSegWorkflow.scene.segments import segment_mask
from ClamSegWorkflow.scene.volume_facts import facts_of

# Long, because the first run loads PyTorch from a cold disk; it only ends a test that hangs.
PATIENCE_S = 600.0


def run_self_test(test: Any) -> None:
    """All steps, each told on the screen; raises AssertionError at the first that fails.

    Args:
        test: a ScriptedLoadableModuleTest whose module holds ClamSegLogic.
    """
    logic = sys.modules[type(test).__module__].ClamSegLogic()
    steps = _SelfTest(logic)
    try:
        test.delayDisplay("Samples from files of the extension")
        steps.samples_are_registered()
        problem = steps.torch_problem()
        if problem:
            raise unittest.SkipTest(f"The steps that segment were left out. {problem}")
        test.delayDisplay("An X-ray, from the click to the certificate")
        steps.an_xray_is_segmented()
        test.delayDisplay("A tilted MRI under a transform, reviewed")
        steps.a_moved_mri_is_reviewed()
        test.delayDisplay("The review survives saving and loading the scene")
        steps.the_review_survives_the_scene()
        test.delayDisplay("Cancel leaves the scene as it was")
        steps.cancel_leaves_nothing()
        test.delayDisplay("The self-test of ClamSeg passed.")
    finally:
        logic.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Lets the application work until the condition holds.

    Raises:
        AssertionError: it does not within `PATIENCE_S`.
    """
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} took more than {PATIENCE_S:.0f} s")
        slicer.app.processEvents()
        time.sleep(0.005)


def load_sample(name: str) -> Any:
    """A shipped sample through Sample Data, as a user gets it."""
    import SampleData

    return SampleData.SampleDataLogic().downloadSamples(sample_name(_sample(name)))[0]


def _sample(name: str) -> dict[str, Any]:
    return next(sample for sample, _ in shipped_samples() if sample["name"] == name)


class _Told(RunListener):
    """What a run says; every doubt is accepted, so that it is written into the result."""

    def __init__(self) -> None:
        self.results: list[tuple[Any, str]] = []
        self.failures: list[str] = []
        self.stages: list[str] = []
        self.states: list[State] = []

    def state_changed(self, state: State) -> None:
        self.states.append(state)

    def progressed(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        self.stages.append(stage)

    def finished_case(self, result: Any, certificate: str) -> None:
        self.results.append((result, certificate))

    def failed(self, text: str) -> None:
        self.failures.append(text)

    def confirms(self, volume: str, doubts: list[str]) -> bool:
        return True


class _SelfTest:
    """The steps, in their order; a later one goes on where an earlier one ended."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic
        self._result: Any = None

    def samples_are_registered(self) -> None:
        """Every shipped sample is in Sample Data, once."""
        assert register() == 3, "three samples are shipped"
        register()
        sources = slicer.modules.sampleDataSources["ClamSeg"]
        assert len(sources) == 3, f"registered twice: {[source.sampleName for source in sources]}"

    def torch_problem(self) -> str:
        """Why networks cannot run in this application; '' where they can."""
        told: list[str] = []
        self._logic.look_at_installation(told.append)
        wait_until(lambda: bool(told), "the worker's look at the installation")
        if told[0]:
            return told[0]
        found = self._logic.installation
        return "" if found["torch"] else " ".join(found["problems"])

    def an_xray_is_segmented(self) -> None:
        """Model suggested, certificate, provenance, the reader's notice; the volume untouched."""
        slicer.mrmlScene.Clear()
        volume = load_sample("xray-chest")
        before = slicer.util.arrayFromVolume(volume).copy()
        result = self._segment(volume, "xray-chest")
        assert result.certificate().holds
        data = result.segmentation.GetSegmentation()
        assert data.GetSegment("organ") is not None, "the organ has its segment"
        provenance = result.provenance
        assert provenance["model"] == _sample("xray-chest")["model"]
        assert len(provenance["weights_sha256"]) == 64
        assert "not for diagnosis" in provenance["notice"]
        assert np.array_equal(slicer.util.arrayFromVolume(volume), before), "the volume was changed"

    def a_moved_mri_is_reviewed(self) -> None:
        """Under a transform: aligned, the threshold, accept, reject and undo, masks as the map says."""
        slicer.mrmlScene.Clear()
        volume = load_sample("mr-flair-brain")
        volume.SetAndObserveTransformNodeID(_tilted(slicer.mrmlScene).GetID())
        self._result = result = self._segment(volume, "mr-flair-brain")
        assert result.segmentation.GetTransformNodeID() == volume.GetTransformNodeID()
        lesions, shape = result.lesions, result.record.shape
        (condition,) = lesions.conditions
        probability = map_array(map_of(result.segmentation, PROBABILITY))
        rows = lesions.rows()
        assert len(rows) >= 2, f"the sample shows lesions, {len(rows)} were found"
        largest, other = sorted(rows, key=lambda row: -row.area_px)[:2]
        assert largest.volume_ml is not None
        assert largest.volume_ml > 0

        result.decide(largest.number, Decision.ACCEPTED)
        own = f"lesion-{condition}-{largest.number}"
        kept = segment_mask(result.segmentation, own, shape)
        assert kept.any(), "an accepted lesion has a segment of its own"
        result.decide(other.number, Decision.REJECTED)
        result.set_threshold(0.8)
        assert np.array_equal(segment_mask(result.segmentation, own, shape), kept), "accepted voxels moved"
        undecided = segment_mask(result.segmentation, f"lesion-{condition}", shape)
        assert (probability[undecided] > 0.8 * 255).all(), "the mask does not follow the threshold"
        assert not (undecided & kept).any()
        assert result.undo(), "the threshold can be taken back"
        assert lesions.threshold == float(result.provenance["threshold"])
        assert result.certificate().holds

    def the_review_survives_the_scene(self) -> None:
        """Saved, closed, loaded: numbers, decisions and masks are the same."""
        result = self._result
        before = _memory(result)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "review.mrb")
            assert slicer.util.saveScene(path), "the scene was not saved"
            slicer.mrmlScene.Clear()
            self._logic.forget_results()
            slicer.util.loadScene(path)
            found = _ours()
            assert len(found) == 1, f"{len(found)} reviewed segmentations came back"
            reopened = self._logic.result_of(found[0])
        assert reopened is not None, "the review was not found in the saved scene"
        assert _memory(reopened) == before
        assert reopened.certificate().holds

    def cancel_leaves_nothing(self) -> None:
        """A run that was cancelled in the middle adds no node and leaves no process."""
        slicer.mrmlScene.Clear()
        volume = load_sample("ct-chest")
        before = _images()
        told, run = self._start(volume, "ct-chest")
        wait_until(lambda: State.RUNNING in told.states or bool(told.failures), "the start of a run")
        run.cancel()
        assert told.failures == []
        assert run.job.state is State.IDLE
        assert not self._logic.worker.is_running, "the worker still runs"
        slicer.app.processEvents()
        assert told.results == []
        assert _images() == before, "the cancelled run left nodes"

    def _start(self, volume: Any, sample: str) -> tuple[_Told, Any]:
        facts = facts_of(slicer.mrmlScene, volume)
        name = suggest_model([m for m in self._logic.models() if m["origin"] == "shipped"], facts)
        assert name == _sample(sample)["model"], f"{name} was suggested for {sample}"
        entry = self._logic.model(name)
        told = _Told()
        run = self._logic.new_run(told)
        run.start([volume], RunOptions(entry, self._logic.config(entry), device="cpu"))
        return told, run

    def _segment(self, volume: Any, sample: str) -> Any:
        told, run = self._start(volume, sample)
        wait_until(lambda: not run.job.is_busy, f"segmenting {sample}")
        assert told.failures == [], told.failures
        ((result, certificate),) = told.results
        assert certificate == "aligned, 0.000 mm", certificate
        self._logic.keep_result(result)
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


def _ours() -> list[Any]:
    """Segmentations of the scene that carry a review."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [node for node in nodes if node.GetAttribute(REVIEW)]


def _memory(result: Any) -> list[tuple[Any, ...]]:
    """What a reader sees of a review, comparable."""
    shape = result.record.shape
    data = result.segmentation.GetSegmentation()
    ids = sorted(data.GetNthSegmentID(index) for index in range(data.GetNumberOfSegments()))
    masks = [(name, int(np.count_nonzero(segment_mask(result.segmentation, name, shape)))) for name in ids]
    rows = [(row.number, row.condition, row.decision, row.area_px, row.peak_index) for row in result.lesions.rows()]
    return [*masks, *rows, (result.lesions.threshold,)]
