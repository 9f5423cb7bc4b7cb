"""What a lesion measures: the same in panel, file and library, on sheared slices and under a transform that scales."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import SHAPE, Bench, mr, two_lesions
from volumes_in_scene import GEOMETRIES, grid_transform, linear_transform, plain

from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.result_import import grid_of, open_result
from ClamSegWorkflow.case.review_files import write_review
from ClamSegWorkflow.case.review_text import sizes_words
from ClamSegWorkflow.scene.geometry import record_geometry
from ClamSegWorkflow.scene.scan_facts import Reading, keep_reading


def sheared(share: float = 0.25) -> np.ndarray:
    """Slices that are shifted against each other, as by a tilted gantry; the voxels keep their volume."""
    made = plain()
    made[:3, 2] += (share * 2.0, 0.4 * share * 2.0, 0.0)
    return made


def result_on(scene: Any, frame: np.ndarray) -> tuple[Any, Bench]:
    bench = Bench(scene)
    volume = mr(scene)
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(frame))
    bench.start(volume)
    return bench.finish(), bench


def test_a_sheared_voxel_measures_what_it_fills(scene: Any) -> None:
    volume = mr(scene)
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared()))
    voxel_ml = abs(np.linalg.det(sheared()[:3, :3])) / 1000
    assert np.prod(np.linalg.norm(sheared()[:3, :3], axis=0)) / 1000 > 1.03 * voxel_ml, "the product is too large"
    grid = grid_of(record_geometry(volume), volume, False)
    assert grid.voxel_ml == pytest.approx(voxel_ml)
    probability = two_lesions(replace(grid, array=np.zeros(SHAPE, np.uint8)))
    rows = LesionList(probability, None, grid, ["glioma"], plane="axial", threshold=0.5).rows()
    assert len(rows) == 2
    assert [row.volume_ml for row in rows] == pytest.approx([row.area_px * voxel_ml for row in rows])


def test_worker_panel_and_file_give_the_same_sizes_where_axes_are_as_good_as_straight(
    scene: Any, tmp_path: Path
) -> None:
    """What is sheared by more than rounding the library refuses in words."""
    result, bench = result_on(scene, sheared(0.02))
    (seen,) = bench.worker.seen
    by_worker = {row.number: row.volume_ml for row in result.lesions.rows()}
    result.set_threshold(0.49)  # from now on they are measured in the panel
    by_panel = {row.number: row.volume_ml for row in result.lesions.rows()}
    assert by_panel == pytest.approx(by_worker, rel=1e-3)
    assert by_panel == pytest.approx(
        {row.number: row.area_px * seen.voxel_ml for row in result.lesions.rows()}, rel=1e-3
    )
    write_review(result, "table", tmp_path / "lesions")
    with (tmp_path / "lesions.csv").open(encoding="utf-8") as file:
        told = [float(line["volume_ml"]) for line in csv.DictReader(file)]
    assert told == pytest.approx(list(by_panel.values()), abs=5e-4)


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


def test_specks_that_the_run_did_not_list_do_not_come_with_the_threshold_or_a_saved_scene(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, volume = Bench(scene), mr(scene)
    keep_reading(volume, Reading(spacing_known=False))
    real = bench.worker.write

    def with_a_limit(values: dict[str, Any]) -> Path:
        folder = real(values)
        report = json.loads((folder / "report.json").read_text())
        report["search"] = {"targets": ["glioma"], "n_slices": 9, "analysed": 9, "smallest_px": 30}
        (folder / "report.json").write_text(json.dumps(report))
        return folder

    monkeypatch.setattr(bench.worker, "write", with_a_limit)
    bench.start(volume)
    result = bench.finish()
    result.set_threshold(0.45)
    assert [row.area_px for row in result.lesions.rows()] == [40], "24 voxels are less than 30"
    assert result.summary().endswith("; marks below 30 pixels are not listed")
    again = open_result(scene, result.segmentation)
    assert again is not None
    assert [row.area_px for row in again.lesions.rows()] == [40]


@pytest.mark.parametrize("scene_knows", [False, True])
def test_specks_stay_out_where_scan_and_file_differ_in_whether_the_spacing_is_known(
    scene: Any, monkeypatch: pytest.MonkeyPatch, scene_knows: bool
) -> None:
    bench, volume = Bench(scene), mr(scene)
    keep_reading(volume, Reading(spacing_known=scene_knows))
    real = bench.worker.write
    voxel_ml = float(np.prod(volume.GetSpacing())) / 1000

    def by_the_other_measure(values: dict[str, Any]) -> Path:
        folder = real(values)
        report = json.loads((folder / "report.json").read_text())
        limits = (
            {"smallest_ml": 0.0, "smallest_px": 30} if scene_knows else {"smallest_ml": 30 * voxel_ml, "smallest_px": 0}
        )
        report["geometry"]["spacing_known"] = not scene_knows
        report["search"] = {"targets": ["glioma"], "n_slices": 9, "analysed": 9, **limits}
        report["smallest"] = {"ml": 30 * voxel_ml, "px": 30}
        (folder / "report.json").write_text(json.dumps(report))
        return folder

    monkeypatch.setattr(bench.worker, "write", by_the_other_measure)
    bench.start(volume)
    result = bench.finish()
    result.set_threshold(0.45)
    assert [row.area_px for row in result.lesions.rows()] == [40], "24 voxels are less than 30"
    assert ("marks below 30 pixels" in result.summary()) is not scene_knows
    result.set_threshold(0.999)
    size = f"{30 * voxel_ml:g} ml" if scene_knows else "30 pixels"
    assert result.summary().startswith(f"No glioma of {size} or more found")
