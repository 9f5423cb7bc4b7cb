"""Frames that a file leaves open, states twice, or lets lean: said, straightened within rounding, or refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ClamSegLib.imaging.frames import grid_difference
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

QFORM_CODE, SFORM_CODE, QUATERNION, SROW_X, SROW_Y = 252, 254, 256, 280, 296
PIXDIM, SLOPE = 76, 112


def nifti(path: Path, *patches: tuple[int, bytes], shape: tuple[int, int, int] = (40, 60, 50)) -> Path:
    """A NIfTI-1 file of 2 x 1 x 3 mm with some bytes of its header changed."""
    values = np.random.default_rng(0).integers(-100, 100, shape).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1, 2, 3))
    image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    image.SetOrigin((-5, 6, 7))
    sitk.WriteImage(image, str(path))
    data = bytearray(path.read_bytes())
    for offset, new in patches:
        data[offset : offset + len(new)] = new
    path.write_bytes(bytes(data))
    return path


def short(value: int) -> bytes:
    return struct.pack("<h", value)


def numbers(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_a_frame_that_is_stated_once_or_twice_alike_needs_no_word(tmp_path):
    assert read_volume(nifti(tmp_path / "both.nii")).warnings == ()
    assert read_volume(nifti(tmp_path / "one.nii", (SFORM_CODE, short(0)))).warnings == ()


@pytest.mark.parametrize(("unit", "factor"), [(1, 0.001), (3, 1000.0)])
def test_a_frame_in_metres_or_micrometres_is_one_frame(tmp_path, unit, factor):
    rows = np.array([-1, 0, 0, 5, 0, 2, 0, -6, 0, 0, 3, 7]) * factor
    patches = [(123, bytes([unit])), (PIXDIM + 4, numbers(*(np.array([1, 2, 3]) * factor))), (SROW_X, numbers(*rows))]
    volume = read_volume(nifti(tmp_path / "x.nii", *patches, (268, numbers(*(np.array([5, -6, 7]) * factor)))))
    assert np.allclose(volume.spacing_mm, (1, 2, 3))
    assert np.allclose(volume.origin, (-5, 6, 7))
    assert volume.warnings == ()


def test_a_scaling_that_no_reader_of_meta_images_applies_is_said(tmp_path):
    head = "ObjectType = Image\nNDims = 3\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nElementSpacing = 1 1 1\nDimSize = 20 20 4\n"
    head += "ElementToIntensityFunctionSlope = 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "x.mha").write_bytes(head.encode() + bytes(1600))
    assert "slope 2" in read_volume(tmp_path / "x.mha").warnings[0]


def test_a_nifti_without_codes_is_said_to_lie_anyhow(tmp_path):
    (warning,) = read_volume(nifti(tmp_path / "x.nii", (QFORM_CODE, short(0)), (SFORM_CODE, short(0)))).warnings
    assert "how it lies in the patient" in warning
    assert "sform_code" in warning


@pytest.mark.parametrize(
    ("field", "said"), [("", 1), ("space dimension: 3\n", 1), ("space: left-posterior-superior\n", 0)]
)
def test_a_nrrd_without_space_is_said_to_lie_anyhow(tmp_path, field, said):
    frame = field + "space directions: (1,0,0) (0,1,0) (0,0,1)\n" if field else "spacings: 1 1 1\n"
    head = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 20 20 4\nencoding: raw\n{frame}\n"
    (tmp_path / "x.nrrd").write_bytes(head.encode() + bytes(range(200)) * 8)
    assert len(read_volume(tmp_path / "x.nrrd").warnings) == said


def test_a_meta_image_without_a_matrix_is_said_to_lie_anyhow(tmp_path):
    head = "ObjectType = Image\nNDims = 3\nElementSpacing = 1 1 1\nDimSize = 20 20 4\nElementType = MET_UCHAR\n"
    (tmp_path / "x.mha").write_bytes(f"{head}ElementDataFile = LOCAL\n".encode() + bytes(1600))
    assert "TransformMatrix" in read_volume(tmp_path / "x.mha").warnings[0]


def test_a_meta_image_may_have_fields_of_any_name(tmp_path):
    image = sitk.GetImageFromArray(np.arange(3 * 20 * 20, dtype=np.int16).reshape(3, 20, 20))
    image.SetSpacing((3.5, 3.5, 8.0))
    for key, value in (("0008|0060", "CT"), ("0018|1151", "200"), ("seen by", "two = both")):
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(tmp_path / "x.mha"), useCompression=True)
    volume = read_volume(tmp_path / "x.mha")
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(image))
    assert volume.spacing_mm == (3.5, 3.5, 8.0)


def test_a_slight_lean_of_an_affine_is_straightened_and_a_true_one_refused(tmp_path):
    qform = (QFORM_CODE, short(0))
    slight = read_volume(nifti(tmp_path / "slight.nii", qform, (SROW_Y + 8, numbers(0.01))))
    direction = np.asarray(slight.direction).reshape(3, 3)
    assert np.allclose(direction.T @ direction, np.eye(3), atol=1e-6)
    assert np.allclose(direction, np.diag([1, -1, 1]), atol=0.01)
    assert slight.spacing_mm == (1, 2, 3)
    with pytest.raises(InputError, match=r"tilted \(sheared\) stack") as refusal:
        read_volume(nifti(tmp_path / "sheared.nii", qform, (SROW_Y + 8, numbers(0.6))))
    assert "damaged" not in str(refusal.value)


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_a_third_axis_that_leans_is_refused_in_every_format(tmp_path, ending):
    lean = np.tan(np.radians(20))
    if ending == "nrrd":
        head = (
            "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 20 20 8\nencoding: raw\nspace: left-posterior-superior\n"
            f"space directions: (1,0,0) (0,1,0) (0,{3 * lean},3)\n\n"
        )
    else:
        head = (
            "ObjectType = Image\nNDims = 3\nElementSpacing = 1 1 3\nDimSize = 20 20 8\nElementType = MET_UCHAR\n"
            f"TransformMatrix = 1 0 0 0 1 0 0 {np.sin(np.radians(20))} {np.cos(np.radians(20))}\nElementDataFile = LOCAL\n"
        )
    (tmp_path / f"x.{ending}").write_bytes(head.encode() + bytes(3200))
    with pytest.raises(InputError, match="sheared"):
        read_volume(tmp_path / f"x.{ending}")


def test_two_voxel_sizes_are_both_said(tmp_path):
    rows = (SROW_X, numbers(-2, 0, 0, 5, 0, 4, 0, -6, 0, 0, 6, 7))
    volume = read_volume(nifti(tmp_path / "x.nii", (QFORM_CODE, short(0)), rows))
    assert volume.spacing_mm == (1, 2, 3)
    assert "1 x 2 x 3 mm (pixdim) and 2 x 4 x 6 mm (sform)" in volume.warnings[0]


def test_two_places_in_the_patient_are_both_said(tmp_path):
    turned = read_volume(nifti(tmp_path / "turned.nii", (QUATERNION, numbers(0.0, 0.3, 0.0))))
    assert "turned by" in turned.warnings[0]
    moved = read_volume(nifti(tmp_path / "moved.nii", (268, numbers(30.0))))
    assert "mm apart" in moved.warnings[0]


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_that_means_no_scaling_leaves_the_intercept_out(tmp_path, slope):
    plain = read_volume(nifti(tmp_path / "plain.nii")).array
    volume = read_volume(nifti(tmp_path / "x.nii", (SLOPE, numbers(slope, -1024.0))))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, plain)


def test_nifti_2_and_a_two_dimensional_sagittal_slice_are_refused_by_their_names(tmp_path):
    (tmp_path / "two.nii").write_bytes(struct.pack("<i", 540) + b"n+2\0\r\n\x1a\n" + bytes(4000))
    with pytest.raises(InputError, match="NIfTI-2"):
        read_volume(tmp_path / "two.nii")
    flat = nifti(
        tmp_path / "flat.nii", (40, struct.pack("<8h", 2, 50, 60, 1, 1, 1, 1, 1)), (QFORM_CODE, short(0)),
        (SROW_X, numbers(0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0)), shape=(1, 60, 50),
    )  # fmt: skip
    with pytest.raises(InputError, match="single slice stored with two dimensions"):
        read_volume(flat)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"origin": (0.01, 0.0, 0.0)}, ""),
        ({"origin": (30.0, 0.0, 0.0)}, "origin"),
        ({"spacing_mm": (2.0, 1.0, 1.0)}, "spacing 2 x 1 x 1 mm"),
        ({"direction": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, "directions"),
        ({"array": np.zeros((4, 21, 20))}, "4 x 21 x 20 voxels"),
    ],
)
def test_a_grid_is_compared_by_size_and_by_place(change, said):
    image = Volume(np.zeros((4, 20, 20)))
    difference = grid_difference(Volume(**{"array": image.array, **change}), image)
    assert difference == said if not said else said in difference
