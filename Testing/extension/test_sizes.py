"""What a lesion measures: the same in panel, file and library, on sheared slices and under a transform that scales."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import SHAPE, Bench, mr
from volumes_in_scene import GEOMETRIES, grid_transform, linear_transform, plain

from ClamSegLib.imaging.read_write import read_volume
from ClamSegWorkflow.case.review_files import write_review
from ClamSegWorkflow.case.review_text import sizes_words


def sheared() -> np.ndarray:
    """Slices that are shifted against each other, as by a tilted gantry; the voxels keep their volume."""
    made = plain()
    made[:3, 2] += (0.25 * 2.0, 0.1 * 2.0, 0.0)
    return made


def result_on(scene: Any, frame: np.ndarray) -> tuple[Any, Bench]:
    bench = Bench(scene)
    volume = mr(scene)
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(frame))
    bench.start(volume)
    return bench.finish(), bench


def test_a_sheared_voxel_measures_what_it_fills_in_panel_file_and_library(scene: Any, tmp_path: Path) -> None:
    result, bench = result_on(scene, sheared())
    voxel_ml = 1.0 * 1.0 * 2.0 / 1000
    assert abs(np.linalg.det(sheared()[:3, :3])) / 1000 == pytest.approx(voxel_ml)
    assert np.prod(np.linalg.norm(sheared()[:3, :3], axis=0)) / 1000 > 1.03 * voxel_ml, "the product is too large"
    told = [row.volume_ml for row in result.lesions.rows()]
    assert told == pytest.approx([row.area_px * voxel_ml for row in result.lesions.rows()])
    (seen,) = bench.worker.seen
    assert seen.voxel_ml == pytest.approx(voxel_ml), "the scan as the library read it"
    write_review(result, "table", tmp_path / "lesions")
    with (tmp_path / "lesions.csv").open(encoding="utf-8") as file:
        assert [float(line["volume_ml"]) for line in csv.DictReader(file)] == pytest.approx(told, abs=5e-4)


@pytest.mark.parametrize("frame", GEOMETRIES)
def test_on_straight_and_turned_axes_a_voxel_is_the_product_of_its_spacings(scene: Any, frame: str) -> None:
    result, _bench = result_on(scene, GEOMETRIES[frame])
    spacing = np.linalg.norm(GEOMETRIES[frame][:3, :3], axis=0)
    for row in result.lesions.rows():
        assert row.volume_ml == pytest.approx(row.area_px * np.prod(spacing) / 1000)


def test_a_transform_that_scales_or_bends_is_not_in_the_sizes_and_that_is_said(scene: Any, tmp_path: Path) -> None:
    result, _bench = result_on(scene, plain())
    before = [row.volume_ml for row in result.lesions.rows()]
    assert sizes_words(result.volume) == ""
    for made, said in (
        (linear_transform(scene), ""),
        (scaling(scene), "multiplies every volume by 1.21"),
        (grid_transform(scene), "bends it"),
    ):
        for node in (result.volume, result.segmentation):
            node.SetAndObserveTransformNodeID(made.GetID())
        assert [row.volume_ml for row in result.lesions.rows()] == before
        assert said in sizes_words(result.volume)
        assert bool(said) == bool(sizes_words(result.volume))
    write_review(result, "report", tmp_path / "report")
    assert "bends it" in (tmp_path / "report.html").read_text(encoding="utf-8")


def scaling(scene: Any) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "scaled")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([1.1, 1.1, 1.0, 1.0])))
    return node


def test_the_library_measures_sheared_voxels_of_a_file(scene: Any, tmp_path: Path) -> None:
    from ClamSegWorkflow.scene.volumes import write_in_steps

    path = tmp_path / "sheared.nrrd"
    for _ in write_in_steps(np.zeros(SHAPE, np.int16), sheared(), path):
        pass
    assert read_volume(path).voxel_ml == pytest.approx(0.002)
