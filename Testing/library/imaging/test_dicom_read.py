"""Series as scanners write them: drawn ones with every trap, and the real ones."""

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from another_user import another_user, folder_for_everybody
from dicom_stacks import dataset, save, stack
from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    RLELossless,
)

from ClamSegLib.imaging.dicom_series import list_series
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.system.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[3]


def test_slices_are_sorted_by_height_whatever_their_names(tmp_path):
    pixels = stack(tmp_path)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, pixels.astype(int) - 1024)
    assert volume.array.dtype == np.int16
    assert volume.spacing_mm == pytest.approx((0.7, 0.8, 5.0))
    assert volume.origin == pytest.approx((-10, -20, 0))
    assert (volume.modality, volume.description, volume.warnings) == ("CT", "Chest 5.0", ())
    assert [pydicom.dcmread(f).InstanceNumber for f in volume.slice_files] == list(range(6))


def test_a_stack_that_runs_downwards_keeps_its_place_in_the_patient(tmp_path):
    stack(tmp_path, ImageOrientationPatient=[1, 0, 0, 0, -1, 0])
    volume = read_volume(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    theirs = sitk.GetArrayFromImage(image)
    for index in ((0, 0, 0), (5, 3, 7), (2, 19, 23)):
        place = volume.to_lps(np.array(index))
        x, y, z = image.TransformPhysicalPointToIndex(place.tolist())
        assert theirs[z, y, x] == volume.array[index]


def test_the_geometry_is_that_of_itk_for_an_oblique_series(tmp_path):
    row, column = np.array([0.8, 0.6, 0.0]), np.array([-0.36, 0.48, 0.8])
    normal = np.cross(row, column)
    rng = np.random.default_rng(0)
    for k in range(4):
        place = [float(v) for v in np.array([1.0, 2.0, 3.0]) + 4.0 * k * normal]
        pixels = rng.integers(0, 900, (20, 24)).astype(np.uint16)
        save(
            tmp_path,
            f"{9 - k}",
            dataset(pixels, "1.5", k, ImagePositionPatient=place, ImageOrientationPatient=[*row, *column]),
        )
    volume = read_volume(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    assert volume.origin == pytest.approx(image.GetOrigin(), abs=1e-4)
    assert volume.direction == pytest.approx(image.GetDirection(), abs=1e-4)
    assert volume.spacing_mm == pytest.approx(image.GetSpacing(), abs=1e-4)
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(image))


def test_of_several_series_the_largest_is_read_and_said_and_any_can_be_chosen(tmp_path):
    stack(tmp_path, 3, "1.2.3.9", SeriesDescription="Scout")
    stack(tmp_path / "deeper", 5, "1.2.3.8", SeriesDescription="Lung")
    assert [s.n_slices for s in list_series(tmp_path)] == [5, 3]
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 5
    assert "2 series" in volume.warnings[0]
    assert "Scout" in volume.warnings[0]
    assert read_volume(tmp_path, series="2").array.shape[0] == 3
    assert read_volume(tmp_path, series="1.2.3.9").array.shape[0] == 3
    with pytest.raises(InputError, match="Scout"):
        read_volume(tmp_path, series="3")


def number_of(path):
    return int(pydicom.dcmread(path).InstanceNumber)


def remove(folder, *numbers):
    for path in list(folder.iterdir()):
        if number_of(path) in numbers:
            path.unlink()


@pytest.mark.parametrize("gone", [(4,), (1, 2), (2, 5)])
def test_a_missing_slice_is_told_and_every_other_one_stays_where_it_was(tmp_path, gone):
    stack(tmp_path, 8)
    whole = read_volume(tmp_path)
    remove(tmp_path, *gone)
    volume = read_volume(tmp_path)
    assert (volume.missing_slices, volume.spacing_mm, volume.origin) == (gone, whole.spacing_mm, whole.origin)
    there = [k for k in range(8) if k not in gone]
    assert np.array_equal(volume.array[there], whole.array[there])
    assert (volume.array[list(gone)] == whole.array[there].min()).all()
    assert [number_of(file) for file in volume.slice_files] == there
    assert f"{len(gone)} of 8 slices of the series {'are' if len(gone) > 1 else 'is'} missing" in volume.warnings[0]


END = "Slices may be missing at an end of the series"


@pytest.mark.parametrize(
    ("told", "numbers", "words"),
    [
        ({"NumberOfSeriesRelatedInstances": 8}, range(1, 7), "the headers tell of 8 images, 6 are here"),
        ({"ImagesInAcquisition": 9}, range(1, 7), "the headers tell of 9 images, 6 are here"),
        ({"NumberOfSlices": 7}, range(6, 0, -1), "the headers tell of 7 images, 6 are here"),
        ({}, range(3, 9), "its images are numbered from 3 to 8"),
        ({}, range(8, 2, -1), "its images are numbered from 3 to 8"),
        ({"ImagesInAcquisition": 12}, range(1, 7), ""),  # two series of one acquisition
        ({"ImagesInAcquisition": 6}, range(1, 7), ""),
        ({}, range(1, 7), ""),
        ({}, (2, 9, 4, 11, 3, 8), ""),  # numbers that count no slices
    ],
)
def test_slices_that_may_be_missing_at_an_end_are_told_where_the_headers_hint_at_it(tmp_path, told, numbers, words):
    stack(tmp_path, 6, **told)
    for path in tmp_path.iterdir():
        ds = pydicom.dcmread(path)
        ds.InstanceNumber = numbers[int(ds.InstanceNumber)]
        ds.save_as(path)
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 6
    told_of = [words for words in volume.warnings if words.startswith(END)]
    assert ([words in told_of[0]] if words else told_of) == ([True] if words else [])


def test_a_gap_and_a_localiser_are_no_slices_missing_at_an_end(tmp_path):
    stack(tmp_path, 8, ImagesInAcquisition=9)
    for path in list(tmp_path.iterdir()):
        ds = pydicom.dcmread(path)
        ds.InstanceNumber += 2
        if ds.InstanceNumber == 5:
            path.unlink()
        else:
            ds.save_as(path)
    ds = pydicom.dcmread(next(tmp_path.iterdir()))
    ds.ImageType, ds.InstanceNumber, ds.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 1, "1.2.3.77"
    ds.save_as(tmp_path / "localiser")
    volume = read_volume(tmp_path)
    assert len(volume.missing_slices) == 1
    assert not [words for words in volume.warnings if words.startswith(END)]


def test_a_missing_frame_keeps_its_place_too(tmp_path):
    ds, _ = enhanced(5)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        if place[0] <= -12:
            place[0] -= 4
    volume = read_volume(save(tmp_path, "e.dcm", ds))
    assert volume.missing_slices == (3,)
    assert volume.spacing_mm[2] == pytest.approx(4.0)
    assert "1 between frames" in volume.warnings[0]


def test_slices_on_no_grid_are_said_with_how_far_places_are_off(tmp_path):
    for k, height in enumerate((0, 5, 10, 15, 23, 31, 39)):
        save(tmp_path, f"{k}", dataset(np.full((20, 24), k, np.uint16), "1.2", k, ImagePositionPatient=[0, 0, height]))
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 7
    assert volume.missing_slices == ()
    assert volume.stack_doubt == "slices are unevenly spaced, places along the stack are off by up to 4.5 mm"
    assert "unevenly spaced" in volume.warnings[0]
    assert "(5.00 to 8.00 mm)" in volume.warnings[0]
    assert "up to 4.5 mm" in volume.warnings[0]


def test_steps_that_differ_by_rounding_move_no_slice(tmp_path):
    heights = [round(1.013 * k, 2) for k in range(60)]
    for k, height in enumerate(heights):
        save(tmp_path, f"{k}", dataset(np.full((20, 24), k, np.uint16), "1.2", k, ImagePositionPatient=[0, 0, height]))
    volume = read_volume(tmp_path)
    assert volume.warnings == ()
    assert volume.to_lps(np.array([59, 0, 0]))[2] == pytest.approx(heights[-1], abs=1e-6)


def test_two_stacks_far_apart_are_no_stack(tmp_path):
    for k, height in enumerate((0, 5, 10, 15, 703)):
        save(tmp_path, f"{k}", dataset(np.full((20, 24), k, np.uint16), "1.2", k, ImagePositionPatient=[0, 0, height]))
    with pytest.raises(InputError, match="no single stack: there are 688 mm between 3 and 4"):
        read_volume(tmp_path)


def test_two_slices_at_one_height_are_refused(tmp_path):
    stack(tmp_path, 4)
    save(tmp_path, "again", dataset(np.zeros((20, 24), np.uint16), "1.2.3.4", 2))
    other = next(p.name for p in tmp_path.iterdir() if p.name != "again" and pydicom.dcmread(p).InstanceNumber == 2)
    with pytest.raises(InputError, match=rf"same position, e.g. ({other} and again|again and {other}) "):
        read_volume(tmp_path)


def test_a_localiser_inside_the_series_is_refused(tmp_path):
    stack(tmp_path, 4)
    save(
        tmp_path,
        "scout",
        dataset(np.zeros((20, 24), np.uint16), "1.2.3.4", 9, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
    )
    with pytest.raises(InputError, match="orientation"):
        read_volume(tmp_path)


def test_a_tilted_stack_is_refused_rather_than_sheared(tmp_path):
    for k in range(5):
        save(
            tmp_path,
            str(k),
            dataset(np.zeros((20, 24), np.uint16) + k, "1.7", k, ImagePositionPatient=[0, 2.0 * k, 5.0 * k]),
        )
    with pytest.raises(InputError, match="tilted"):
        read_volume(tmp_path)


def test_even_a_slight_tilt_is_refused_when_it_moves_slices_by_more_than_a_pixel(tmp_path):
    for k in range(40):
        place = [0, 0.05 * k, 5.0 * k]  # half a degree: 2 mm over the stack
        save(tmp_path, str(k), dataset(np.zeros((20, 24), np.uint16), "1.7", k, ImagePositionPatient=place))
    with pytest.raises(InputError, match=r"tilted.*2\.0 mm"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("odd", "word"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]}, "orientation"),  # turned in its own plane
        ({"PixelSpacing": [2, 2]}, "pixel spacing"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "no direction"),
        ({"ImageOrientationPatient": [0] * 6}, "no direction"),
    ],
)
def test_a_slice_unlike_the_others_is_named(tmp_path, odd, word):
    stack(tmp_path, 4)
    save(tmp_path, "odd", dataset(np.zeros((20, 24), np.uint16), "1.2.3.4", 9, **odd))
    with pytest.raises(InputError, match=f"odd.*{word}"):
        read_volume(tmp_path)


