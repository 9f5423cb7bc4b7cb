"""A review of a DICOM series leaves as DICOM SEG and SR that point at the right slices, however Slicer counts the axes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_bench import Bench
from volumes_in_scene import add_volume

from ClamSegLib.commands.worker import Worker
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.system.errors import InputError
from ClamSegWorkflow.case.dicom_report import prepare_dicom_report
from ClamSegWorkflow.case.dicom_sources import gather_series
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.review_files import write_review
from ClamSegWorkflow.scene import SceneError

sys.path.insert(0, str(Path(__file__).parents[1] / "library"))
from dicom_stacks import stack

highdicom = pytest.importorskip("highdicom")
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def spots(volume: Any) -> np.ndarray:
    probability = np.zeros(volume.array.shape, np.uint8)
    probability[1:4, 5:9, 6:11] = 220
    return probability


def reviewed(scene: Any, folder: Path, upside_down: bool) -> tuple[Any, dict[str, Path], np.ndarray, np.ndarray]:
    """A result on a series in the scene, its lesion accepted; the series' files, and voxels and frame in the scene."""
    stack(folder / "archive")
    series = read_volume(folder / "archive")
    lps = np.eye(4)
    lps[:3, :3] = np.asarray(series.direction).reshape(3, 3) * series.spacing_mm
    lps[:3, 3] = series.origin
    array = series.array
    if upside_down:  # the same scan, its slices counted from the other end
        turn = np.diag([1.0, 1.0, -1.0, 1.0])
        turn[2, 3] = array.shape[0] - 1
        lps, array = lps @ turn, array[::-1]
    volume = add_volume(scene, np.ascontiguousarray(array), TO_RAS @ lps)
    files = {f"1.2.{n}": file for n, file in enumerate(sorted((folder / "archive").iterdir()))}
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    bench = Bench(scene, spots)
    bench.start(volume)
    result = bench.finish()
    result.decide(1, Decision.ACCEPTED)
    return result, files, array, lps


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_voxels_of_the_dicom_seg_lie_where_the_reader_saw_them(
    scene: Any, tmp_path: Path, upside_down: bool
) -> None:
    result, files, array, lps = reviewed(scene, tmp_path, upside_down)
    request = {
        "command": "dicom_seg",
        "segmentation": str(write_review(result, "segmentation", tmp_path / "drawn")),
        "input": str(gather_series(scene, result.volume, lambda uid: str(files[uid]), tmp_path / "series")),
        "output": str(tmp_path / "seg.dcm"),
        "model": "ct-toy",
    }
    Worker(None, None)._do(request, None)  # type: ignore[arg-type]
    document = highdicom.seg.segread(str(tmp_path / "seg.dcm"))
    assert "For research, not for diagnosis" in document.SeriesDescription
    names = [document.get_segment_description(n).segment_label for n in range(1, document.number_of_segments + 1)]
    found = document.get_volume(segment_numbers=[names.index("glioma 1 (accepted)") + 1])
    affine = np.asarray(found.affine)
    seen = np.argwhere(np.asarray(found.array)[..., 0] > 0) @ affine[:3, :3].T + affine[:3, 3]
    expected = np.argwhere(spots(volume_like(array)) > 0)[:, ::-1] @ lps[:3, :3].T + lps[:3, 3]
    assert {tuple(np.round(p, 2) + 0.0) for p in seen} == {tuple(np.round(p, 2) + 0.0) for p in expected}


def volume_like(array: np.ndarray) -> Any:
    from ClamSegLib.imaging.volume import Volume

    return Volume(array)


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_dicom_sr_measures_what_stands_where_the_reader_saw_it(
    scene: Any, tmp_path: Path, upside_down: bool
) -> None:
    result, files, array, lps = reviewed(scene, tmp_path, upside_down)
    spare = np.zeros(array.shape, bool)
    spare[0, 0, :3] = True
    result.lesions.set_mask(result.lesions.free_number(), spare)
    result.decide(2, Decision.REJECTED)
    request = {
        "command": "dicom_sr",
        **prepare_dicom_report(result)(tmp_path),
        "input": str(gather_series(scene, result.volume, lambda uid: str(files[uid]), tmp_path / "series")),
        "output": str(tmp_path / "x.sr.dcm"),
        "segmentation": str(tmp_path / "x.seg.dcm"),
    }
    Worker(None, None)._do(json.loads(json.dumps(request)), None)  # type: ignore[arg-type]
    (group,) = highdicom.sr.srread(str(tmp_path / "x.sr.dcm")).content.get_volumetric_roi_measurement_groups()
    (row,) = [row for row in result.lesions.rows() if row.decision is Decision.ACCEPTED]
    figures = {m.name.meaning: m.value for m in group.get_measurements()}
    assert figures == {
        "Volume": row.volume_ml,
        "Long axis": row.longest_diameter_mm,
        "Short axis": row.perpendicular_diameter_mm,
    }
    assert "accepted" in [e.value.value for e in group.get_qualitative_evaluations()]
    document = highdicom.seg.segread(str(tmp_path / "x.seg.dcm"))
    assert document.get_segment_description(1).segment_label == "glioma 1 (accepted)"
    found = document.get_volume(segment_numbers=[1])
    affine = np.asarray(found.affine)
    seen = np.argwhere(np.asarray(found.array)[..., 0] > 0) @ affine[:3, :3].T + affine[:3, 3]
    expected = np.argwhere(spots(volume_like(array)) > 0)[:, ::-1] @ lps[:3, :3].T + lps[:3, 3]
    assert {tuple(np.round(p, 2) + 0.0) for p in seen} == {tuple(np.round(p, 2) + 0.0) for p in expected}


def test_lesions_on_another_grid_than_the_series_are_refused_and_nothing_is_written(scene: Any, tmp_path: Path) -> None:
    result, _files, _array, _lps = reviewed(scene, tmp_path, False)
    stack(tmp_path / "another", 5)
    request = {
        "command": "dicom_sr",
        **prepare_dicom_report(result)(tmp_path),
        "input": str(tmp_path / "another"),
        "output": str(tmp_path / "out" / "x.sr.dcm"),
        "segmentation": str(tmp_path / "out" / "x.seg.dcm"),
    }
    with pytest.raises(InputError, match="another grid than the series"):
        Worker(None, None)._do(request, None)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_review_in_which_no_lesion_stands_or_two_overlap_has_no_dicom_sr(scene: Any, tmp_path: Path) -> None:
    result, _files, array, _lps = reviewed(scene, tmp_path, False)
    over = spots(volume_like(array)) > 0
    result.lesions.set_mask(result.lesions.free_number(), over)
    with pytest.raises(SceneError, match="Lesion 2 overlaps another one"):
        prepare_dicom_report(result)
    for number in (1, 2):
        result.decide(number, Decision.REJECTED)
    with pytest.raises(SceneError, match="no lesion stands"):
        prepare_dicom_report(result)
