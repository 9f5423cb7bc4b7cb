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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.system.errors import InputError

_MODALITIES = {"CT": "CT", "MR": "MR", "CR": "XR", "DX": "XR", "RG": "XR", "XA": "XR", "RF": "XR", "PX": "XR"}
# Objects that carry rows and columns but are no scans.
NO_SCANS = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "SR", "KO", "REG", "FID", "DOC")
_ENDINGS = (".dcm", ".dicom", ".ima")
_HEADER_TAGS = [
    "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesDescription", "ProtocolName", "SeriesNumber", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "PixelSpacingCalibrationType",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "ImageType", "SliceThickness", "SpacingBetweenSlices",
    "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "EstimatedRadiographicMagnificationFactor", "PixelRepresentation", "BitsStored",
]  # fmt: skip


@dataclass(frozen=True)
class Series:
    """One DICOM series of a folder; files sorted by position along the normal."""

    uid: str
    modality: str
    description: str
    files: tuple[Path, ...]
    headers: tuple[Any, ...]

    @property
    def n_slices(self) -> int:
        """Number of slices: files, or the frames in them."""
        return sum(frame_count(header) for header in self.headers)

    @property
    def is_scan(self) -> bool:
        """Whether it can be segmented, unlike a segmentation, a dose or a report."""
        return str(self.headers[0].get("Modality", "")) not in NO_SCANS


def is_dicom_file(path: Path) -> bool:
    """Whether the file carries the DICOM preamble."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_header(path: Path) -> Any | None:
    """The header without pixels, or None when the file is no DICOM image."""
    import pydicom

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings may quote header values
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER_TAGS), force=False)
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


def scan_folder(folder: Path) -> tuple[list[Series], list[Path]]:
    """The series as `list_series` gives them, and files that are too damaged to belong to one, or may not be read."""
    found: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    damaged = []
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".")):
        if (header := read_header(path)) is not None:
            found[str(header.get("SeriesInstanceUID", ""))].append((path, header))
        elif _is_damaged(path):
            damaged.append(path)
    if not found:
        also = f" ({len(damaged)} damaged ones)" if damaged else ""
        raise InputError(f"{folder} holds no DICOM images{also}; name a file, or a folder with a DICOM series.")
    series = [make_series(uid, members) for uid, members in found.items()]
    return sorted(series, key=lambda s: (not s.is_scan, -s.n_slices, s.uid)), damaged


def _is_damaged(path: Path) -> bool:
    """Whether a file without a readable image header should have had one."""
    import pydicom

    if not os.access(path, os.R_OK):
        return True  # nobody knows what it holds
    if not is_dicom_file(path):
        return path.suffix.lower() in _ENDINGS
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        return "Image Storage" in str(meta.MediaStorageSOPClassUID.name)
    except Exception:  # pydicom raises many kinds for damaged files
        return True


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
    words = str(first.get("SeriesDescription", "") or first.get("ProtocolName", ""))
    modality = _MODALITIES.get(str(first.get("Modality", "")), "")
    return Series(uid, modality, words, tuple(p for p, _ in ordered), tuple(h for _, h in ordered))


def slice_normal(header: Any) -> NDArray[np.float64] | None:
    """LPS direction in which slices stack up, None where the header has no orientation."""
    try:
        orientation = numbers(header, "ImageOrientationPatient", Path(), 6)
    except InputError:
        return None
    return None if orientation is None else np.cross(orientation[:3], orientation[3:])


def choose_series(found: list[Series], wanted: str | None, folder: Path) -> tuple[Series, list[str]]:
    """The wanted series (number from 1, or UID), else the largest with a note that names the others."""
    listing = "; ".join(f"{n}: {s.modality or 'other'} {s.description} ({s.n_slices})" for n, s in enumerate(found, 1))
    if wanted is not None:
        for number, series in enumerate(found, 1):
            if wanted in (str(number), series.uid):
                return series, []
        raise InputError(f"Series '{wanted}' is not in {folder}; there are {listing}. Choose by number or UID.")
    if len(found) == 1:
        return found[0], []
    return found[0], [
        f"{len(found)} series in {folder.name}: {listing}. The largest, number 1, is read; choose with --series."
    ]
