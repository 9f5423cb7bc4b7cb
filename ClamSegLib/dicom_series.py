"""The DICOM series of a folder: headers only, files in any order, sorted by their position in the patient.

Patient names and identifiers are never looked at.
"""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.errors import InputError

_MODALITIES = {"CT": "CT", "MR": "MR", "CR": "XR", "DX": "XR", "RG": "XR", "XA": "XR", "RF": "XR", "PX": "XR"}
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
        """Number of files."""
        return len(self.files)


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
            _ = header.get("Rows"), header.get("Columns")
    except Exception:  # pydicom raises many kinds for damaged files
        return None
    return header if "Rows" in header else None


def list_series(folder: Path) -> list[Series]:
    """The image series of a folder and its subfolders, largest first.

    Raises:
        InputError: the folder holds no DICOM image.
    """
    found: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file() and not p.name.startswith(".")):
        if (header := read_header(path)) is not None:
            found[str(header.get("SeriesInstanceUID", ""))].append((path, header))
    if not found:
        raise InputError(f"{folder} holds no DICOM images; name a file, or a folder with a DICOM series.")
    series = [make_series(uid, members) for uid, members in found.items()]
    return sorted(series, key=lambda s: (-s.n_slices, s.uid))


def make_series(uid: str, members: list[tuple[Path, Any]]) -> Series:
    """The series of files and their headers, sorted along the normal of the first slice."""
    normal = slice_normal(members[0][1])

    def position(member: tuple[Path, Any]) -> tuple[float, int]:
        place = member[1].get("ImagePositionPatient")
        along = float(np.dot(normal, [float(v) for v in place])) if normal is not None and place else 0.0
        return along, int(member[1].get("InstanceNumber") or 0)

    ordered = sorted(members, key=position)
    first = ordered[0][1]
    words = str(first.get("SeriesDescription", "") or first.get("ProtocolName", ""))
    modality = _MODALITIES.get(str(first.get("Modality", "")), "")
    return Series(uid, modality, words, tuple(p for p, _ in ordered), tuple(h for _, h in ordered))


def slice_normal(header: Any) -> NDArray[np.float64] | None:
    """LPS direction in which slices stack up, None where the header has no orientation."""
    orientation = header.get("ImageOrientationPatient")
    if not orientation or len(orientation) != 6:
        return None
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    return np.cross(row, column)


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