def damage(path: Path, name: str, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1, name
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("ImagePositionPatient", b"-10.0\\-20.0\\5.0", b"-10.0\\?20.0\\5.0"),
        ("ImagePositionPatient", b"-10.0\\-20.0\\5.0", b"-10.0\\-20.0 5.0"),
        ("PixelSpacing", b"0.8\\0.7", b"0.8\\nan"),
        ("ImageOrientationPatient", b"1.0\\0.0\\0.0\\0.0\\1.0", b"1.0\\0.0\\0.0\\x.0\\1.0"),
        ("RescaleIntercept", b"-1024", b"-10-4"),
    ],
)
def test_numbers_that_are_none_are_a_damaged_file(tmp_path, name, old, new):
    path = save(tmp_path, "a.dcm", dataset(np.zeros((20, 24), np.uint16), "1.2", 1))
    damage(path, name, old, new)
    with pytest.raises(InputError, match=f"a.dcm has a damaged {name}"):
        read_volume(path)


@pytest.mark.parametrize("content", [b"", bytes(3000)])
@pytest.mark.parametrize("name", ["IM0006", "1.2.840.6", "6.dcm"])
def test_a_slice_of_which_a_failed_copy_left_nothing_is_refused_too(tmp_path, name, content):
    stack(tmp_path, 6)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f": {name}; slices may be missing"):
        read_volume(tmp_path)


