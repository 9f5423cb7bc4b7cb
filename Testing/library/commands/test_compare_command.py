"""`clamseg compare`: a table on the screen and as a file, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ClamSegLib.cli import main
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.seg_nrrd import Segment, write_segmentation
from ClamSegLib.imaging.volume import Volume


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The same scan twice, with a lesion that grew."""
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(100, 60, (12, 40, 40)), 1.5).astype(np.float32)
    volume = Volume(values, spacing_mm=(3.0, 3.0, 4.0), modality="MR")
    words = []
    for name, side in (("before", 3), ("now", 5)):
        mask = np.zeros(values.shape, bool)
        mask[4:8, 10 : 10 + side, 12 : 12 + side] = True
        write_volume(values, volume, tmp_path / f"{name}.nii.gz")
        write_segmentation(tmp_path / f"{name}.seg.nrrd", [Segment("lesion-a", "nodule", mask, (200, 80, 0))], volume)
        words += [str(tmp_path / f"{name}.nii.gz"), str(tmp_path / f"{name}.seg.nrrd")]
    return words


def test_it_tells_what_grew_and_writes_the_table(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.csv"
    assert main(["compare", *words, "--output", str(output), "--progress", "none"]) == 0
    told = capsys.readouterr()
    assert "grown   nodule, lesion 1 -> 1: 1.30 ml to 3.60 ml, +2.30 ml (+178 %)" in told.out
    assert "not on real pairs" in told.err
    assert output.read_text(encoding="utf-8").splitlines()[1].startswith("grown,nodule,1,1,1.296,3.600,2.304,178,")
    assert main(["compare", *words, "--output", str(output), "--progress", "none"]) == 2
    assert "is not replaced" in capsys.readouterr().err


def test_masks_of_another_scan_are_refused_in_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Volume(np.zeros((5, 9, 9), np.float32))
    write_segmentation(tmp_path / "x.seg.nrrd", [Segment("a", "a", other.array > 0, (1, 2, 3))], other)
    assert main(["compare", words[0], str(tmp_path / "x.seg.nrrd"), *words[2:], "--progress", "none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
