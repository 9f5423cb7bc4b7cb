"""A reviewed scene saved to disk and loaded by Slicer's own readers, which turn the axes of a left-handed volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import SHAPE, Bench, mr
from scene_files import load_scene, save_scene
from volumes_in_scene import GEOMETRIES, linear_transform, oblique

from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result_import import open_result
from ClamSegWorkflow.scene.geometry import matrix_of, to_world
from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY, add_map, map_array, map_image, map_of
from ClamSegWorkflow.scene.regrid import count_as_volume
from ClamSegWorkflow.scene.segments import segment_mask


def seen(result: Any) -> list[tuple[Any, ...]]:
    """What the reader sees of every lesion, and where in the world."""
    return [
        (
            row.number,
            row.decision.value,
            row.area_px,
            row.peak_index,
            *np.round(to_world(result.volume, row.centre_ijk), 3).tolist(),
        )
        for row in result.lesions.rows()
    ]


@pytest.fixture
def reviewed(scene: Any) -> Any:
    def make(frame: str, transform: Any = None) -> Any:
        bench = Bench(scene)
        volume = mr(scene, frame)
        if transform is not None:
            volume.SetAndObserveTransformNodeID(transform(scene).GetID())
        bench.start(volume)
        result = bench.finish()
        result.decide(1, Decision.ACCEPTED)
        return result

    return make


@pytest.mark.parametrize("transform", [None, linear_transform])
@pytest.mark.parametrize("frame", GEOMETRIES)
def test_a_review_comes_back_from_disk_where_it_was(
    scene: Any, tmp_path: Path, reviewed: Any, frame: str, transform: Any
) -> None:
    before = seen(result := reviewed(frame, transform))
    name = result.segmentation.GetName()
    path = str(tmp_path / "review.mrb")
    assert save_scene(scene, path)
    scene.Clear(False)
    assert load_scene(scene, path)
    reopened = open_result(scene, scene.GetFirstNodeByName(name))
    assert reopened is not None
    assert reopened.certificate().holds
    assert seen(reopened) == before
    assert not reopened.take_over_edits()
    probability = map_array(map_of(reopened.segmentation, PROBABILITY))
    # the larger, weaker lesion was accepted
    assert set(np.unique(probability[segment_mask(reopened.segmentation, "lesion-glioma-1", SHAPE)])) == {140, 150}
    assert set(np.unique(probability[segment_mask(reopened.segmentation, "lesion-glioma", SHAPE)])) == {200, 250}
    # and the review goes on: masks are written in the new counting
    reopened.decide(2, Decision.ACCEPTED)
    assert reopened.certificate().holds
    assert set(np.unique(probability[segment_mask(reopened.segmentation, "lesion-glioma-2", SHAPE)])) == {200, 250}


def test_slicer_turns_a_left_handed_volume_when_it_loads_it(scene: Any, tmp_path: Path, reviewed: Any) -> None:
    """Where this no longer holds, the recounting is not needed any more."""
    result = reviewed("left-handed")
    name = result.volume.GetName()
    save_scene(scene, str(tmp_path / "review.mrb"))
    scene.Clear(False)
    load_scene(scene, str(tmp_path / "review.mrb"))
    loaded = scene.GetFirstNodeByName(name)
    assert np.linalg.det(oblique(left_handed=True)[:3, :3]) < 0 < np.linalg.det(matrix_of(loaded)[:3, :3])


def test_a_review_on_another_grid_than_its_volume_is_not_opened_and_not_touched(scene: Any, reviewed: Any) -> None:
    result = reviewed("plain")
    before = segment_mask(result.segmentation, "lesion-glioma-1", SHAPE)
    moved = matrix_of(result.volume)
    moved[0, 3] += 2.0
    result.volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(moved))
    assert not count_as_volume(result.segmentation, result.volume)
    assert open_result(scene, result.segmentation) is None
    assert np.array_equal(segment_mask(result.segmentation, "lesion-glioma-1", SHAPE), before)


def test_a_scene_saved_when_maps_showed_disagreement_opens_and_shows_doubt(reviewed: Any, scene: Any) -> None:
    result = reviewed("plain")
    before = seen(result)
    older = add_map(scene, result.volume, result.segmentation, map_image(np.zeros(SHAPE, np.uint8)), "disagreement")
    again = open_result(scene, result.segmentation)
    assert seen(again) == before
    assert map_array(again.map_node(DOUBT)).max() > 0
    again.remove()
    assert not scene.IsNodePresent(older)
