"""What the pixels and headers of DICOM files in the field mean: tables, padding, polarity, views, mosaics, acquisitions."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_stacks import dataset, save, stack
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import BasicTextSRStorage

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.system.errors import InputError


def lookup_table(entries: list[int], first: int) -> Sequence:
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType, item.LUTData = (
        [len(entries), first, 16],
        "US",
        np.asarray(entries, "<u2").tobytes(),
    )
    return Sequence([item])


def xray(pixels: np.ndarray, **values: object) -> Dataset:
    flat = {"Modality": "DX", "ImagePositionPatient": None, "ImageOrientationPatient": None, "RescaleIntercept": 0}
    return dataset(pixels, "9.8", 1, **{**flat, **values})


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_modality_table_stands_in_place_of_slope_and_intercept(tmp_path, modality):
    stored = stack(tmp_path, 3, Modality=modality, ModalityLUTSequence=lookup_table(list(range(4000, 1900, -1)), 0))
    assert np.array_equal(read_volume(tmp_path).array, 4000 - stored.astype(int))


def test_a_modality_table_of_an_x_ray_comes_before_its_polarity(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 100, (20, 24)).astype(np.uint16)
    pixels[0, :2] = 0, 99
    ds = xray(
        pixels,
        PhotometricInterpretation="MONOCHROME1",
        ModalityLUTSequence=lookup_table([3 * k for k in range(100)], 0),
    )
    assert np.array_equal(read_volume(save(tmp_path, "x.dcm", ds)).array[0], 297 - 3 * pixels)


def test_padding_of_an_inverted_x_ray_stays_dark(tmp_path):
    pixels = np.random.default_rng(0).integers(1000, 3000, (20, 24)).astype(np.uint16)
    pixels[:, :5] = 0
    ds = xray(pixels, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0)
    read = read_volume(save(tmp_path, "x.dcm", ds)).array[0]
    image = pixels[:, 5:]
    assert np.array_equal(read[:, 5:], int(image.max()) + int(image.min()) - image)
    assert (read[:, :5] == image.min()).all()


def test_bright_padding_of_a_ct_becomes_its_darkest_value_and_what_tissue_has_as_well_stays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2000, (20, 24)).astype(np.uint16)
    pixels[:3] = 65535
    one = read_volume(save(tmp_path, "a.dcm", dataset(pixels, "1.2", 1, PixelPaddingValue=65535))).array[0]
    assert (one[:3] == pixels[3:].min() - 1024.0).all()
    assert np.array_equal(one[3:], pixels[3:].astype(int) - 1024)
    pixels[:3] = 1000
    other = read_volume(save(tmp_path, "b.dcm", dataset(pixels, "1.2", 1, PixelPaddingValue=1000))).array[0]
    assert np.array_equal(other, pixels.astype(int) - 1024)


def test_an_mr_stack_in_which_white_means_little_is_turned_bright(tmp_path):
    stored = stack(tmp_path / "mr", 3, Modality="MR", RescaleIntercept=0, PhotometricInterpretation="MONOCHROME1")
    turned = read_volume(tmp_path / "mr").array
    assert np.array_equal(turned.astype(int), int(stored.max()) + int(stored.min()) - stored.astype(int))
    hounsfield = stack(tmp_path / "ct", 3, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_volume(tmp_path / "ct").array, hounsfield.astype(int) - 1024)


def bare(path: Path, ds: Dataset, *, implicit: bool = True) -> None:
    """A data set as it is, without preamble and meta group."""
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, True
    plain = Dataset({element.tag: element for element in ds})
    write_dataset(stream, plain)
    path.write_bytes(stream.getvalue())


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble_are_the_series_they_are(tmp_path, implicit):
    pixels = np.random.default_rng(0).integers(0, 2000, (4, 20, 24)).astype(np.uint16)
    for k in range(4):
        bare(tmp_path / f"I{9 - k}", dataset(pixels[k], "1.2", k), implicit=implicit)
    (tmp_path / "README").write_text("This folder holds a CT series of four slices.")
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, pixels.astype(int) - 1024)
    assert volume.warnings == ()
    assert read_volume(tmp_path / "I9").array.shape == (1, 20, 24)


def test_a_mosaic_is_refused_by_its_name(tmp_path):
    ds = dataset(np.zeros((30, 30), np.uint16), "1.2", 1, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    with pytest.raises(InputError, match=r"mosaic.*dcm2niix"):
        read_volume(save(tmp_path, "x.dcm", ds))


def test_a_preview_beside_the_slices_is_left_out_and_said(tmp_path):
    stack(tmp_path)
    (tmp_path / "preview.jpg").write_bytes(b"\xff\xd8")
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 6
    assert "preview.jpg" in volume.warnings[0]


def test_a_report_and_the_directory_of_a_disc_are_no_damaged_slices(tmp_path):
    stack(tmp_path)
    ds = dataset(np.zeros((4, 4), np.uint16), "8.8", 1, Modality="SR", PixelData=None, Rows=None, Columns=None)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    save(tmp_path, "report.dcm", ds)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(30))
    (tmp_path / "notes.txt").write_text("seen twice")
    assert read_volume(tmp_path).warnings == ()


def test_links_to_slices_are_no_slices_of_their_own(tmp_path):
    stack(tmp_path)
    first = next(tmp_path.iterdir())
    (tmp_path / "again").symlink_to(first)
    (tmp_path / "back").symlink_to(tmp_path, target_is_directory=True)
    assert read_volume(tmp_path).array.shape[0] == 6


def test_the_ct_is_read_although_a_colour_rendering_has_more_pictures(tmp_path):
    stack(tmp_path, 3)
    for k in range(5):
        ds = dataset(np.zeros((20, 24), np.uint16), "5.5", k, SamplesPerPixel=3, PhotometricInterpretation="RGB")
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PlanarConfiguration, ds.PixelData = 7, 0, bytes(20 * 24 * 3)
        save(tmp_path, f"rendering{k}", ds)
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 3
    assert volume.modality == "CT"
    assert "(5, colour)" in volume.warnings[0]
    assert "largest scan" in volume.warnings[0]


def test_a_localiser_that_says_so_is_left_out_of_its_series(tmp_path):
    stack(tmp_path, 5)
    upright = [1, 0, 0, 0, 0, -1]
    ds = dataset(np.zeros((30, 24), np.uint16), "1.2.3.4", 99, ImageOrientationPatient=upright)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(tmp_path, "scout", ds)
    volume = read_volume(tmp_path)
    assert volume.array.shape == (5, 20, 24)
    assert "scout" in volume.warnings[0]


def test_acquisitions_that_lie_between_each_other_are_said(tmp_path):
    for k in range(8):
        place = [-10, -20, 2.5 * k]
        pixels = np.full((20, 24), k, np.uint16)
        save(
            tmp_path / "two", f"{k}", dataset(pixels, "1.2", k, ImagePositionPatient=place, AcquisitionNumber=1 + k % 2)
        )
        save(
            tmp_path / "blocks",
            f"{k}",
            dataset(pixels, "1.2", k, ImagePositionPatient=place, AcquisitionNumber=1 + k // 4),
        )
        save(tmp_path / "each", f"{k}", dataset(pixels, "1.2", k, ImagePositionPatient=place, AcquisitionNumber=k))
    (warning,) = read_volume(tmp_path / "two").warnings
    assert "2 acquisitions" in warning
    assert "number 1 with 4 slices" in warning
    assert read_volume(tmp_path / "blocks").warnings == read_volume(tmp_path / "each").warnings == ()


@pytest.mark.parametrize(
    ("side", "front"),
    [
        ({"ViewPosition": "LL"}, {"ViewPosition": "PA"}),
        ({"ViewPosition": "LATERAL"}, {}),
        ({"PatientOrientation": ["A", "F"]}, {"PatientOrientation": ["L", "F"]}),
    ],
)
def test_of_a_lateral_and_a_frontal_x_ray_the_frontal_one_is_read(tmp_path, side, front):
    lateral, frontal = (np.full((20, 24), value, np.uint16) for value in (7, 8))
    lateral[0, 0] = frontal[0, 0] = 1
    save(tmp_path, "a.dcm", xray(lateral, **side))
    save(tmp_path, "b.dcm", xray(frontal, **front))
    volume = read_volume(tmp_path)
    assert volume.array.max() == 8
    assert volume.slice_files == (tmp_path / "b.dcm",)
    assert "b.dcm" in volume.warnings[0]
    alone = read_volume(tmp_path / "a.dcm")
    assert any("lateral" in warning for warning in alone.warnings)
    assert not any("lateral" in warning for warning in read_volume(tmp_path / "b.dcm").warnings)


def test_the_body_part_comes_with_the_volume(tmp_path):
    ds = dataset(np.arange(480, dtype=np.uint16).reshape(20, 24), "1.2", 1, BodyPartExamined="KNEE")
    assert read_volume(save(tmp_path, "x.dcm", ds)).body_part == "knee"


def test_a_slice_of_another_frame_of_reference_is_refused_by_its_name(tmp_path):
    stack(tmp_path)
    files = sorted(tmp_path.iterdir())
    for number, path in enumerate(files):
        data = pydicom.dcmread(path)
        data.FrameOfReferenceUID = "1.2.9" if number == 2 else "1.2.8"
        data.save_as(path)
    with pytest.raises(InputError, match=rf"{files[2].name} has another FrameOfReferenceUID"):
        read_volume(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("RescaleIntercept", "99999999999"), ("RescaleSlope", "1e300")])
def test_a_rescaling_out_of_the_range_of_values_is_refused_by_its_name(tmp_path, name, value):
    stack(tmp_path)
    for path in tmp_path.iterdir():
        data = pydicom.dcmread(path)
        setattr(data, name, value)
        data.save_as(path)
    with pytest.raises(InputError, match=f"has the {name}"):
        read_volume(tmp_path)
