"""What every DICOM object that refers to a series needs of it: headers, codes, words of an error without a patient in them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

# What made an object, as highdicom asks for it.
EQUIPMENT = {
    "manufacturer": "ClamSeg",
    "manufacturer_model_name": "ClamSeg",
    "software_versions": __version__,
    "device_serial_number": "0",
}
# Elements a DICOM object must carry although they may be empty; anonymising programs often remove them.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_TISSUE = ("SCT", "85756007", "Tissue")
_UTF_8 = "ISO_IR 192"
_LONGEST_DESCRIPTION = 64


def codes_of(terminology: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Category and type of a 'category~type~modifier' tag as (scheme, code, meaning)."""
    parts = [tuple(part.split("^")) for part in terminology.split("~")[:2]]
    found = [(p[0], p[1], p[2]) if len(p) == 3 and p[1] else _TISSUE for p in parts]
    while len(found) < 2:
        found.append(_TISSUE)
    return found[0], found[1]


def described(words: str) -> str:
    """A series description that says what the object is not for."""
    ending = f" - {RESEARCH_ONLY}"
    return words[: _LONGEST_DESCRIPTION - len(ending)] + ending


def slices_with_files(volume: Volume) -> list[int]:
    """The slices of a volume that have a file each, in the order of `volume.slice_files`."""
    return [k for k in range(volume.array.shape[0]) if k not in volume.missing_slices]


def source_headers(volume: Volume, kind: str) -> list[Any]:
    """Headers of a volume's slices in the order of `slices_with_files`, with what anonymising programs take out put back empty.

    Args:
        volume: as read from DICOM.
        kind: of the object that needs them, for words.

    Raises:
        InputError: the volume is not from single-slice DICOM files.
    """
    import pydicom

    if len(volume.slice_files) != len(slices_with_files(volume)):
        raise InputError(
            f"{kind} can be written only for a DICOM series with one file a slice; other results come as NRRD."
        )
    return [_completed(pydicom.dcmread(file, stop_before_pixels=True)) for file in volume.slice_files]


def _completed(dataset: Any) -> Any:
    """The header of a source image; anonymised files may have lost their class, which the modality tells."""
    import pydicom.uid

    if not dataset.get("SOPClassUID"):
        classes = {"CT": pydicom.uid.CTImageStorage, "MR": pydicom.uid.MRImageStorage}
        dataset.SOPClassUID = classes.get(str(dataset.get("Modality", "")), pydicom.uid.SecondaryCaptureImageStorage)
    for name in _MAY_BE_EMPTY:
        if name not in dataset:
            setattr(dataset, name, "")
    return dataset


@contextmanager
def made_by_highdicom(kind: str, instead: str) -> Iterator[None]:
    """A block that makes an object by highdicom: nothing of a header is printed, and what is lacking is told in one line.

    Args:
        kind: of the object, for words.
        instead: what a user can do with a series that lacks what is needed.

    Raises:
        InputError: highdicom is missing, or the series lacks what the object needs.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise InputError(f"{kind} needs highdicom; install it with pip install 'clamseg[dicom]'.") from error
    logging.getLogger("highdicom").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote header values, patients' names among them
            yield
    except (KeyError, AttributeError) as error:  # they name the element
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"The series lacks what {kind} needs ({reason}); {instead}.") from error
    except (TypeError, ValueError) as error:  # they may quote its value, so their words are not shown
        raise InputError(f"The series holds a value that {kind} cannot carry; {instead}.") from error


def save(document: Any, path: Path) -> None:
    """Writes a DICOM object; its text, the patient's included, is put into UTF-8, because labels may hold any letter."""
    document.SpecificCharacterSet = _UTF_8
    document.save_as(path)
