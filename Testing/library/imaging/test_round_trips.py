"""Any valid volume that SimpleITK, nibabel or pydicom writes reads back with equal values in an equal place."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import uid

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume

# A failing example is shown as it was found: making it smaller takes minutes with files.
BOUNDED = settings(
    max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
KINDS = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@st.composite
def arrays(draw, kinds=KINDS, fewest=1):
    """Values of any kind over all of its range, (slice, row, column)."""
    kind = np.dtype(draw(st.sampled_from(kinds)))
    shape = draw(st.tuples(*[st.integers(fewest, 9)] * 3))
    values = np.random.default_rng(draw(st.integers(0, 999)))
    if kind.kind == "f":
        return values.normal(0, 10.0 ** draw(st.integers(-3, 6)), shape).astype(kind)
    return values.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


@st.composite
def frames(draw):
    """(4, 4) LPS mm of an index (x, y, z, 1): axes at right angles in any direction, and a place."""
    turned, _ = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 999))).normal(size=(3, 3)))
    axes = draw(st.sampled_from([np.eye(3), turned]))[:, draw(st.permutations(range(3)))]
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    steps = draw(st.tuples(*[st.sampled_from([0.2, 0.7, 1.0, 3.3, 12.0])] * 3))
    frame = np.eye(4)
    frame[:3, :3] = axes * signs * steps
    frame[:3, 3] = draw(st.tuples(*[st.sampled_from([-250.5, 0.0, 31.0])] * 3))
    return frame


def is_equal(found: Volume, values: np.ndarray, frame: np.ndarray, rtol: float = 0.0) -> None:
    assert found.array.shape == values.shape
    assert np.allclose(found.array, values, rtol=rtol, atol=0)
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in values.shape), indexing="ij"), -1).reshape(-1, 3)
    expected = np.c_[corners[:, ::-1], np.ones(len(corners))] @ frame.T
    assert np.allclose(found.to_lps(corners), expected[:, :3], atol=2e-3)


@given(
    arrays(), frames(), st.sampled_from([".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"]), st.booleans()
)  # fmt: skip
@BOUNDED
def test_what_simpleitk_writes_is_read(tmp_path: Path, values, frame, ending, packed) -> None:
    image = sitk.GetImageFromArray(values)
    steps = np.linalg.norm(frame[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetDirection((frame[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(frame[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / f"x{ending}"), useCompression=packed)
    found = read_volume(tmp_path / f"x{ending}")
    is_equal(found, values, frame)
    assert found.array.dtype == values.dtype


@given(arrays(), frames(), st.booleans(), st.sampled_from("<>"), st.sampled_from(["", ".gz"]), st.booleans())
@BOUNDED
def test_what_nibabel_writes_is_read(tmp_path: Path, values, frame, scaled, order, packing, extended) -> None:
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(values.dtype.newbyteorder(order))
    image = nibabel.Nifti1Image(values.T, LPS_OF_RAS @ frame, header)
    if scaled:  # what is stored are whole numbers with a slope and an intercept
        image.set_data_dtype(np.int16)
    if extended:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"words of any length"))
    nibabel.save(image, tmp_path / f"x.nii{packing}")
    truth = nibabel.load(tmp_path / f"x.nii{packing}")
    is_equal(read_volume(tmp_path / f"x.nii{packing}"), truth.get_fdata().T, frame, rtol=1e-5)


SYNTAXES = (
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
)  # fmt: skip


def write_slice(path: Path, values: np.ndarray, frame: np.ndarray, number: int, syntax: uid.UID, unit: str) -> None:
    """One slice of a stack as a DICOM file, its pixels in units of bytes (OB) or of words (OW)."""
    steps = np.linalg.norm(frame[:3, :3], axis=0)
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    plain = syntax if syntax not in SYNTAXES[-1:] else uid.ExplicitVRLittleEndian
    data.file_meta.TransferSyntaxUID = plain
    data.SOPClassUID, data.Modality, data.SeriesInstanceUID = uid.CTImageStorage, "CT", "1.2.3"
    data.SOPInstanceUID, data.InstanceNumber = f"1.2.3.{number + 1}", number + 1
    data.ImageOrientationPatient = [float(f"{v:.9f}") for v in (frame[:3, :2] / steps[:2]).T.ravel()]
    data.ImagePositionPatient = [float(f"{v:.6f}") for v in frame[:3, 3] + number * frame[:3, 2]]
    data.PixelSpacing, data.SliceThickness = [steps[1], steps[0]], steps[2]
    data.Rows, data.Columns, data.SamplesPerPixel = *values.shape, 1
    data.BitsAllocated = data.BitsStored = values.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(values.dtype.kind == "i")
    data.PhotometricInterpretation = "MONOCHROME2"
    stored = values.astype(values.dtype.newbyteorder(">" if syntax == uid.ExplicitVRBigEndian else "<")).tobytes()
    stored += bytes(len(stored) % 2)
    if unit == "OW" and values.itemsize == 1 and syntax == uid.ExplicitVRBigEndian:
        # The first of two pixels is the lower byte of their word (PS3.5 section 8.1.1), and that comes second here.
        stored = np.frombuffer(stored, "<u2").byteswap().tobytes()
    data.PixelData = stored
    data["PixelData"].VR = unit if values.itemsize == 1 else "OW"
    if syntax != plain:
        data.compress(syntax, values, generate_instance_uid=False)
    data.save_as(path, enforce_file_format=True)


@given(
    arrays(kinds=("u1", "u2", "i2"), fewest=2), frames(), st.sampled_from(SYNTAXES), st.sampled_from(["OB", "OW"]),
    st.randoms(use_true_random=False),
)  # fmt: skip
@BOUNDED
def test_what_pydicom_writes_is_read(tmp_path: Path, values, frame, syntax, unit, random) -> None:
    if np.linalg.det(frame[:3, :3]) < 0:
        frame[:3, 2] *= -1  # slices are counted along the normal of their rows and columns
    shutil.rmtree(tmp_path / "series", ignore_errors=True)
    (tmp_path / "series").mkdir()
    names = random.sample(range(1000), len(values))
    for number, (name, plane) in enumerate(zip(names, values, strict=True)):
        write_slice(tmp_path / "series" / f"{name}.dcm", plane, frame, number, syntax, unit)
    is_equal(read_volume(tmp_path / "series"), values, frame)
