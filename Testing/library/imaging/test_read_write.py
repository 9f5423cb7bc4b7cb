import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError


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


def test_a_picture_with_transparency_says_what_to_do(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    grey = pillow.fromarray(np.arange(600, dtype=np.uint8).reshape(30, 20))
    grey.convert("LA").save(tmp_path / "x.png")
    with pytest.raises(InputError, match="transparency"):
        read_volume(tmp_path / "x.png")


def nifti(path, *patches):
    """A plain NIfTI-1 file with some bytes of its header changed."""
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 17, 18), np.int16)), str(path))
    data = bytearray(path.read_bytes())
    for offset, new in patches:
        data[offset : offset + len(new)] = new
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_nifti_spacing_that_cannot_be_is_refused_where_itk_takes_one_millimetre(tmp_path, value, axis):
    path = nifti(tmp_path / "x.nii", (80 + 4 * axis, struct.pack("<f", value)))
    with pytest.raises(InputError, match="spacing"):
        read_volume(path)


def test_the_spacing_across_a_single_nifti_slice_may_be_missing(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((1, 17, 18), np.int16)), str(tmp_path / "x.nii"))
    data = bytearray((tmp_path / "x.nii").read_bytes())
    data[88:92] = struct.pack("<f", 0.0)
    (tmp_path / "x.nii").write_bytes(bytes(data))
    assert read_volume(tmp_path / "x.nii").array.shape == (1, 17, 18)


def test_a_nifti_header_that_hides_its_size_is_refused(tmp_path):
    path = nifti(tmp_path / "x.nii", (70, struct.pack("<2h", 64, 8)))  # says float64, and 8 bits
    with pytest.raises(InputError, match="damaged header"):
        read_volume(path)


META = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0", "ElementSpacing": "1 1 1",
    "DimSize": "18 17 3", "ElementType": "MET_SHORT", "ElementNumberOfChannels": "1", "ElementDataFile": "LOCAL",
}  # fmt: skip


def meta_image(path, data=bytes(2 * 3 * 17 * 18), **fields):
    lines = [f"{key} = {value}\n" for key, value in {**META, **fields}.items() if value is not None]
    path.write_bytes("".join(lines).encode() + data)
    return path


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"NDims": "93"}, "NDims"),  # MetaIO writes beyond its arrays and the process dies
        ({"NDims": "-3"}, "NDims"),
        ({"NDims": None}, "not a MetaImage"),
        ({"DimSize": None}, "DimSize"),
        ({"DimSize": "18 17"}, "DimSize"),
        ({"DimSize": "18 17 -3"}, "DimSize"),
        ({"TransformMatrix": "1 0 0 0-1 0 0 0 1"}, "TransformMatrix"),
        ({"Offset": "0 0 0 0 0 0 0 0 0 0 0 0 0"}, "Offset"),
        ({"ElementSpacing": "1 1 nan"}, "ElementSpacing"),
        ({"ElementSpacing": "1 0 1"}, "spacing"),
        ({"ElementSpacing": "1 -1 1"}, "spacing"),
        ({"ElementType": "MET_STRING"}, "ElementType"),
        ({"DimSize": "18 17 4"}, "holds 1836 bytes of the 2448"),
        ({"DimSize": "40000 40000 40000"}, "promises"),
        ({"CompressedData": "True"}, "truncated or damaged"),
        ({"ElementDataFile": "away.raw"}, "away.raw"),
        ({"ElementNumberOfChannels": "3", "DimSize": "18 17 1"}, "3 values per voxel"),
    ],
)
def test_a_damaged_meta_image_is_refused_before_its_library_sees_it(tmp_path, capfd, fields, word):
    with pytest.raises(InputError, match=word):
        read_volume(meta_image(tmp_path / "x.mha", **fields))
    assert capfd.readouterr().err == ""


def test_the_meta_image_those_are_made_from_is_fine(tmp_path):
    assert read_volume(meta_image(tmp_path / "x.mha")).array.shape == (3, 17, 18)


def test_a_scan_larger_than_the_machine_is_refused_before_it_is_read(tmp_path, monkeypatch):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 17, 18), np.int16)), str(tmp_path / "x.nrrd"))
    monkeypatch.setattr("ClamSegLib.imaging.read_write.cpu_memory_mb", lambda: (0, 0))
    with pytest.raises(InputError, match=r"needs .* GB"):
        read_volume(tmp_path / "x.nrrd")


ENDINGS = ["nii", "nii.gz", "nrrd", "mha", "png", "tif", "jpg"]


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """One small file of each kind, as bytes; the headers come first."""
    folder = tmp_path_factory.mktemp("whole")
    array = np.random.default_rng(0).integers(0, 200, (3, 17, 18))
    files = {}
    for ending in ENDINGS:
        own = array[0].astype(np.uint8) if ending in ("png", "tif", "jpg") else array.astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(own), str(folder / f"x.{ending}"), useCompression=ending == "mha")
        files[ending] = (folder / f"x.{ending}").read_bytes()
    return files


@pytest.mark.parametrize("ending", ENDINGS)
@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_damaged_file_is_a_volume_or_one_line_and_never_more(tmp_path, whole_files, capfd, ending, data):
    damaged = bytearray(whole_files[ending])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"x.{ending}"
    path.write_bytes(bytes(damaged[: data.draw(st.sampled_from([len(damaged), len(damaged) * 3 // 4]))]))
    try:
        volume, told = read_volume(path), ""
    except InputError as error:
        volume, told = None, str(error)
    if volume is None:
        assert "\n" not in told
        assert path.name in told
    else:
        assert volume.array.ndim == 3
        assert volume.array.dtype.kind in "iuf"
        assert all(0 < step <= 1000 for step in volume.spacing_mm)
    assert capfd.readouterr().err == ""


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
