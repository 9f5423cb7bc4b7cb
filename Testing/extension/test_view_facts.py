"""The slice number in a view is that of the lesion table, and the value under the cursor that of the voxel there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_bench import Bench, mr
from volumes_in_scene import GEOMETRIES

from ClamSegWorkflow.case.result_views import jump_to_lesion, slice_in_view
from ClamSegWorkflow.case.view_facts import slice_number, words_at
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.overlays import PROBABILITY, map_array
from ClamSegWorkflow.scene.volumes import voxels_of


@pytest.fixture
def make(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def result(frame: str) -> Any:
        bench = Bench(scene)
        bench.start(mr(scene, frame))
        return bench.finish()

    return result


@pytest.mark.parametrize("frame", sorted(GEOMETRIES))
def test_the_number_in_the_view_is_that_of_the_table(make: Any, scene: Any, frame: str) -> None:
    result = make(frame)
    for row in result.lesions.rows():
        jump_to_lesion(result, row.number)
        number = slice_number(scene, result.volume, "Red", "axial")
        assert number is not None
        assert number == (slice_in_view(result) + 1, result.lesions.n_slices)
        if frame == "plain":  # the other views are not turned into the slices here
            assert row.first_slice + 1 <= number[0] <= row.last_slice + 1


def test_beside_the_scan_there_is_no_slice(make: Any, scene: Any) -> None:
    result = make("plain")
    scene.GetNodeByID("vtkMRMLSliceNodeRed").JumpSliceByCentering(0, 0, 9999)
    assert slice_number(scene, result.volume, "Red", "axial") is None


@pytest.mark.parametrize("frame", sorted(GEOMETRIES))
def test_value_and_probability_are_those_of_the_voxel_under_the_point(make: Any, frame: str) -> None:
    result = make(frame)
    values, likely = voxels_of(result.volume), map_array(result.map_node(PROBABILITY))
    k, j, i = (int(n) for n in np.argwhere(likely > 127)[0])
    point = to_world(result.volume, (i + 0.3, j - 0.3, k))
    words = words_at(result.volume, point, result)
    assert words == f"value {float(values[k, j, i]):.4g}, probability {likely[k, j, i] / 255:.2f}"
    assert words_at(result.volume, point, is_hu=True) == f"{float(values[k, j, i]):.0f} HU"
    assert words_at(result.volume, to_world(result.volume, (-3, 0, 0)), result) == ""
