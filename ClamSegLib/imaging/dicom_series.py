"""The DICOM series of a folder: headers only, files in any order, sorted by their position in the patient.

Patient names and identifiers are never looked at.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.dicom_ends import END_TAGS
from ClamSegLib.imaging.dicom_signature import is_dicom_file
from ClamSegLib.imaging.volume import MODALITY_OF
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded

# Objects that carry rows and columns but are no scans.
NO_SCANS = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "SR", "KO", "REG", "FID", "DOC")
_ENDINGS = (".dcm", ".dicom", ".ima")
# Images of other kinds that lie beside slices: previews of viewers, conversions.
_OTHER_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_HEADER_TAGS = [
    "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesDescription", "ProtocolName", "SeriesNumber", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "PixelSpacingCalibrationType",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "ImageType", "SliceThickness", "SpacingBetweenSlices",
    "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "EstimatedRadiographicMagnificationFactor", "PixelRepresentation", "BitsStored",
    "AcquisitionNumber", "ViewPosition", "ViewCodeSequence", "PatientOrientation", "BodyPartExamined",
    "FrameOfReferenceUID", *END_TAGS,
]  # fmt: skip


@dataclass(frozen=True)
class Series:
    """One DICOM series of a folder; files sorted by position along the normal."""

    uid: str
    modality: str
    description: str
    files: tuple[Path, ...]
    headers: tuple[Any, ...]
    body_part: str = ""

    @property
    def n_slices(self) -> int:
        """Number of slices: files, or the frames in them."""
        return sum(frame_count(header) for header in self.headers)

    @property
    def is_scan(self) -> bool:
        """Whether it can be segmented, unlike a segmentation, a dose, a rendering in colour or a localiser."""
        return str(self.headers[0].get("Modality", "")) not in NO_SCANS and not self.odd_kind

    @property
    def odd_kind(self) -> str:
        """What makes it no scan although it is a picture, in a word; '' where nothing does."""
        first = self.headers[0]
        if (
            first.get("SamplesPerPixel") not in (None, "", 1)
            or first.get("PhotometricInterpretation") == "PALETTE COLOR"
        ):
            return "colour"
        kinds = image_type(first)
        return next((kind.lower() for kind in ("LOCALIZER", "MOSAIC") if kind in kinds), "")


@dataclass(frozen=True)
class LeftOut:
    """Files of a folder that belong to no series.

    Attributes:
        damaged: too damaged to be placed, or not to be read.
        others: images of other kinds, such as a preview beside the slices.
    """

    damaged: tuple[Path, ...]
    others: tuple[Path, ...]

    def refuse_damaged(self, folder: Path) -> None:
        """A file that cannot be read may be a slice of any series, and nobody would look at what it shows.

        Raises:
            InputError: there is one.
        """
        if self.damaged:
            raise InputError(
                f"{folder} holds files that cannot be read (damaged, or you lack the permission): {_named(self.damaged)}; slices "
                "may be missing. Copy or export the series again, or move these files away to go on without them."
            )

    def in_words(self) -> list[str]:
        """A sentence for the user, none where nothing was left out."""
        return [f"Images that are no DICOM were left out: {_named(self.others)}."] if self.others else []


def _named(paths: tuple[Path, ...]) -> str:
    return ", ".join(p.name for p in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def image_type(header: Any) -> tuple[str, ...]:
    """The words of ImageType in capitals."""
    value = header.get("ImageType") or ()
    return tuple(str(word).upper() for word in ([value] if isinstance(value, str) else value))


@cache
def _header_tags(more: tuple[str, ...]) -> list[Any]:
    """The tags by number: pydicom would look every name up again for every file."""
    from pydicom.tag import Tag

    return [Tag(name) for name in (*_HEADER_TAGS, *more)]


def read_header(path: Path, more: tuple[str, ...] = ()) -> Any | None:
    """The header without pixels, or None when the file is no DICOM image.

    Args:
        path: of the file.
        more: names of elements that are read beside those of every series.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings may quote header values
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted: dict[str, Any] = {"stop_before_pixels": True, "specific_tags": _header_tags(more)}
            try:
                header = pydicom.dcmread(path, **wanted)
            except InvalidDicomError:
                if not is_dicom_file(path):
                    return None
                header = pydicom.dcmread(path, force=True, **wanted)
            for _ in header.iterall():
                pass  # values are parsed when first touched: what is damaged shows here and nowhere later
            return header if int(header.get("Rows") or 0) > 0 and int(header.get("Columns") or 0) > 0 else None
    except Exception:  # pydicom raises many kinds for damaged files
        return None


def numbers(header: Any, name: str, path: Path, count: int) -> list[float] | None:
    """The finite numbers of an element, None where it is missing or empty.

    Raises:
        InputError: another count than `count`, or something that is no number.
    """
    value = header.get(name)
    if value is None or value == "" or (not isinstance(value, str | float | int) and len(value) == 0):
        return None
    try:
        found = [float(v) for v in ([value] if isinstance(value, str | float | int) else value)]
    except (TypeError, ValueError):
        found = []
    if len(found) != count or not all(math.isfinite(v) for v in found):
        raise InputError(f"{path} has a damaged {name}; {count} numbers belong there. Export it again.")
    return found


def frame_count(header: Any) -> int:
    """Frames of a file, at least 1."""
    return max(1, _whole_number(header, "NumberOfFrames"))


