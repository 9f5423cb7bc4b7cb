"""What people call a DICOM series: patient, description and date, for a screen only.

The one place that reads a patient's name. Nothing here is kept, logged or written to a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegLib.imaging.dicom_series import Series, list_series, make_series, read_header

_TAGS = ["PatientName", "SeriesDate", "AcquisitionDate", "StudyDate"]


@dataclass(frozen=True)
class SeriesTitle:
    """One series of a folder.

    Attributes:
        uid: by which it is read.
        patient: the name as people write it, '' where there is none.
        description: of the series.
        date: ISO, '' where there is none.
        modality: as the header says, e.g. 'MR'.
        n_slices: files, or the frames in them.
    """

    uid: str
    patient: str
    description: str
    date: str
    modality: str
    n_slices: int


def series_titles(path: Path) -> list[SeriesTitle]:
    """The scans of a folder, the largest first, or that of a single file; what is no scan is left out.

    Raises:
        InputError: no DICOM image is there.
    """
    path = Path(path)
    if path.is_dir():
        return [_title(series) for series in list_series(path) if series.is_scan]
    header = read_header(path)
    return [] if header is None else [_title(make_series("", [(path, header)]))]


def _title(series: Series) -> SeriesTitle:
    import pydicom

    try:
        header: Any = pydicom.dcmread(series.files[0], force=True, stop_before_pixels=True, specific_tags=_TAGS)
        patient = _readable(str(header.get("PatientName") or "").replace("^", " ").replace("=", " "))
        date = next((iso for name in _TAGS[1:] if (iso := _iso(str(header.get(name) or "")))), "")
    except Exception:  # pydicom raises many kinds for damaged files; a name is only for the reader's comfort
        patient, date = "", ""
    modality = str(series.headers[0].get("Modality", "") or "")
    return SeriesTitle(series.uid, patient, _readable(series.description), date, modality, series.n_slices)


def _readable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:120]


def _iso(date: str) -> str:
    digits = date.replace(".", "").replace("-", "").strip()
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}" if len(digits) >= 8 and digits[:8].isdigit() else ""
