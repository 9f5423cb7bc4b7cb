"""A click on Segment, with a worker that is in the test's hand: nothing half-done reaches the scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from fakes import CONFIG, MODEL
from run_bench import SHAPE, Bench, ids, mr, two_lesions
from volumes_in_scene import GEOMETRIES, grid_transform, linear_transform, matrix, plain

from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result_import import open_result
from ClamSegWorkflow.case.run_import import with_found_organ
from ClamSegWorkflow.case.run_request import RunOptions
from ClamSegWorkflow.case.run_state import Job, State
from ClamSegWorkflow.scene.certificate import certify
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY, map_array, map_of
from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment, segment_mask


@pytest.mark.parametrize("transform", [None, linear_transform, grid_transform])
@pytest.mark.parametrize("frame", GEOMETRIES)
def test_a_run_ends_with_segments_maps_and_lesions_where_the_scan_lies(
    bench: Bench, frame: str, transform: Any
) -> None:
    volume = mr(bench.scene, frame)
    if transform is not None:
        volume.SetAndObserveTransformNodeID(transform(bench.scene).GetID())
    bench.start(volume)
    result = bench.finish()
    assert bench.told.failures == []
    assert bench.told.results[-1][1] == "aligned, 0.000 mm"
    probability = two_lesions(bench.worker.seen[0])
    assert ids(result.segmentation) == ["organ", "lesion-glioma"]
    assert np.array_equal(segment_mask(result.segmentation, "lesion-glioma", SHAPE), probability > 127)
    assert segment_mask(result.segmentation, "organ", SHAPE).all()
    assert np.array_equal(map_array(map_of(result.segmentation, PROBABILITY)), probability)
    doubt = np.round((1 - np.abs(2 * (probability / 255) - 1)) * 255)
    assert np.array_equal(map_array(result.map_node(DOUBT)), doubt)
    assert result.map_node(DOUBT) is map_of(result.segmentation, DOUBT)
    rows = result.lesions.rows()
    assert [row.area_px for row in rows] == [40, 24]
    assert np.allclose(to_world(result.volume, rows[1].centre_ijk), to_world(volume, (5.5, 4, 2.5)))
    assert result.provenance["weights_sha256"] == "ab" * 32
    assert result.provenance["level"] == "2 of 2"
    assert result.provenance["version"] == "0.1.0"
    assert "research" in result.provenance["notice"]
    assert bench.told.states == [State.STARTING, State.RUNNING, State.IMPORTING, State.IDLE]
    assert bench.told.speeds == [("mr-toy", "cpu", 2, pytest.approx(0.1))]


def test_lesions_are_not_looked_for_again_and_are_those_that_would_be_found(bench: Bench) -> None:
    bench.start(mr(bench.scene, "oblique"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ClamSegWorkflow.case.map_parts.MapParts.at", None)
        patch.setattr("ClamSegWorkflow.case.lesion_measure.measure", None)
        result = bench.finish()
        given = result.lesions.rows()
    masks = [result.lesions.lesion_mask(row.number) for row in given]
    result.lesions.set_threshold(0.5)
    assert result.lesions.rows() == given
    for row, (mask, start) in zip(given, masks, strict=True):
        again, own_start = result.lesions.lesion_mask(row.number)
        assert np.array_equal(mask, again)
        assert start == own_start


def test_a_lesion_decided_first_leaves_the_others_as_the_worker_measured_them(bench: Bench) -> None:
    bench.start(mr(bench.scene))
    result = bench.finish()
    first, second = result.lesions.rows()
    result.decide(first.number, Decision.REJECTED)
    assert result.lesions.row(second.number) == second
    result.lesions.set_threshold(0.5)
    assert result.lesions.row(second.number) == second


def test_lesions_that_do_not_fit_the_map_are_not_shown(bench: Bench) -> None:
    bench.start(mr(bench.scene))
    real = bench.worker.write

    def without_one(values: dict[str, Any]) -> Path:
        folder = real(values)
        report = json.loads((folder / "report.json").read_text())
        (folder / "report.json").write_text(json.dumps({**report, "lesions": report["lesions"][1:]}))
        return folder

    bench.worker.write = without_one
    bench.finish()
    assert "the lesions do not fit the map" in bench.told.failures[0]
    assert bench.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_no_file_of_a_case_is_left_behind(bench: Bench, tmp_path: Path) -> None:
    bench.start(mr(bench.scene))
    assert list(tmp_path.glob("clamseg-*"))
    bench.finish()
    assert list(tmp_path.glob("clamseg-*")) == []


def test_an_empty_result_says_that_every_slice_was_analysed(scene: Any) -> None:
    bench = Bench(scene, lambda volume: np.zeros(volume.array.shape, np.uint8))
    bench.start(mr(scene))
    result = bench.finish()
    assert result.summary() == "No glioma found, nothing else was looked for, 9 of 9 slices analysed"
    assert result.lesions.rows() == []
    assert certify(result.segmentation, result.volume).holds


@pytest.mark.parametrize("moment", ["writing", "inspecting", "segmenting", "importing"])
def test_cancel_at_every_stage_leaves_the_scene_as_it_was(bench: Bench, tmp_path: Path, moment: str) -> None:
    volume = mr(bench.scene)
    before = bench.scene.GetNumberOfNodes()
    bench.run.start([volume], RunOptions(MODEL, CONFIG))
    if moment != "writing":
        bench.settle()
    if moment in ("segmenting", "importing"):
        bench.worker.answer()
    if moment == "importing":
        bench.worker.answer()
    bench.run.cancel()
    bench.settle()
    assert bench.run.job.state is State.IDLE
    assert bench.told.failures == []
    assert bench.told.results == []
    assert bench.worker.killed == 1
    assert bench.scene.GetNumberOfNodes() == before
    assert list(tmp_path.glob("clamseg-*")) == []
    for _, _, on_event in bench.worker.requests:  # what still arrives after the cancel is not listened to
        on_event({"event": "done", "folder": str(tmp_path), "organ": bench.worker.organ})
    bench.settle()
    assert bench.told.results == []


def test_after_a_cancel_the_next_run_works(bench: Bench) -> None:
    bench.start(mr(bench.scene))
    bench.run.cancel()
    bench.start(mr(bench.scene))
    assert bench.finish() is not None


def test_a_second_click_during_a_run_does_nothing(bench: Bench) -> None:
    volume = mr(bench.scene)
    bench.start(volume)
    bench.start(volume)
    assert len(bench.worker.requests) == 1
    bench.finish()
    assert len(bench.told.results) == 1


@pytest.mark.parametrize("moment", ["inspecting", "segmenting"])
def test_a_worker_that_dies_is_told_and_the_scene_unharmed(bench: Bench, moment: str) -> None:
    volume = mr(bench.scene)
    before = bench.scene.GetNumberOfNodes()
    bench.start(volume)
    if moment == "segmenting":
        bench.worker.answer()
    bench.worker.answer(event="error", message="The worker was killed, perhaps because memory ran out.", code=1)
    assert bench.told.failures == ["The worker was killed, perhaps because memory ran out."]
    assert bench.run.job.state is State.FAILED
    assert bench.scene.GetNumberOfNodes() == before
    bench.start(volume)
    assert bench.finish() is not None


def test_a_full_disk_is_told_in_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ClamSegWorkflow.case.run_input.write_in_steps", full)
    bench.start(mr(bench.scene))
    assert "No space left on device" in bench.told.failures[0]
    assert bench.run.job.state is State.FAILED


def test_a_scene_closed_during_a_run_gets_nothing(bench: Bench) -> None:
    bench.start(mr(bench.scene))
    bench.worker.answer()
    bench.run.scene_closed()
    bench.scene.Clear(False)
    before = bench.scene.GetNumberOfNodes()
    bench.worker.requests[-1][2]({"event": "done", "folder": "gone"})
    bench.settle()
    assert bench.scene.GetNumberOfNodes() == before
    assert bench.told.failures == []
    assert bench.run.job.state is State.IDLE


def test_a_volume_removed_during_a_run_is_told(bench: Bench) -> None:
    volume = mr(bench.scene)
    bench.start(volume)
    bench.worker.answer()
    bench.scene.RemoveNode(volume)
    bench.worker.answer()
    bench.settle()
    assert "was removed" in bench.told.failures[0]
    assert bench.told.results == []


def test_a_grid_changed_during_a_run_is_refused(bench: Bench) -> None:
    volume = mr(bench.scene)
    before = bench.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    bench.start(volume)
    bench.worker.answer()
    volume.SetIJKToRASMatrix(matrix(plain((1.5, 1.0, 2.0))))
    bench.worker.answer()
    bench.settle()
    assert "was changed during the run" in bench.told.failures[0]
    assert bench.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before


def test_a_transform_that_moved_during_a_run_is_followed(bench: Bench) -> None:
    volume = mr(bench.scene, "oblique")
    bench.start(volume)
    bench.worker.answer()
    volume.SetAndObserveTransformNodeID(linear_transform(bench.scene).GetID())
    bench.worker.answer()
    bench.settle()
    result, certificate = bench.told.results[0]
    assert certificate == "aligned, 0.000 mm"
    assert result.segmentation.GetTransformNodeID() == volume.GetTransformNodeID()


def test_a_result_of_another_size_is_refused_and_leaves_no_node(bench: Bench) -> None:
    bench.start(mr(bench.scene))
    bench.worker.answer()
    before = bench.scene.GetNumberOfNodes()
    _, values, on_event = bench.worker.requests[-1]
    folder = bench.worker.write(values)
    np.save(folder / "probability.npy", np.zeros((9, 14, 18), np.uint8))
    on_event({"event": "done", "folder": str(folder)})
    bench.settle()
    assert "voxels" in bench.told.failures[0]
    assert bench.scene.GetNumberOfNodes() == before


def test_a_pickle_in_the_result_is_never_loaded(bench: Bench) -> None:
    bench.start(mr(bench.scene))
    bench.worker.answer()
    _, values, on_event = bench.worker.requests[-1]
    folder = bench.worker.write(values)
    np.save(folder / "probability.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    on_event({"event": "done", "folder": str(folder)})
    bench.settle()
    assert "cannot be read" in bench.told.failures[0]


def test_doubts_are_asked_before_the_run_and_stay_in_the_result(bench: Bench) -> None:
    volume = mr(bench.scene, name="CT chest")
    bench.worker.organ = {"method": "body", "quality": 0.3, "fell_back": True, "problem": "no lungs"}
    bench.start(volume, config={"modality": "CT", "body_part": "head"})
    bench.worker.answer()
    ((name, doubts),) = bench.told.asked
    assert name == "CT chest"
    assert len(doubts) == 3
    assert "looks like MRI" in doubts[0]
    assert "made for the head" in doubts[1]
    assert "no lungs" in doubts[2]
    assert bench.worker.requests[-1][0] == "segment"
    assert bench.worker.requests[-1][1]["accepted"] == doubts
    bench.worker.answer()
    bench.settle()
    assert bench.told.results[0][0].provenance["accepted_warnings"] == " | ".join(doubts)


def test_a_doubt_that_is_not_accepted_ends_the_run_without_failure(bench: Bench) -> None:
    bench.told.yes = False
    bench.start(mr(bench.scene), config={"modality": "CT"})
    bench.worker.answer()
    assert [command for command, _, _ in bench.worker.requests] == ["inspect"]
    assert bench.run.job.state is State.IDLE
    assert bench.told.failures == []


@pytest.mark.parametrize("yes", [True, False])
def test_an_answer_that_comes_later_lets_the_run_go_on_or_ends_it(bench: Bench, yes: bool) -> None:
    bench.told.yes = None
    bench.start(mr(bench.scene), config={"modality": "CT"})
    bench.run.answer(True)
    assert len(bench.worker.requests) == 1, "nothing was asked yet"
    bench.worker.answer()
    assert bench.run.is_asking
    assert bench.run.job.is_busy
    assert [command for command, _, _ in bench.worker.requests] == ["inspect"]
    bench.run.answer(yes)
    assert not bench.run.is_asking
    bench.run.answer(not yes)
    commands = [command for command, _, _ in bench.worker.requests]
    assert commands == (["inspect", "segment"] if yes else ["inspect"]), "a second answer counts for nothing"
    if yes:
        bench.worker.answer()
        bench.settle()
        assert "looks like MRI" in bench.told.results[0][0].provenance["accepted_warnings"]
    assert bench.run.job.state is State.IDLE
    assert bench.told.failures == []


def test_a_cancel_takes_the_question_away(bench: Bench, tmp_path: Path) -> None:
    bench.told.yes = None
    bench.start(mr(bench.scene), config={"modality": "CT"})
    bench.worker.answer()
    bench.run.cancel()
    bench.run.answer(True)
    assert [command for command, _, _ in bench.worker.requests] == ["inspect"]
    assert bench.run.job.state is State.IDLE
    assert list(tmp_path.glob("clamseg-*")) == []


def test_a_batch_goes_on_after_a_bad_case_and_tells_at_the_end(bench: Bench) -> None:
    good, bad, last = mr(bench.scene, name="one"), mr(bench.scene, name="two"), mr(bench.scene, name="three")
    empty = bench.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    bench.start(good, bad, empty, last)
    bench.finish()
    bench.worker.answer()
    bench.worker.answer(event="error", message="The organ is not in the picture.", code=2)
    bench.settle()
    bench.finish()
    assert len(bench.told.results) == 2
    assert bench.told.failures == ["two: The organ is not in the picture.\nempty has no voxels; load the scan again."]


def test_no_volume_is_said_and_starts_nothing(bench: Bench) -> None:
    bench.start()
    assert bench.told.failures == ["Choose a volume first."]
    assert bench.worker.requests == []


def test_a_run_never_touches_a_finished_segmentation(bench: Bench) -> None:
    volume = mr(bench.scene)
    finished = add_segmentation(bench.scene, volume, "scan mr-toy")
    look = SegmentLook("lesion-glioma", "glioma", (1, 2, 3))
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 2:9, 4:6] = True
    put_segment(finished, volume, look, mask)
    for _ in range(2):
        bench.start(volume)
        bench.finish()
    assert np.array_equal(segment_mask(finished, "lesion-glioma", SHAPE), mask)
    assert len({result.segmentation.GetName() for result, _ in bench.told.results} | {finished.GetName()}) == 3


def test_an_existing_segment_and_a_roi_serve_as_organ(bench: Bench) -> None:
    volume = mr(bench.scene, "oblique")
    drawn = add_segmentation(bench.scene, volume, "brain by hand")
    mask = np.zeros(SHAPE, bool)
    mask[2:8, 2:12, 3:15] = True
    put_segment(drawn, volume, SegmentLook("b", "brain", (1, 2, 3)), mask)
    bench.start(volume, organ="segment", organ_node=drawn, organ_segment="b")
    from ClamSegLib.imaging.read_write import read_volume

    path = bench.worker.requests[-1][1]["options"]["organ"]
    assert np.array_equal(read_volume(Path(path)).array > 0, mask)
    bench.finish()
    roi = bench.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetCenterWorld(to_world(volume, (8, 7, 4)))
    roi.SetSize(6, 6, 6)
    bench.start(volume, organ="roi", organ_node=roi)
    assert (read_volume(Path(bench.worker.requests[-1][1]["options"]["organ"])).array > 0).any()
    bench.run.cancel()
    bench.start(volume, organ="segment")
    assert "Choose the segment" in bench.told.failures[-1]


def test_an_x_ray_goes_as_a_picture_and_comes_back(bench: Bench) -> None:
    bench.worker.probability_of = lambda volume: np.where(volume.array > 150, 255, 0).astype(np.uint8)
    grey = np.random.default_rng(3).integers(0, 255, (1, 30, 26), dtype=np.uint8)
    volume = slicer.util.addVolumeFromArray(np.stack([grey] * 3, axis=-1), nodeClassName="vtkMRMLVectorVolumeNode")
    bench.start(volume, config={"modality": "XR"})
    result = bench.finish()
    assert bench.told.failures == []
    assert not bench.worker.seen[0].spacing_known
    assert np.array_equal(bench.worker.seen[0].array, grey)
    assert np.array_equal(segment_mask(result.segmentation, "lesion-glioma", (1, 30, 26)), grey > 150)
    assert all(row.volume_ml is None for row in result.lesions.rows())


def test_a_saved_and_reopened_scene_goes_on_with_the_review(bench: Bench, tmp_path: Path) -> None:
    volume = mr(bench.scene, "oblique")
    bench.start(volume)
    result = bench.finish()
    result.decide(1, Decision.ACCEPTED)
    result.decide(2, Decision.REJECTED)
    result.mark(4, "unsure")
    text, name = result.segmentation.GetAttribute("ClamSeg.review"), result.segmentation.GetName()
    reopened = open_result(bench.scene, bench.scene.GetFirstNodeByName(name))
    assert reopened is not None
    assert {n: d.value for n, d in reopened.lesions.decisions().items()} == {1: "accepted", 2: "rejected"}
    assert reopened.marks == {4: "unsure"}
    assert [row.number for row in reopened.lesions.rows()] == [1, 2]
    assert not reopened.take_over_edits()
    reopened.set_threshold(0.3)
    assert np.array_equal(
        segment_mask(reopened.segmentation, "lesion-glioma-1", SHAPE),
        segment_mask(result.segmentation, "lesion-glioma-1", SHAPE),
    )
    assert text
    assert open_result(bench.scene, add_segmentation(bench.scene, volume, "someone else's")) is None


def test_impossible_steps_of_the_state_machine_are_errors_of_the_program() -> None:
    job = Job()
    with pytest.raises(ValueError, match="importing cannot follow idle"):
        job.move(State.IMPORTING)
    assert not job.is_busy


def test_what_was_erased_from_a_lesion_stays_erased_also_in_a_reopened_scene(bench: Bench) -> None:
    volume = mr(bench.scene)
    bench.start(volume)
    result = bench.finish()
    segment_id = result.begin_edit(1)
    mask = segment_mask(result.segmentation, segment_id, SHAPE)
    half = mask.copy()
    half[6] = False  # the slice with the strongest voxel
    put_segment(result.segmentation, volume, SegmentLook(segment_id, "x", (1, 2, 3)), half)
    result.take_over_edits()
    for review in (result, open_result(bench.scene, result.segmentation)):
        assert {row.number: row.decision for row in review.lesions.rows()} == {
            1: Decision.EDITED,
            2: Decision.UNDECIDED,
        }
        review.set_threshold(0.3)
        assert len(review.lesions.rows()) == 2
        review.set_threshold(0.5)
        assert np.array_equal(segment_mask(review.segmentation, segment_id, SHAPE), half)


def test_the_organ_is_named_as_the_worker_found_it(bench: Bench) -> None:
    config = {"organ": {"method": "brain_mr", "name": "brain", "colour": [0, 1, 2], "terminology": "x"}}
    found = with_found_organ(config, {"organ": {"name": "searched: body", "terminology": ""}})
    assert found["organ"] == {"method": "brain_mr", "name": "searched: body", "colour": [0, 1, 2], "terminology": ""}
    assert config["organ"]["name"] == "brain"
