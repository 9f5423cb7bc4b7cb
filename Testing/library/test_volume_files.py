import numpy as np
import pytest
import SimpleITK as sitk

from ClamSegLib.errors import InputError
from ClamSegLib.volume import Volume
from ClamSegLib.volume_files import read_volume, write_volume


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32])
def test_values_and_frame_survive_writing_and_reading(tmp_path, ending, kind):
    array = np.random.default_rng(0).integers(0, 120, (3, 17, 19)).astype(kind)
    volume = Volume(array, (0.5, 0.75, 2.5), (-12.5, 30.0, 7.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    write_volume(array, volume, tmp_path / f"x{ending}")
    found = read_volume(tmp_path / f"x{ending}")
    assert found.array.dtype == kind
    assert np.array_equal(found.array, array)
    assert found.spacing_mm == pytest.approx(volume.spacing_mm)
    assert found.origin == pytest.approx(volume.origin)
    assert found.direction == pytest.approx(volume.direction)


def test_a_detached_header_is_read(tmp_path):
    array = np.arange(2 * 16 * 16, dtype=np.int16).reshape(2, 16, 16)
    write_volume(array, Volume(array), tmp_path / "x.mhd")
    assert np.array_equal(read_volume(tmp_path / "x.mhd").array, array)


def test_one_time_point_stored_as_four_dimensions_is_a_volume(tmp_path):
    array = np.random.default_rng(0).integers(0, 99, (1, 4, 16, 18)).astype(np.int16)
    image = sitk.GetImageFromArray(array, isVector=False)
    assert image.GetDimension() == 4
    sitk.WriteImage(image, str(tmp_path / "x.nii.gz"))
    assert np.array_equal(read_volume(tmp_path / "x.nii.gz").array, array[0])


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize(("kind", "windowed"), [(np.uint8, True), (np.uint16, False)])
def test_pictures_keep_their_depth_and_have_no_millimetres(tmp_path, ending, kind, windowed):
    array = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (20, 30)).astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"x{ending}"))
    volume = read_volume(tmp_path / f"x{ending}")
    assert volume.array.dtype == kind
    assert np.array_equal(volume.array[0], array)
    assert volume.already_windowed is windowed
    assert volume.is_picture
    assert not volume.spacing_known


def test_a_jpeg_is_read(tmp_path):
    array = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (40, 1))
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "x.jpg"))
    assert np.abs(read_volume(tmp_path / "x.jpg").array[0].astype(int) - array).max() < 12


def test_a_colour_picture_of_equal_channels_is_grey_and_any_other_refused(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (20, 30)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([grey] * 3, -1), isVector=True), str(tmp_path / "grey.png"))
    assert np.array_equal(read_volume(tmp_path / "grey.png").array[0], grey)
    sitk.WriteImage(
        sitk.GetImageFromArray(np.stack([grey, grey // 2, grey], -1), isVector=True), str(tmp_path / "c.png")
    )
    with pytest.raises(InputError, match="colour"):
        read_volume(tmp_path / "c.png")


def test_a_picture_that_is_a_volume_in_disguise_is_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 20, 30), np.uint8)), str(tmp_path / "x.tif"))
    with pytest.raises(InputError, match="3 pictures"):
        read_volume(tmp_path / "x.tif")


def test_real_nrrd_volumes_are_read_in_their_frame(real_data):
    image = read_volume(real_data / "formats" / "nrrd_pyradiomics" / "brain1_image.nrrd")
    label = read_volume(real_data / "formats" / "nrrd_pyradiomics" / "brain1_label.nrrd")
    assert image.array.shape == (25, 256, 256)
    assert image.spacing_mm == pytest.approx((0.78125, 0.78125, 6.5), abs=1e-3)
    assert label.origin == pytest.approx(image.origin)
    # The labelled tumour is brighter than the tissue around it.
    assert np.median(image.array[label.array > 0]) > np.median(image.array[image.array > 300])


def test_a_real_lesion_outline_lies_on_bright_tissue_of_its_volume(real_data):
    folder = real_data / "open_ms_flair" / "volumes"
    flair, lesion = (read_volume(folder / f"patient19_{name}.nii.gz") for name in ("flair", "lesion"))
    brain = flair.array > 0
    assert np.median(flair.array[lesion.array > 0]) > np.percentile(flair.array[brain], 80)
