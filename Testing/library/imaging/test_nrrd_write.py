"""NRRD written slice by slice is what SimpleITK and ClamSeg read back."""

import numpy as np
import pytest
import SimpleITK as sitk

from ClamSegLib.imaging.nrrd_write import write_nrrd
from ClamSegLib.imaging.volume import Volume

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def volume():
    return Volume(np.zeros((4, 30, 20), np.int16), (0.7, 0.8, 2.5), (-12.5, 3.25, 100.0), OBLIQUE)


def test_values_and_geometry_come_back_as_written(tmp_path, volume):
    values = np.random.default_rng(0).integers(0, 256, volume.array.shape).astype(np.uint8)
    write_nrrd(tmp_path / "map.nrrd", iter(values), volume, {"Note": "a word"})
    image = sitk.ReadImage(str(tmp_path / "map.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(image), values)
    assert image.GetPixelID() == sitk.sitkUInt8
    assert image.GetSpacing() == pytest.approx(volume.spacing_mm)
    assert image.GetOrigin() == pytest.approx(volume.origin)
    assert image.GetDirection() == pytest.approx(volume.direction)
    assert image.GetMetaData("Note") == "a word"


def test_slices_seen_from_behind_or_turned_are_written_as_they_are_seen(tmp_path, volume):
    values = np.random.default_rng(1).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    turned = np.transpose(values)[::-1]  # a view, no slice of it lies in one piece
    write_nrrd(tmp_path / "map.nrrd", iter(turned), volume)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "map.nrrd"))), turned)


@pytest.mark.parametrize("slices", [3, 5])
def test_a_slice_too_few_or_too_many_is_no_file_of_the_scan(tmp_path, volume, slices):
    with pytest.raises(ValueError, match="for a grid of 4"):
        write_nrrd(tmp_path / "map.nrrd", iter(np.zeros((slices, 30, 20), np.uint8)), volume)


def test_a_slice_of_another_shape_is_refused(tmp_path, volume):
    with pytest.raises(ValueError, match="does not fit"):
        write_nrrd(tmp_path / "map.nrrd", iter(np.zeros((4, 20, 30), np.uint8)), volume)