@pytest.mark.parametrize("number", [2, 5])
def test_a_file_too_damaged_to_belong_to_the_series_is_refused_in_the_middle_and_at_its_end(tmp_path, number):
    stack(tmp_path, 6)
    last = next(p for p in tmp_path.iterdir() if number_of(p) == number)
    last.write_bytes(last.read_bytes()[:400])
    with pytest.raises(InputError, match=f"cannot be read \\(damaged.*: {last.name}; slices may be missing"):
        read_volume(tmp_path)
    last.unlink()
    (tmp_path / "notes.txt").write_text("no image, and no damage either")
    assert read_volume(tmp_path).missing_slices == ((number,) if number < 5 else ())


def test_a_series_without_pixel_spacing_is_said_to_be_measured_in_pixels(tmp_path):
    for k in range(3):
        save(tmp_path, f"{k}", dataset(np.zeros((20, 24), np.uint16), "1.9.8", k, PixelSpacing=None,
                                       ImagePositionPatient=[0, 0, 5.0 * k]))  # fmt: skip
    volume = read_volume(tmp_path)
    assert not volume.spacing_known
    assert "sizes are given in pixels" in volume.warnings[0]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights of files as on Unix")
def test_a_slice_that_may_not_be_read_is_refused_whatever_its_name():
    with folder_for_everybody() as folder:
        stack(folder, 6)
        last = next(p for p in folder.iterdir() if pydicom.dcmread(p).InstanceNumber == 5)
        last.rename(folder / "IM0005").chmod(0)
        with another_user(), pytest.raises(InputError, match=r"permission\): IM0005"):
            read_volume(folder)


