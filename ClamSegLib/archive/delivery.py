"""Where the DICOM SEG of a finished case goes beside its folder: to its series, or into the archive that the series came from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ClamSegLib.archive.case import Case
from ClamSegLib.archive.case_record import stored_in
from ClamSegLib.archive.dicom_index import IndexedSeries
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.segmentation.report import DICOM_SEG, STORED
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError, OutputError


def deliver(case: Case, settings: RunSettings) -> None:
    """Takes the DICOM SEG to where it was asked for; what is there already is left. An empty result has none.

    Raises:
        InputError: something else stands there, or it cannot be read.
        ClamSegError: it did not arrive.
    """
    segmentation = case.folder / DICOM_SEG
    if not segmentation.is_file():
        return
    if settings.beside and isinstance(case.source, IndexedSeries):
        _put_beside(case, case.source, segmentation)
    if settings.store:
        _store(case, segmentation, settings.store)


def _put_beside(case: Case, source: IndexedSeries, segmentation: Path) -> None:
    target = source.paths()[0].parent / f"clamseg-{case.name}.dcm"
    if target.exists():
        if target.read_bytes() == segmentation.read_bytes():
            return
        if not _is_own(target):
            raise InputError(
                f"A file beside the series of {case.name} has the name of its segmentation and is not replaced."
            )
    try:
        with whole_file(target) as part:
            shutil.copyfile(segmentation, part)
    except OutputError as error:  # its words name the folder, and that may name a patient
        why = getattr(error.__cause__, "strerror", None) or "it cannot be written"
        raise OutputError(f"The segmentation of {case.name} could not be put beside its series ({why}).") from None


def _is_own(path: Path) -> bool:
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality", "Manufacturer"])
    except Exception:  # pydicom raises many kinds for what is no DICOM
        return False
    return (str(header.get("Modality")), str(header.get("Manufacturer"))) == ("SEG", "ClamSeg")


def _store(case: Case, segmentation: Path, url: str) -> None:
    import pydicom

    from ClamSegLib.archive.dicomweb import Pacs

    dataset = pydicom.dcmread(segmentation)
    told = {"url": url, "sop_instance_uid": str(dataset.SOPInstanceUID)}
    if stored_in(case.folder) == told:
        return
    Pacs(url).store(dataset)
    with whole_file(case.folder / STORED) as part:
        part.write_text(json.dumps(told), encoding="utf-8")
