"""A review of a DICOM series leaves as DICOM SEG that points at the right slices, however Slicer counts the axes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_bench import Bench
from volumes_in_scene import add_volume

from ClamSegLib.commands.worker import Worker
from ClamSegLib.imaging.read_write import read_volume
from ClamSegWorkflow.case.dicom_sources import gather_series
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.review_files import write_review

sys.path.insert(0, str(Path(__file__).parents[1] / "library"))
from dicom_stacks import stack

highdicom = pytest.importorskip("highdicom")
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def spots(volume: Any) -> np.ndarray:
    probability = np.zeros(volume.array.shape, np.uint8)
    probability[1:4, 5:9, 6:11] = 220
    return probability


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_voxels_of_the_dicom_seg_lie_where_the_reader_saw_them(
    scene: Any, tmp_path: Path, upside_down: bool
) -> None:
    stack(tmp_path / "archive")
    series = read_volume(tmp_path / "archive")
    lps = np.eye(4)
    lps[:3, :3] = np.asarray(series.direction).reshape(3, 3) * series.spacing_mm
    lps[:3, 3] = series.origin
    array = series.array
    if upside_down:  # the same scan, its slices counted from the other end
        turn = np.diag([1.0, 1.0, -1.0, 1.0])
        turn[2, 3] = array.shape[0] - 1
        lps, array = lps @ turn, array[::-1]
    volume = add_volume(scene, np.ascontiguousarray(array), TO_RAS @ lps)
    files = {f"1.2.{n}": file for n, file in enumerate(sorted((tmp_path / "archive").iterdir()))}
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    bench = Bench(scene, spots)
    bench.start(volume)
    result = bench.finish()
    result.decide(1, Decision.ACCEPTED)
    request = {
        "command": "dicom_seg",
        "segmentation": str(write_review(result, "segmentation", tmp_path / "drawn")),
        "input": str(gather_series(scene, volume, lambda uid: str(files[uid]), tmp_path / "series")),
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