def test_a_scan_is_read_although_a_larger_segmentation_lies_beside_it(tmp_path):
    pixels = stack(tmp_path, 3)
    for k in range(5):
        save(tmp_path, f"seg{k}", dataset(np.zeros((20, 24), np.uint16), "1.9.9", k, Modality="SEG"))
    assert np.array_equal(read_volume(tmp_path).array, pixels.astype(int) - 1024)


def enhanced(n: int = 5, slopes: bool = True, step: float = 4.0) -> tuple[Dataset, np.ndarray]:
    """An enhanced image whose frames lie in no order, each with a slope of its own; and its values by height."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 500, (n, 20, 24)).astype(np.uint16)
    heights = rng.permutation(n)
    ds = dataset(
        values[0], "1.6", 1, Modality="MR", SeriesDescription="T1", RescaleSlope=None, RescaleIntercept=None,
        ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, SliceThickness=None,
    )  # fmt: skip
    ds.NumberOfFrames = n
    ds.PixelData = values[heights].tobytes()
    shared, turn, measures = Dataset(), Dataset(), Dataset()
    turn.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]  # sagittal
    measures.PixelSpacing, measures.SliceThickness = [0.9, 0.6], 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for height in heights:
        frame, place, rescale = Dataset(), Dataset(), Dataset()
        # the normal of (P, I) points to the patient's right: -L
        place.ImagePositionPatient = [-step * float(height), -50, 60]
        rescale.RescaleSlope, rescale.RescaleIntercept = (int(height) + 1 if slopes else 1), 0
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [rescale]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    scale = np.arange(1, n + 1)[:, None, None] if slopes else 1
    return ds, values.astype(int) * scale


@pytest.mark.parametrize("slopes", [True, False])
def test_the_frames_of_an_enhanced_image_are_sorted_and_scaled_each_by_its_own_slope(tmp_path, slopes):
    ds, expected = enhanced(slopes=slopes)
    volume = read_volume(save(tmp_path, "e.dcm", ds))
    assert np.allclose(volume.array, expected)
    assert volume.spacing_mm == pytest.approx((0.6, 0.9, 4.0))
    assert volume.origin == pytest.approx((0, -50, 60))
    assert np.allclose(np.reshape(volume.direction, (3, 3)).T, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    assert (volume.modality, volume.is_picture) == ("MR", False)


def test_an_enhanced_image_of_one_frame_is_a_slice_in_the_patient(tmp_path):
    volume = read_volume(save(tmp_path, "e.dcm", enhanced(1)[0]))
    assert not volume.is_picture
    assert volume.spacing_mm == pytest.approx((0.6, 0.9, 3.0))


def test_frames_count_as_slices_when_the_largest_series_is_looked_for(tmp_path):
    stack(tmp_path, 2, SeriesDescription="Scout")
    save(tmp_path, "e.dcm", enhanced(5)[0])
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 5
    assert "Scout (2)" in volume.warnings[0]


def test_frames_that_make_no_stack_are_refused_as_slices_are(tmp_path):
    ds, _ = enhanced(4)
    ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient = [-4.0, -50, 80]
    with pytest.raises(InputError, match=r"tilted|same position"):
        read_volume(save(tmp_path, "tilted.dcm", ds))
    ds, _ = enhanced(4, step=0.0)
    with pytest.raises(InputError, match="same position"):
        read_volume(save(tmp_path, "times.dcm", ds))
    ds, _ = enhanced(4)
    del ds.PerFrameFunctionalGroupsSequence
    with pytest.raises(InputError, match="without positions"):
        read_volume(save(tmp_path, "cine.dcm", ds))


def test_slices_of_one_series_may_have_different_slopes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 500, (3, 20, 24)).astype(np.uint16)
    for k in range(3):
        save(tmp_path, str(k), dataset(pixels[k], "1.7", k, RescaleSlope=[1, 0.5, 2][k], RescaleIntercept=0))
    expected = pixels * np.array([1, 0.5, 2])[:, None, None]
    assert np.allclose(read_volume(tmp_path).array, expected)


def test_a_fractional_slope_gives_floats(tmp_path):
    pixels = stack(tmp_path, 3, RescaleSlope=0.5, RescaleIntercept=10)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.float32
    assert np.allclose(volume.array, pixels * 0.5 + 10)


def xray(pixels: np.ndarray, **values: object) -> Dataset:
    return dataset(
        pixels, "1.9", 1, Modality="DX", SOPClassUID=DigitalXRayImageStorageForPresentation, RescaleSlope=None,
        RescaleIntercept=None, ImagePositionPatient=None, ImageOrientationPatient=None, SliceThickness=None, **values,
    )  # fmt: skip


def test_an_inverted_xray_is_turned_bright_and_keeps_its_sixteen_bits(tmp_path):
    pixels = np.random.default_rng(0).integers(100, 40000, (30, 20)).astype(np.uint16)
    plain = read_volume(save(tmp_path, "a.dcm", xray(pixels)))
    turned = read_volume(save(tmp_path, "b.dcm", xray(pixels, PhotometricInterpretation="MONOCHROME1")))
    assert plain.array.dtype == np.uint16
    assert np.array_equal(plain.array[0], pixels)
    total = int(pixels.max()) + int(pixels.min())
    assert np.array_equal(turned.array[0].astype(int), total - pixels.astype(int))
    assert plain.is_picture
    assert plain.modality == "XR"


def test_detector_spacing_of_an_xray_is_not_the_patients(tmp_path):
    pixels = np.arange(600, dtype=np.uint16).reshape(30, 20)
    detector = read_volume(save(tmp_path, "a", xray(pixels, PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.2])))
    assert not detector.spacing_known
    assert "detector" in detector.warnings[0]
    calibrated = read_volume(save(tmp_path, "b", xray(pixels, PixelSpacingCalibrationType="GEOMETRY")))
    assert calibrated.spacing_known
    assert calibrated.spacing_mm[:2] == pytest.approx((0.7, 0.8))


def test_a_compressed_series_is_read(tmp_path):
    pixels = stack(tmp_path, 3)
    for path in tmp_path.iterdir():
        ds = pydicom.dcmread(path)
        ds.compress(RLELossless)
        ds.save_as(path)
    assert np.array_equal(read_volume(tmp_path).array, pixels.astype(int) - 1024)


def test_an_eight_bit_xray_counts_as_windowed(tmp_path):
    pixels = np.arange(600, dtype=np.uint8).reshape(30, 20)
    ds = xray(pixels, BitsAllocated=8, BitsStored=8, HighBit=7)
    assert read_volume(save(tmp_path, "a.dcm", ds)).already_windowed
    assert not read_volume(save(tmp_path, "b.dcm", xray(pixels.astype(np.uint16)))).already_windowed


def without_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where only pydicom and SimpleITK are installed."""

    def nothing(self: Dataset) -> np.ndarray:
        raise RuntimeError("Unable to decompress because all plugins are missing dependencies:\n  pylibjpeg")

    monkeypatch.setattr(Dataset, "pixel_array", property(nothing))