def _whole_number(header: Any, name: str) -> int:
    try:
        return int(header.get(name) or 0)
    except (TypeError, ValueError):
        return 0


def list_series(folder: Path) -> list[Series]:
    """The image series of a folder and its subfolders, scans first, the largest first.

    Raises:
        InputError: the folder holds no DICOM image.
    """
    return scan_folder(folder)[0]


def scan_folder(folder: Path) -> tuple[list[Series], LeftOut]:
    """The series as `list_series` gives them, and the files that belong to none of them."""
    found: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    damaged, others = [], []
    seen: set[Path] = set()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".")):
        if path.name.upper() == "DICOMDIR":  # the contents of a disc, no image
            continue
        if path.is_symlink():  # a slice and a link to it are one slice
            if (target := path.resolve()).is_relative_to(Path(folder).resolve()) or target in seen:
                continue
            seen.add(target)
        if (header := read_header(path)) is not None:
            found[str(header.get("SeriesInstanceUID", ""))].append((path, header))
        elif path.name.lower().endswith(_OTHER_IMAGES):
            others.append(path)
        elif is_damaged(path):
            damaged.append(path)
    if not found:
        also = f" ({len(damaged)} damaged ones)" if damaged else ""
        raise InputError(f"{folder} holds no DICOM images{also}; name a file, or a folder with a DICOM series.")
    series = [make_series(uid, members) for uid, members in found.items()]
    return sorted(series, key=lambda s: (not s.is_scan, -s.n_slices, s.uid)), LeftOut(tuple(damaged), tuple(others))


def is_damaged(path: Path) -> bool:
    """Whether a file without a readable image header should have had one."""
    import pydicom

    if not os.access(path, os.R_OK):
        return True  # nobody knows what it holds
    if not is_dicom_file(path):
        nameless = not any(letter.isalpha() for letter in path.suffix)  # IM0005, or a UID
        return path.suffix.lower() in _ENDINGS or (nameless and _is_blank(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        kind = header.file_meta.get("MediaStorageSOPClassUID") or header.SOPClassUID
        return "Image Storage" in str(kind.name)
    except Exception:  # pydicom raises many kinds for damaged files
        return True


def _is_blank(path: Path) -> bool:
    """Whether a file is empty or begins with zeros only, as a copy that failed leaves it."""
    with path.open("rb") as file:
        return not file.read(4096).strip(b"\0")


def without_localisers(chosen: Series, notes: list[str]) -> Series:
    """The series without the localisers that lie among its slices; which were left out is said."""
    flags = ["LOCALIZER" in image_type(header) for header in chosen.headers]
    if all(flags) or not any(flags):
        return chosen
    members = list(zip(chosen.files, chosen.headers, strict=True))
    out = tuple(file for (file, _), flag in zip(members, flags, strict=True) if flag)
    notes.append(f"Localisers among the slices were left out: {_named(out)}.")
    return make_series(chosen.uid, [member for member, flag in zip(members, flags, strict=True) if not flag])


def make_series(uid: str, members: list[tuple[Path, Any]]) -> Series:
    """The series of files and their headers, sorted along the normal of the first slice."""
    normal = slice_normal(members[0][1])

    def position(member: tuple[Path, Any]) -> tuple[float, int]:
        try:
            place = numbers(member[1], "ImagePositionPatient", member[0], 3)
        except InputError:  # told when this series is the one that is read
            place = None
        along = 0.0 if normal is None or place is None else float(np.dot(normal, place))
        return along, _whole_number(member[1], "InstanceNumber")

    ordered = sorted(members, key=position)
    first = ordered[0][1]
    words = bounded(str(first.get("SeriesDescription", "") or first.get("ProtocolName", "")))
    modality = MODALITY_OF.get(str(first.get("Modality", "")), "")
    part = bounded(str(first.get("BodyPartExamined", "") or "")).lower()
    return Series(uid, modality, words, tuple(p for p, _ in ordered), tuple(h for _, h in ordered), part)


def slice_normal(header: Any) -> NDArray[np.float64] | None:
    """LPS direction in which slices stack up, None where the header has no orientation."""
    try:
        orientation = numbers(header, "ImageOrientationPatient", Path(), 6)
    except InputError:
        return None
    return None if orientation is None else np.cross(orientation[:3], orientation[3:])


def choose_series(found: list[Series], wanted: str | None, folder: Path) -> tuple[Series, list[str]]:
    """The wanted series (number from 1, or UID), else the largest with a note that names the others."""
    listing = "; ".join(f"{n}: {_entry(series)}" for n, series in enumerate(found, 1))
    if wanted is not None:
        for number, series in enumerate(found, 1):
            if wanted in (str(number), series.uid):
                return series, []
        raise InputError(f"Series '{wanted}' is not in {folder}; there are {listing}. Choose by number or UID.")
    if len(found) == 1:
        return found[0], []
    largest = "The largest" if found[0].n_slices == max(s.n_slices for s in found) else "The largest scan"
    return found[0], [
        f"{len(found)} series in {folder.name}: {listing}. {largest}, number 1, is read; choose with --series."
    ]


def _entry(series: Series) -> str:
    odd = f", {series.odd_kind}" if series.odd_kind else ""
    return f"{series.modality or 'other'} {series.description} ({series.n_slices}{odd})"
