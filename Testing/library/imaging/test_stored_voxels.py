"""A file holds what its header promises, or is refused: no picture is sheared or cut without a word."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_stacks import stack
from PIL import Image
from pydicom import dcmread

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.system.errors import InputError

VALUES = np.random.default_rng(0).integers(-900, 900, (6, 20, 16)).astype(np.int16)


def written(path: Path, *, packed: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(path), useCompression=packed)
    return path


def promise(path: Path, axis: int, size: int) -> None:
    """Writes another number of voxels along one axis into a header."""
    data = path.read_bytes()
    if path.name.endswith(".nii.gz"):
        plain = bytearray(gzip.decompress(data))
        plain[42 + 2 * axis : 44 + 2 * axis] = struct.pack("<h", size)
        path.write_bytes(gzip.compress(bytes(plain)))
    elif path.suffix == ".nii":
        path.write_bytes(data[: 42 + 2 * axis] + struct.pack("<h", size) + data[44 + 2 * axis :])
    else:
        sizes = [16, 20, 6]
        sizes[axis] = size
        words = " ".join(map(str, sizes)).encode()
        path.write_bytes(re.sub(rb"(DimSize = |sizes: )16 20 6", rb"\g<1>" + words, data, count=1))


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "mha", "mhd", "nrrd", "nhdr"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("axis", "size"), [(0, 15), (0, 17), (1, 19), (2, 1), (2, 5), (2, 7)])
def test_another_size_than_the_file_holds_is_refused_by_all_formats(tmp_path, ending, packed, axis, size) -> None:
    path = written(tmp_path / f"x.{ending}", packed=packed)
    assert np.array_equal(read_volume(path).array, VALUES)
    promise(path, axis, size)
    with pytest.raises(InputError, match="header promises"):
        read_volume(path)


@pytest.mark.parametrize("ending", ["nii", "mha", "nrrd"])
def test_bytes_that_fill_a_block_may_follow_and_more_may_not(tmp_path, ending) -> None:
    path = written(tmp_path / f"x.{ending}")
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(15))
    assert np.array_equal(read_volume(path).array, VALUES)
    path.write_bytes(whole + bytes(16))
    with pytest.raises(InputError, match="holds more bytes"):
        read_volume(path)


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_a_packed_file_without_its_last_byte_is_refused(tmp_path, ending) -> None:
    path = written(tmp_path / f"x.{ending}", packed=True)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)


@pytest.mark.parametrize("offset", [0.0, 348.0, 351.0, 353.0, 368.0, 352.5])
def test_voxels_of_a_nifti_that_begin_elsewhere_are_refused(tmp_path, offset) -> None:
    path = written(tmp_path / "x.nii")
    data = path.read_bytes()
    path.write_bytes(data[:108] + struct.pack("<f", offset) + data[112:])
    with pytest.raises(InputError):
        read_volume(path)


def test_slices_in_files_of_their_own_are_each_held_to_their_size(tmp_path) -> None:
    for number, plane in enumerate(VALUES):
        (tmp_path / f"slice{number}.raw").write_bytes(plane.tobytes())
    names = "\n".join(f"slice{number}.raw" for number in range(6))
    head = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 16 20 6\nencoding: raw\nendian: little\n"
    (tmp_path / "list.nhdr").write_text(f"{head}data file: LIST\n{names}\n")
    (tmp_path / "number.nhdr").write_text(f"{head}data file: slice%d.raw 0 5 1\n\n")
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 16 20 6\nElementSpacing = 1 1 1\nElementType = MET_SHORT\n"
    (tmp_path / "list.mhd").write_text(f"{meta}ElementDataFile = LIST\n{names}\n")
    for name in ("list.nhdr", "number.nhdr", "list.mhd"):
        assert np.array_equal(read_volume(tmp_path / name).array, VALUES)
    (tmp_path / "slice3.raw").write_bytes(VALUES[3].tobytes() + bytes(32))
    for name in ("list.nhdr", "number.nhdr", "list.mhd"):
        with pytest.raises(InputError, match=f"{name} is damaged: it holds more bytes"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("dimension: 3", "dimension: 4", "sizes has 3 entries"),
        ("kinds: domain domain domain", "kinds: domain domain", "kinds has 2 entries"),
        ("space origin: (0,0,0)", "space origin: (0,0)", "spaceorigin"),
        ("(0,0,1)", "none", "space directions"),
        ("encoding: raw", "encoding: raw\nencoding: raw", "stands there twice"),
        ("encoding: raw", "encoding: hex", "not read"),
        ("type: short", "type: block", "type block"),
        ("kinds:", "kind:", "no field of NRRD"),
    ],
)
def test_a_nrrd_whose_lists_do_not_fit_is_refused_before_its_library_sees_it(
    tmp_path, monkeypatch, old, new, word
) -> None:
    path = written(tmp_path / "x.nrrd")
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode(), 1))
    monkeypatch.setattr(sitk, "ImageFileReader", lambda: pytest.fail("the library was asked"))
    with pytest.raises(InputError, match=word):
        read_volume(path)


@pytest.mark.parametrize(("name", "more"), [("Columns", -1), ("Rows", -1), ("Columns", 1), ("BitsAllocated", -8)])
def test_dicom_pixels_of_another_size_in_all_files_alike_are_refused(tmp_path, name, more) -> None:
    stack(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        data = dcmread(path)
        setattr(data, name, data[name].value + more)
        data.save_as(path)
    with pytest.raises(InputError, match="header promises"):
        read_volume(tmp_path / "s")


def test_half_a_jpeg_with_an_end_mark_is_refused_in_the_words_of_its_decoder(tmp_path, capfd) -> None:
    plane = (
        np.random.default_rng(0).normal(0, 4, (64, 80)).cumsum(axis=1).clip(-128, 127).astype(np.int8).view(np.uint8)
        ^ 0x80
    )
    Image.fromarray(plane).save(tmp_path / "x.jpg", quality=90)
    whole = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    with pytest.raises(InputError, match="premature end of data segment"):
        read_volume(tmp_path / "x.jpg")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("tag", [256, 257, 258])
@pytest.mark.parametrize("compression", [None, "packbits", "tiff_lzw", "tiff_deflate"])
def test_a_tiff_whose_tags_promise_less_than_its_strips_hold_is_refused(tmp_path, compression, tag) -> None:
    plane = np.random.default_rng(0).integers(0, 9, (40, 48)).astype(np.uint16) * 900
    Image.fromarray(plane).save(tmp_path / "x.tif", compression=compression)
    assert np.array_equal(read_volume(tmp_path / "x.tif").array[0], plane)
    data = bytearray((tmp_path / "x.tif").read_bytes())
    first = struct.unpack("<I", data[4:8])[0]
    for entry in range(first + 2, first + 2 + 12 * struct.unpack("<H", data[first : first + 2])[0], 12):
        if struct.unpack("<H", data[entry : entry + 2])[0] == tag:
            data[entry + 8] -= 1 if tag < 258 else 8
    (tmp_path / "x.tif").write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"header promises|lacks strips|decoder error"):
        read_volume(tmp_path / "x.tif")


def test_a_tiff_that_is_called_packed_and_is_not_is_refused(tmp_path) -> None:
    plane = np.random.default_rng(0).integers(0, 255, (40, 48)).astype(np.uint8)
    Image.fromarray(plane).save(tmp_path / "x.tif")
    data = (tmp_path / "x.tif").read_bytes()
    place = data.index(struct.pack("<HHI", 259, 3, 1)) + 8
    (tmp_path / "x.tif").write_bytes(data[:place] + struct.pack("<H", 32773) + data[place + 2 :])
    with pytest.raises(InputError):
        read_volume(tmp_path / "x.tif")


@pytest.mark.parametrize(("slope", "intercept"), [(1e38, 0.0), (2.0, float("inf"))])
def test_a_scaling_out_of_the_range_of_numbers_is_called_by_its_name(tmp_path, slope, intercept) -> None:
    path = written(tmp_path / "x.nii")
    data = path.read_bytes()
    path.write_bytes(data[:112] + struct.pack("<2f", slope, intercept) + data[120:])
    with pytest.raises(InputError, match="scaling of its values"):
        read_volume(path)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii.gz"])
def test_voxels_that_are_read_without_a_copy_keep_the_image_whose_memory_they_are(tmp_path, name):
    values = np.random.default_rng(0).integers(-900, 900, (40, 64, 48)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / name), useCompression=True)
    read = read_volume(tmp_path / name).array
    owner = read
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner._image, sitk.Image), "an array must keep the image whose memory it looks at"
    assert np.array_equal(read, values)
    read[0, 0, 0] = 7  # nobody else's
    assert read_volume(tmp_path / name).array[0, 0, 0] == values[0, 0, 0]