def test_what_pydicom_has_no_decoder_for_gdcm_reads_to_the_same_values(tmp_path, monkeypatch):
    stack(tmp_path / "series", 3)
    ds, _ = enhanced()
    save(tmp_path, "e.dcm", ds)
    expected = [read_volume(tmp_path / name).array for name in ("series", "e.dcm")]
    without_decoders(monkeypatch)
    assert np.array_equal(read_volume(tmp_path / "series").array, expected[0])
    assert np.allclose(read_volume(tmp_path / "e.dcm").array, expected[1])


@pytest.mark.parametrize("folder", ["formats/dicom_covidctmd_P001_6slices", "totalseg_ct/example_ct_dicom"])
def test_real_compressed_slices_are_read_without_extra_decoders(real_data, monkeypatch, folder):
    path = sorted((real_data / folder).iterdir())[0]
    expected = read_volume(path)
    without_decoders(monkeypatch)
    assert np.array_equal(read_volume(path).array, expected.array)


def test_where_nothing_can_decode_the_package_to_install_is_named(tmp_path, capfd):
    from pydicom import encaps

    ds = dataset(np.zeros((20, 24), np.uint16), "1.2", 1)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG-2
    ds.PixelData = encaps.encapsulate([b"\0\0\1\xb3" + bytes(96)])
    ds["PixelData"].is_undefined_length = True
    with pytest.raises(InputError, match=r"clamseg\[dicom\]"):
        read_volume(save(tmp_path, "a.dcm", ds))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("decoders", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_compressed_frame_that_is_cut_off_is_refused(real_data, tmp_path, monkeypatch, share, decoders):
    """The decoder would fill the rest with grey."""
    from pydicom import encaps

    ds = pydicom.dcmread(sorted((real_data / "formats" / "dicom_covidctmd_P001_6slices").iterdir())[0])
    frame = next(encaps.generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = encaps.encapsulate([frame[: int(len(frame) * share)]])
    ds.save_as(tmp_path / "cut.dcm")
    if not decoders:
        without_decoders(monkeypatch)
    with pytest.raises(InputError, match="cut off" if decoders else "damaged"):
        read_volume(tmp_path / "cut.dcm")


def test_no_name_of_a_patient_reaches_a_message(tmp_path, caplog):
    stack(tmp_path, 3)
    volume = read_volume(tmp_path)
    words = " ".join((*volume.warnings, volume.description, caplog.text))
    assert "Secret" not in words
    assert "4711" not in words
    damaged = next(tmp_path.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-300])
    with pytest.raises(InputError) as refused:
        read_volume(tmp_path)
    assert "Secret" not in str(refused.value)
    assert "4711" not in str(refused.value)


def test_a_segmentation_object_is_no_scan(tmp_path):
    ds = dataset(np.zeros((20, 24), np.uint16), "1.8", 1, Modality="SEG")
    with pytest.raises(InputError, match="SEG object"):
        read_volume(save(tmp_path, "seg.dcm", ds))


@pytest.mark.parametrize(
    ("folder", "shape"),
    [
        ("formats/dicom_covidctmd_P001_6slices", (6, 512, 512)),
        ("formats/dicom_lidc0001_3slices", (3, 512, 512)),
        ("formats/dicom_lungmask_2slices", (2, 512, 512)),
        ("totalseg_ct/example_ct_dicom", (20, 512, 512)),
    ],
)
def test_real_series_are_read_in_any_order_of_their_names(real_data, tmp_path, folder, shape):
    source = real_data / folder
    expected = read_volume(source)
    assert expected.array.shape == shape
    assert expected.array.min() < -900
    names = sorted(p.name for p in source.iterdir())
    for name, other in zip(names, [f"{k:05d}" for k in np.random.default_rng(0).permutation(len(names))], strict=True):
        shutil.copy(source / name, tmp_path / other)
    again = read_volume(tmp_path)
    assert np.array_equal(again.array, expected.array)
    assert again.origin == expected.origin


def test_a_real_series_lies_on_the_grid_of_its_published_labels(real_data):
    """The organ labels of the example CT are stored with rows the other way round."""
    from ClamSegLib.imaging.volume import canonical

    ct, _ = canonical(read_volume(real_data / "totalseg_ct" / "example_ct_dicom"))
    labels, _ = canonical(read_volume(real_data / "totalseg_ct" / "volumes" / "example_seg_dicom.nii.gz"))
    assert labels.array.shape == ct.array.shape
    assert labels.origin == pytest.approx(ct.origin, abs=0.01)
    liver, aorta = ct.array[labels.array == 5], ct.array[labels.array == 52]
    assert 20 < np.median(liver) < 200
    assert np.median(aorta) > 30
    assert np.percentile(liver, 5) > -60, "liver labels would hold air or fat if they lay in the wrong place"
