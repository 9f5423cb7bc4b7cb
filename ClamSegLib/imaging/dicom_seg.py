"""DICOM SEG of a result, written from the files of the series it was computed on (highdicom)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.imaging.seg_nrrd import MANUAL, Segment
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

# Elements a DICOM SEG must carry although they may be empty; anonymising programs often remove them.
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


def _codes(terminology: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Category and type of a 'category~type~modifier' tag as (scheme, code, meaning)."""
    parts = [tuple(part.split("^")) for part in terminology.split("~")[:2]]
    found = [(p[0], p[1], p[2]) if len(p) == 3 and p[1] else _TISSUE for p in parts]
    while len(found) < 2:
        found.append(_TISSUE)
    return found[0], found[1]


def _description(number: int, segment: Segment) -> Any:
    import highdicom as hd
    from highdicom.sr.coding import CodedConcept

    category, kind = _codes(segment.terminology)
    program = hd.AlgorithmIdentificationSequence(
        name="ClamSeg", version=__version__, family=CodedConcept("123110", "DCM", "Artificial Intelligence")
    )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.name[:64],
        segmented_property_category=CodedConcept(category[1], category[0], category[2]),
        segmented_property_type=CodedConcept(kind[1], kind[0], kind[2]),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues(segment.algorithm_type),
        algorithm_identification=None if segment.algorithm_type == MANUAL else program,
        tracking_uid=hd.UID(),
        tracking_id=segment.id,
    )


def _source(dataset: Any) -> Any:
    """The header of a source image; anonymised files may have lost their class, which the modality tells."""
    import pydicom.uid

    if not dataset.get("SOPClassUID"):
        classes = {"CT": pydicom.uid.CTImageStorage, "MR": pydicom.uid.MRImageStorage}
        dataset.SOPClassUID = classes.get(str(dataset.get("Modality", "")), pydicom.uid.SecondaryCaptureImageStorage)
    for name in _MAY_BE_EMPTY:
        if name not in dataset:
            setattr(dataset, name, "")
    return dataset


def write_dicom_seg(path: Path, segments: Sequence[Segment], volume: Volume, *, series_description: str) -> None:
    """Writes a BINARY DICOM SEG that refers to the source images.

    Args:
        path: the .dcm file.
        segments: masks in the volume's own frame, whose slices that are not missing belong to `volume.slice_files`; empty
            ones are left out.
        volume: as read from DICOM.
        series_description: what the run did; "For research, not for diagnosis" is added.

    Raises:
        InputError: highdicom is missing, the volume is not from single-slice DICOM files, or every segment is empty.
    """
    try:
        import highdicom  # noqa: F401
        import pydicom
    except ImportError as error:
        raise InputError("DICOM SEG needs highdicom; install it with pip install 'clamseg[dicom]'.") from error
    there = [k for k in range(volume.array.shape[0]) if k not in volume.missing_slices]
    if len(volume.slice_files) != len(there):
        raise InputError(
            "DICOM SEG can be written only for a DICOM series with one file a slice; other results come as NRRD."
        )
    if volume.missing_slices:
        segments = [replace(s, mask=s.mask[there]) for s in segments]
    filled = [s for s in segments if s.mask.any()]
    if not filled:
        raise InputError("There is nothing to write as DICOM SEG: every segment is empty.")
    logging.getLogger("highdicom").setLevel(logging.ERROR)
    words = f"{series_description} - {RESEARCH_ONLY}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote header values, patients' names among them
            sources = [_source(pydicom.dcmread(file, stop_before_pixels=True)) for file in volume.slice_files]
            document = _document(sources, filled, words)
    except (KeyError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"The series lacks what DICOM SEG needs ({reason}); export it again from the archive, or use segmentation.seg.nrrd."
        ) from error
    document.save_as(path)


def _document(sources: list[Any], filled: list[Segment], words: str) -> Any:
    import highdicom as hd

    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=np.stack([s.mask for s in filled], axis=-1).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(n, s) for n, s in enumerate(filled, 1)],
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="ClamSeg",
        manufacturer_model_name="ClamSeg",
        software_versions=__version__,
        device_serial_number="0",
        content_description=words[:64],
        series_description=words[:64],
        omit_empty_frames=False,
    )
