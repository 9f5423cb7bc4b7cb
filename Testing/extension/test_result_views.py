"""A result before the reader's eyes: window, jump, the slice in view; and taken out of the scene again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from run_bench import SHAPE, Bench, mr
from volumes_in_scene import add_volume

from ClamSegWorkflow.case.result_views import (
    jump_to_lesion,
    plane_view,
    show_fixed_window,
    show_model_window,
    slice_in_view,
)
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.overlays import PROBABILITY, map_of
from ClamSegWorkflow.scene.segments import (
    SegmentLook,
    add_segmentation,
    binary_labelmap,
    put_segment,
    write_provenance,
)
from ClamSegWorkflow.scene.views import show_behind, show_surfaces, turn_to_slices


def result_of(bench: Bench, frame: str = "plain") -> Any:
    volume = mr(bench.scene, frame)
    bench.start(volume)
    result = bench.finish()
    show_behind(bench.scene, volume)
    turn_to_slices(bench.scene, volume)
    return result


def slice_node(scene: Any, name: str) -> Any:
    return scene.GetNodeByID(f"vtkMRMLSliceNode{name}")


def window_of(volume: Any) -> tuple[float, float]:
    display = volume.GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


@pytest.mark.parametrize("frame", ["plain", "sagittal", "left-handed"])
def test_a_jump_brings_the_lesions_slice_into_view(bench: Bench, frame: str) -> None:
    result = result_of(bench, frame)
    view = slice_node(bench.scene, plane_view(result))
    assert view is not None
    for row in result.lesions.rows():
        jump_to_lesion(result, row.number)
        seen = slice_in_view(result)
        assert seen is not None
        assert row.first_slice <= seen <= row.last_slice
    with pytest.raises(KeyError):
        jump_to_lesion(result, 99)


def test_beside_the_scan_there_is_no_slice_in_view(bench: Bench) -> None:
    result = result_of(bench)
    view = slice_node(bench.scene, plane_view(result))
    view.JumpSliceByCentering(*(value + 500.0 for value in to_world(result.volume, (4, 7, 3))))
    assert slice_in_view(result) is None
    assert slice_in_view(None) is None


def test_the_models_window_is_shown_but_a_picture_shown_inverted_keeps_the_readers(bench: Bench) -> None:
    result = result_of(bench)
    report = json.loads(result.provenance["report"])
    write_provenance(result.segmentation, {"report": json.dumps({**report, "window": [12.0, 345.0]})})
    show_model_window(result)
    assert window_of(result.volume) == pytest.approx((12.0, 345.0))
    display = result.volume.GetDisplayNode()
    display.SetWindowLevelMinMax(1.0, 2.0)
    display.SetInvertDisplayScalarRange(1)
    show_model_window(result)
    assert window_of(result.volume) == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize("organ", [{"quality": 0.5, "problem": "3.05 l"}, {"fell_back": True, "quality": 1.0}])
def test_with_a_doubtful_organ_the_scan_keeps_its_own_window_until_the_models_is_asked_for(
    bench: Bench, organ: dict[str, Any]
) -> None:
    result = result_of(bench)
    report = json.loads(result.provenance["report"])
    report |= {"window": [12.0, 345.0], "organ": {"method": "brain_mr", **organ}}
    write_provenance(result.segmentation, {"report": json.dumps(report)})
    before = window_of(result.volume)
    show_model_window(result)
    jump_to_lesion(result, 1)
    assert window_of(result.volume) == before
    show_model_window(result, asked=True)
    assert window_of(result.volume) == pytest.approx((12.0, 345.0))


def test_a_scan_whose_values_fill_a_part_of_the_models_window_keeps_its_own_until_it_is_asked_for(bench: Bench) -> None:
    result = result_of(bench)
    report = json.loads(result.provenance["report"])
    lowest, highest = result.volume.GetImageData().GetScalarRange()
    wide = (lowest - 0.5 * (highest - lowest), highest + 0.5 * (highest - lowest))
    write_provenance(result.segmentation, {"report": json.dumps({**report, "window": wide})})
    before = window_of(result.volume)
    show_model_window(result)
    jump_to_lesion(result, 1)
    assert window_of(result.volume) == before, "all of it would be grey in grey"
    show_model_window(result, asked=True)
    assert window_of(result.volume) == pytest.approx(wide)


def test_a_model_for_hu_has_its_window_before_any_run_and_one_for_mr_has_none(bench: Bench) -> None:
    volume = mr(bench.scene)
    before = window_of(volume)
    assert show_fixed_window({"intensity": {"kind": "organ_robust", "low": -4, "high": 8}}, volume) is False
    assert window_of(volume) == before
    assert show_fixed_window({"intensity": {"kind": "window_hu", "low": -1000, "high": 400}}, volume) is True
    assert window_of(volume) == pytest.approx((-1000.0, 400.0))


def test_a_result_that_is_removed_leaves_the_scan_and_nothing_of_itself(bench: Bench) -> None:
    volume = mr(bench.scene)
    before = set(nodes(bench.scene))
    values = np.array(slicer.util.arrayFromVolume(volume))
    bench.start(volume)
    first = bench.finish()
    assert map_of(first.segmentation, PROBABILITY) is not None
    first.remove()
    assert not first.is_alive()
    assert bench.scene.IsNodePresent(volume)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), values)
    left = {
        node
        for node in set(nodes(bench.scene)) - before
        if node[0] in ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode")
    }
    assert left == set()
    bench.start(volume)
    assert bench.finish().lesions.n_slices == SHAPE[0]


def test_a_result_whose_maps_are_gone_already_is_removed_all_the_same(bench: Bench) -> None:
    result = result_of(bench)
    bench.scene.RemoveNode(map_of(result.segmentation, PROBABILITY))
    result.remove()
    assert not result.is_alive()


def nodes(scene: Any) -> list[tuple[str, str]]:
    """Class and id of every node."""
    found = (scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes()))
    return [(node.GetClassName(), node.GetID()) for node in found]


def test_a_picture_turns_no_view_into_its_only_slice_so_that_none_shows_it_mirrored_or_lying(bench: Bench) -> None:
    picture = add_volume(bench.scene, np.zeros((1, 40, 30), np.int16), name="chest x-ray")
    show_behind(bench.scene, picture)
    turn_to_slices(bench.scene, picture)
    across = {name: slice_node(bench.scene, name).GetSliceToRAS() for name in ("Red", "Green", "Yellow")}
    axis = {name: [round(m.GetElement(row, 2)) for row in range(3)] for name, m in across.items()}
    assert axis == {"Red": [0, 0, 1], "Green": [0, 1, 0], "Yellow": [-1, 0, 0]}


def test_a_threshold_that_leaves_no_lesion_makes_an_empty_surface_and_a_lower_one_brings_it_back(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    result = result_of(bench)
    show_surfaces(result.segmentation, True)
    segment = result.segmentation.GetSegmentation().GetSegment("lesion-glioma")
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    before = segment.GetRepresentation(name).GetNumberOfPoints()
    assert before > 0
    result.set_threshold(0.99)
    assert result.certificate().holds
    assert segment.GetRepresentation(binary_labelmap()).GetScalarTypeAsString() == "unsigned char"
    assert segment.GetRepresentation(name).GetNumberOfPoints() == 0
    result.set_threshold(0.5)
    assert segment.GetRepresentation(name).GetNumberOfPoints() == before
    told = capfd.readouterr()
    assert "ERR|" not in told.out + told.err, "Slicer's console stays quiet"


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_the_surface_of_a_small_lesion_shows_its_volume(bench: Bench, side: int, is_mirrored: bool) -> None:
    volume = add_volume(bench.scene, np.zeros((12, 20, 20), np.int16), name="scan")
    volume.SetSpacing(0.8, 0.8, 2.0)
    if is_mirrored:
        volume.SetIJKToRASDirections(-1, 0, 0, 0, 1, 0, 0, 0, 1)
    segmentation = add_segmentation(bench.scene, volume, "result")
    mask = np.zeros((12, 20, 20), bool)
    mask[4 : 4 + side, 6 : 6 + side, 9 : 9 + side] = True
    put_segment(segmentation, volume, SegmentLook("lesion-glioma", "Glioma", (200, 80, 0)), mask)
    show_surfaces(segmentation, True)
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(segmentation.GetSegmentation().GetSegment("lesion-glioma").GetRepresentation(name))
    triangles.Update()
    measured = vtk.vtkMassProperties()
    measured.SetInputData(triangles.GetOutput())
    assert measured.GetVolume() == pytest.approx(side**3 * 0.8 * 0.8 * 2.0, rel=0.1)
