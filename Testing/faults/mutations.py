"""Header fields of every format changed, files cut and swollen: refused in one line, or read as the truth that was written.

What a field means decides what is allowed. A number of voxels, a kind of another width or a place in the file must be refused
unless the same picture comes out; a place in the patient may be read otherwise, but with every voxel; a kind of the same width,
a byte order or a scaling gives other values, but never another shape. Mutated files are read by ClamSeg alone, in a process of
its own with limits, and go with the trial.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom import uid
from trial import Trial

from ClamSegLib.imaging.reader_process import ScanReader
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

SIZE, PLACE, MEANING, FREE = "size", "place", "meaning", "free"
SHAPE = (5, 11, 13)
PATIENT = "Mustermann"
Change = Callable[[Path, random.Random], None]

# NIfTI-1: field, its first byte, how it is packed, and what it decides.
NIFTI = (
    ("sizeof_hdr", 0, "i", SIZE), ("data_type", 4, "10s", FREE), ("extents", 32, "i", FREE), ("session_error", 36, "h", FREE),
    ("dim_info", 39, "B", FREE), *((f"dim[{k}]", 40 + 2 * k, "h", SIZE) for k in range(8)), ("intent_p1", 56, "f", FREE),
    ("intent_code", 68, "h", FREE), ("datatype", 70, "h", MEANING), ("bitpix", 72, "h", SIZE), ("slice_start", 74, "h", FREE),
    *((f"pixdim[{k}]", 76 + 4 * k, "f", PLACE) for k in range(8)), ("vox_offset", 108, "f", SIZE),
    ("scl_slope", 112, "f", MEANING), ("scl_inter", 116, "f", MEANING), ("slice_end", 120, "h", FREE),
    ("xyzt_units", 123, "B", PLACE), ("cal_max", 124, "f", FREE), ("toffset", 136, "f", FREE), ("descrip", 148, "80s", FREE),
    ("qform_code", 252, "h", PLACE), ("sform_code", 254, "h", PLACE), ("quatern_b", 256, "f", PLACE),
    ("quatern_c", 260, "f", PLACE), ("quatern_d", 264, "f", PLACE), ("qoffset_x", 268, "f", PLACE),
    ("srow_x", 280, "4f", PLACE), ("srow_y", 296, "4f", PLACE), ("srow_z", 312, "4f", PLACE), ("magic", 344, "4s", SIZE),
    ("extension", 348, "4s", FREE),
)  # fmt: skip
META = {
    "ObjectType": FREE, "NDims": SIZE, "BinaryData": SIZE, "BinaryDataByteOrderMSB": MEANING, "CompressedData": SIZE,
    "TransformMatrix": PLACE, "Offset": PLACE, "CenterOfRotation": PLACE, "AnatomicalOrientation": PLACE,
    "ElementSpacing": PLACE, "DimSize": SIZE, "ElementType": MEANING, "ElementDataFile": SIZE,
}  # fmt: skip
NRRD = {
    "type": MEANING, "dimension": SIZE, "space": PLACE, "sizes": SIZE, "space directions": PLACE, "kinds": SIZE,
    "endian": MEANING, "encoding": SIZE, "space origin": PLACE,
}  # fmt: skip
TIFF = {
    256: SIZE, 257: SIZE, 258: SIZE, 259: SIZE, 262: MEANING, 273: MEANING, 277: SIZE, 278: SIZE, 279: SIZE, 284: FREE,
    339: MEANING,
}  # fmt: skip
DICOM = {
    "Rows": SIZE, "Columns": SIZE, "BitsAllocated": SIZE, "BitsStored": MEANING, "HighBit": MEANING, "NumberOfFrames": SIZE,
    "PixelRepresentation": MEANING, "SamplesPerPixel": SIZE, "RescaleSlope": MEANING, "RescaleIntercept": MEANING,
    "PixelSpacing": PLACE, "ImageOrientationPatient": PLACE, "ImagePositionPatient": PLACE, "PhotometricInterpretation": MEANING,
    "SeriesDescription": FREE,
}  # fmt: skip
NUMBERS = (0, -1, 1, 2, 7, 32767, -32768, 65535, 2**31 - 1)
WORDS = ("", "0", "-3", "nan", "1e400", "99999999999", "x" * 300, "\x1b[31m", "=1+1", "none", "True", "LIST", "12 13")


def trials(seed: int) -> list[Trial]:
    """Every field of every format, each with one change that the seed decides."""
    found = [
        *_nifti(),
        *_texts(".mha", META, " = "),
        *_texts(".nrrd", NRRD, ": "),
        *_tiffs(),
        *_pngs(),
        *_jpegs(),
        *_series(),
    ]
    for ending in (".nii", ".nii.gz", ".mha", "-packed.mha", ".nrrd", "-packed.nrrd", ".mhd", ".nhdr", ".tif", ".png"):
        found += [
            (f"{ending}, {word}", ending, SIZE, change) for word, change in (("cut", _cut), ("swollen", _swollen))
        ]
    return [
        Trial("mutations", name, _attempt(ending, decides, change, f"{seed} {name}"))
        for name, ending, decides, change in found
    ]


@cache
def _reader() -> ScanReader:
    return ScanReader(seconds=60.0)


def _attempt(ending: str, decides: str, change: Change, seed: str) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        path = _write(folder, ending)
        truth = _reader().read(path)
        change(path, random.Random(seed))
        try:
            found = _reader().read(path)
        except InputError as error:
            return _of_words(str(error))
        return _of_words(*found.warnings) or _difference(truth, found, decides)

    return attempt


def _of_words(*said: str) -> str:
    for words in said:
        if "ended the process" in words or "could not be read within" in words or "internal error" in words:
            return words
        if len(words.splitlines()) != 1 or len(words) > 1000 or "\x1b" in words:
            return "it was not said in one plain line"
        if PATIENT in words:
            return "the patient's name was said"
    return ""


def _difference(truth: Volume, found: Volume, decides: str) -> str:
    if truth.array.shape != found.array.shape:
        return f"{found.array.shape} voxels were read, there are {truth.array.shape}"
    if found.missing_slices:  # told in the summary; the others must be where they were
        there = [k for k in range(len(truth.array)) if k not in found.missing_slices]
        truth, found = (replace(volume, array=volume.array[there]) for volume in (truth, found))
    if decides != MEANING and not np.array_equal(truth.array, found.array):
        return "other values were read"
    corners = np.array([(0, 0, 0), SHAPE])
    if decides in (SIZE, FREE) and not np.allclose(truth.to_lps(corners), found.to_lps(corners), atol=0.01):
        return "it was put to another place"
    return ""


def _write(folder: Path, ending: str) -> Path:
    """A valid file of this kind, or a folder of slices."""
    values = np.random.default_rng(7).integers(-900, 900, SHAPE).astype(np.int16)
    packed = ending.startswith("-packed") or ending == ".nii.gz"
    path = folder / f"x{ending.removeprefix('-packed')}"
    if ending == "series":
        return _write_series(folder / "series", values)
    if ending in (".tif", ".png", ".jpg"):
        plane = np.abs(values[0]).astype(np.uint16 if ending != ".jpg" else np.uint8)
        if ending == ".jpg":
            plane = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (96, 1))
        Image.fromarray(plane).save(path)
        return path
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-20.0, 30.0, 40.0))
    sitk.WriteImage(image, str(path), useCompression=packed)
    return path


def _cut(path: Path, seeded: random.Random) -> None:
    data = _data_file(path)
    data.write_bytes(data.read_bytes()[: -seeded.randint(1, 60)])


def _swollen(path: Path, seeded: random.Random) -> None:
    data = _data_file(path)
    if path.suffix in (".tif", ".png"):  # what stands behind a picture is none of it
        return
    data.write_bytes(data.read_bytes() + seeded.randbytes(seeded.randint(40, 400)))


def _data_file(path: Path) -> Path:
    beside = [p for p in path.parent.iterdir() if p.stem == path.stem and p != path]
    return beside[0] if beside else path


Found = tuple[str, str, str, Change]


def _nifti() -> Iterator[Found]:
    for name, first, kind, decides in NIFTI:

        def change(path: Path, seeded: random.Random, first: int = first, kind: str = kind) -> None:
            data = bytearray(path.read_bytes())
            size = struct.calcsize(f"<{kind}")
            whole = [n for n in NUMBERS if -(2 ** (8 * size - 1)) <= n < 2 ** (8 * size - 1)]
            fitting = {"h": whole, "i": NUMBERS, "B": range(256), "f": (0.0, -1.0, 1e30, float("nan"), 3.5, 353.0)}.get(
                kind
            )
            data[first : first + size] = (
                seeded.randbytes(size)
                if fitting is None or seeded.random() < 0.2
                else struct.pack(f"<{kind}", seeded.choice(fitting))
            )
            path.write_bytes(bytes(data))

        yield f"NIfTI {name}", ".nii", decides, change


def _texts(ending: str, fields: dict[str, str], sign: str) -> Iterator[Found]:
    for name, decides in fields.items():
        for how in ("a number is another", "is another word", "is missing", "stands there twice"):

            def change(path: Path, seeded: random.Random, name: str = name, how: str = how) -> None:
                head, mark, data = path.read_bytes().partition(
                    b"ElementDataFile = LOCAL\n" if ending == ".mha" else b"\n\n"
                )
                lines = (head + mark.rstrip(b"\n")).decode().split("\n")
                place = next(k for k, line in enumerate(lines) if line.startswith(f"{name}{sign}"))
                lines[place : place + 1] = _changed(lines[place], sign, how, seeded)
                path.write_bytes("\n".join(lines).encode() + b"\n" * (1 if ending == ".mha" else 2) + data)

            yield f"{ending} {name} {how}", ending, SIZE if how == "is missing" and decides == SIZE else decides, change


def _changed(line: str, sign: str, how: str, seeded: random.Random) -> list[str]:
    name, value = line.split(sign, 1)
    if how == "is missing":
        return []
    if how == "stands there twice":
        return [line, line]
    words = value.split()
    if how == "is another word" or not words or not words[-1].lstrip("-").replace(".", "").isdigit():
        return [f"{name}{sign}{seeded.choice(WORDS)}"]
    place = seeded.randrange(len(words))
    words[place] = str(int(float(words[place])) + seeded.choice((-1, 1, 2, 5)))
    return [f"{name}{sign}{' '.join(words)}"]


def _tiffs() -> Iterator[Found]:
    for tag, decides in TIFF.items():

        def change(path: Path, seeded: random.Random, tag: int = tag) -> None:
            data = bytearray(path.read_bytes())
            first = struct.unpack("<I", data[4:8])[0]
            for entry in range(first + 2, first + 2 + 12 * struct.unpack("<H", data[first : first + 2])[0], 12):
                found, kind = struct.unpack("<HH", data[entry : entry + 4])
                if found == tag:
                    now = struct.unpack(
                        "<H" if kind == 3 else "<I", data[entry + 8 : entry + (10 if kind == 3 else 12)]
                    )[0]
                    new = (
                        max(0, now + seeded.choice((-2, -1, 1, 2, 7)))
                        if seeded.random() < 0.7
                        else seeded.choice((0, 5, 65535))
                    )
                    data[entry + 8 : entry + 12] = struct.pack("<I", new)
            path.write_bytes(bytes(data))

        yield f"TIFF tag {tag}", ".tif", decides, change


def _pngs() -> Iterator[Found]:
    for name, first, size, decides in (
        ("width", 16, 4, SIZE),
        ("height", 20, 4, SIZE),
        ("depth", 24, 1, SIZE),
        ("colour", 25, 1, SIZE),
    ):

        def change(path: Path, seeded: random.Random, first: int = first, size: int = size) -> None:
            data = bytearray(path.read_bytes())
            now = int.from_bytes(data[first : first + size], "big")
            data[first : first + size] = max(0, now + seeded.choice((-2, -1, 1, 2, 4))).to_bytes(size, "big")
            data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))  # the sum is right: only the decoder can tell
            path.write_bytes(bytes(data))

        yield f"PNG {name}", ".png", decides, change


def _jpegs() -> Iterator[Found]:
    def halved(path: Path, seeded: random.Random) -> None:
        data = path.read_bytes()
        scan = data.index(b"\xff\xda") + 12
        path.write_bytes(data[: scan + (len(data) - scan) // seeded.choice((2, 3, 4))] + b"\xff\xd9")

    def lower(path: Path, seeded: random.Random) -> None:
        data = bytearray(path.read_bytes())
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 2] = (96 - 16 * seeded.randint(1, 3)).to_bytes(2, "big")
        path.write_bytes(bytes(data))

    yield "JPEG, half of it and an end mark", ".jpg", SIZE, halved
    yield "JPEG height", ".jpg", SIZE, lower


def _write_series(folder: Path, values: np.ndarray) -> Path:
    folder.mkdir()
    for number, plane in enumerate(values):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = uid.CTImageStorage, f"1.2.3.{number + 1}", "CT"
        data.PatientName, data.PatientID, data.SeriesInstanceUID = f"{PATIENT}^Erika", PATIENT, "1.2.3"
        data.SeriesDescription, data.InstanceNumber, data.NumberOfFrames = "thorax", number + 1, 1
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-20, 30, 40 + 2.5 * number]
        data.PixelSpacing, data.SliceThickness = [0.8, 0.7], 2.5
        data.Rows, data.Columns, data.SamplesPerPixel, data.BitsAllocated = *plane.shape, 1, 16
        data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept, data.PhotometricInterpretation = 1, 0, "MONOCHROME2"
        data.PixelData = plane.tobytes() + bytes(plane.nbytes % 2)
        data.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def _series() -> Iterator[Found]:
    for name, decides in DICOM.items():
        for whose in ("of all files alike", "of one file"):

            def change(path: Path, seeded: random.Random, name: str = name, whose: str = whose) -> None:
                files = sorted(path.iterdir())
                choice = seeded.random()
                for file in files if whose == "of all files alike" else [seeded.choice(files)]:
                    data = pydicom.dcmread(file)
                    data[name]._value = _other(data[name].value, random.Random(choice))
                    with pydicom.config.disable_value_validation():
                        data.save_as(file, enforce_file_format=False)

            yield f"DICOM {name} {whose}", "series", PLACE if name == "ImagePositionPatient" else decides, change

    def cut(path: Path, seeded: random.Random) -> None:
        file = seeded.choice(sorted(path.iterdir()))
        file.write_bytes(file.read_bytes()[: seeded.randint(140, 700)])

    def lost(path: Path, seeded: random.Random) -> None:
        seeded.choice(sorted(path.iterdir())[1:-1]).unlink()

    yield "DICOM, one file of the series cut", "series", SIZE, cut
    yield "DICOM, one file of the series lost", "series", SIZE, lost


def _other(value: object, seeded: random.Random) -> object:
    """Another value of the same kind."""
    if isinstance(value, int):
        return max(0, min(65535, value + seeded.choice((-2, -1, 1, 2, 8))))
    if isinstance(value, pydicom.multival.MultiValue):
        place = seeded.randrange(len(value))
        return [
            pydicom.valuerep.DSfloat(float(v) + (k == place) * seeded.choice((-1.0, 0.3, 700.0)))
            for k, v in enumerate(value)
        ]
    if isinstance(value, float | pydicom.valuerep.DSfloat | pydicom.valuerep.DSdecimal):
        return pydicom.valuerep.DSfloat(seeded.choice((0.0, -1.0, 1e10, 3.5)))
    return seeded.choice(("MONOCHROME1", "RGB", "PALETTE COLOR", "=1+1 words", "\x1b]0;words\x07", "x" * 64))
