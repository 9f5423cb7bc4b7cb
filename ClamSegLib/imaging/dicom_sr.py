"""DICOM SR of the lesions of a result (TID 1500, Measurement Report), beside the DICOM SEG it refers to (highdicom).

Source: DICOM PS3.16, TID 1500 and TID 1411; codes of CID 218 (volume) and CID 7470 (axes).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.imaging.dicom_seg import binary_seg, segment_description
from ClamSegLib.imaging.dicom_source import (
    EQUIPMENT,
    codes_of,
    described,
    made_by_highdicom,
    save,
    slices_with_files,
    source_headers,
)
from ClamSegLib.imaging.seg_nrrd import AUTOMATIC as BY_PROGRAM
from ClamSegLib.imaging.seg_nrrd import MANUAL, SEMIAUTOMATIC
from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.system.errors import InputError

KIND = "DICOM SR"
# Who stands behind a lesion. A rejected one is none and has no place in a report.
AUTOMATIC, ACCEPTED, EDITED, ADDED = DECISIONS = ("automatic", "accepted", "edited", "added")
_MEANINGS = {
    AUTOMATIC: "Found by the model, not reviewed",
    ACCEPTED: "Found by the model, accepted by a reader",
    EDITED: "Found by the model, edited by a reader",
    ADDED: "Added by a reader",
}
_SCHEME = "99CLAMSEG"
_MOST_LESIONS = 65535  # numbers of segments have 16 bits
_PROCEDURES = {
    "CT": ("77477000", "Computed tomography"),
    "MR": ("113091000", "Magnetic resonance imaging"),
    "XR": ("168537006", "Plain radiography"),
}
_ANY_PROCEDURE = ("363679005", "Imaging procedure")


@dataclass(frozen=True)
class LesionFinding:
    """What the report says of one lesion.

    Attributes:
        id: stable name of the lesion; it becomes the tracking identifier.
        name: what people read.
        terminology: 'category~type~modifier', each 'scheme^code^meaning'; '' for a plain tissue.
        volume_ml, longest_diameter_mm, perpendicular_diameter_mm: left out where None.
        decision: of `DECISIONS`.
    """

    id: str
    name: str
    terminology: str = ""
    volume_ml: float | None = None
    longest_diameter_mm: float | None = None
    perpendicular_diameter_mm: float | None = None
    decision: str = AUTOMATIC

    @property
    def algorithm_type(self) -> str:
        """Who drew it, in the words of DICOM SEG."""
        return {EDITED: SEMIAUTOMATIC, ADDED: MANUAL}.get(self.decision, BY_PROGRAM)


@dataclass(frozen=True)
class FoundBy:
    """The model that found the lesions.

    Attributes:
        model: its name.
        version: of ClamSeg.
        parameters: further facts of the run, 'name: value' each.
    """

    model: str
    version: str = __version__
    parameters: tuple[str, ...] = ()


def write_dicom_sr(
    path: Path, segmentation: Path, labels: Array, lesions: Sequence[LesionFinding], volume: Volume, found_by: FoundBy
) -> None:
    """Writes an SR that belongs to the study of the scan, and the DICOM SEG it refers to, which has one segment a lesion.

    Args:
        path: the .dcm file of the SR.
        segmentation: the .dcm file of the DICOM SEG.
        labels: (slice, row, column) integers in the volume's own frame: n where the n-th of the lesions lies, 0 elsewhere.
        lesions: at least one.
        volume: as read from DICOM.
        found_by: the model.

    Raises:
        InputError: highdicom is missing, the volume is not from single-slice DICOM files, no lesion is given, one has no
            voxel, or a decision is unknown.
    """
    if not lesions:
        raise InputError(f"There is nothing to write as {KIND}: no lesion stands.")
    if unknown := [lesion.decision for lesion in lesions if lesion.decision not in DECISIONS]:
        raise InputError(f"The decision '{unknown[0]}' has no place in a {KIND}; allowed are {', '.join(DECISIONS)}.")
    if len(lesions) > _MOST_LESIONS:
        raise InputError(
            f"{len(lesions)} lesions do not fit into a DICOM SEG; raise the threshold ({_MOST_LESIONS} fit)."
        )
    with made_by_highdicom(KIND, "export it again from the archive, or use the lesion table"):
        sources = source_headers(volume, KIND)
        numbers = np.asarray(labels)[slices_with_files(volume)].astype(np.uint16)
        shown_in = [[] if place is None else sources[place[0]] for place in _places(numbers, len(lesions))]
        if [] in shown_in:
            raise InputError(f"Lesion {lesions[shown_in.index([])].name} has no voxel in a slice of this series.")
        words = f"ClamSeg {found_by.model}"
        descriptions = [segment_description(number, lesion) for number, lesion in enumerate(lesions, 1)]
        drawn = binary_seg(sources, numbers, descriptions, words, omit_empty_frames=True)
        groups = [_group(n, lesion, drawn, shown_in[n - 1], found_by) for n, lesion in enumerate(lesions, 1)]
        report = _report(groups, [*sources, drawn], volume.modality, words)
        save(drawn, segmentation)
        save(report, path)


def _places(numbers: Array, count: int) -> list[tuple[slice, ...] | None]:
    """The box of each number from 1 to count; None where it is nowhere."""
    from scipy import ndimage

    found = ndimage.find_objects(numbers, max_label=count)
    return [*found, *[None] * (count - len(found))]


def _report(groups: list[Any], evidence: list[Any], modality: str, words: str) -> Any:
    import highdicom as hd
    from pydicom.dataset import Dataset

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'clamseg').int}",
        name="ClamSeg", manufacturer_name="ClamSeg", model_name=f"ClamSeg {__version__}",
    )  # fmt: skip
    observer = hd.sr.ObserverContext(hd.sr.CodedConcept("121007", "DCM", "Device"), device)
    code, meaning = _PROCEDURES.get(modality, _ANY_PROCEDURE)
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=hd.sr.CodedConcept(code, "SCT", meaning),
        imaging_measurements=groups,
    )
    document = hd.sr.ComprehensiveSR(
        evidence=evidence,
        content=report[0],
        series_instance_uid=hd.UID(),
        series_number=1001,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        **EQUIPMENT,
        series_description=described(words),
    )
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = _SCHEME, "Decisions of a reader in ClamSeg"
    document.CodingSchemeIdentificationSequence = [scheme]
    return document


def _group(number: int, lesion: LesionFinding, drawn: Any, shown_in: list[Any], found_by: FoundBy) -> Any:
    """The measurements of one lesion (TID 1411), which is the segment of this number."""
    import highdicom as hd

    category, kind = (
        hd.sr.CodedConcept(code, scheme, meaning) for scheme, code, meaning in codes_of(lesion.terminology)
    )
    # Built by hand: `from_segmentation` fails for a DICOM SEG of one segment (highdicom 0.28).
    region = hd.sr.ReferencedSegment(
        drawn.SOPClassUID,
        drawn.SOPInstanceUID,
        number,
        source_images=[hd.sr.SourceImageForSegmentation(s.SOPClassUID, s.SOPInstanceUID) for s in shown_in],
    )
    decision = hd.sr.QualitativeEvaluation(
        hd.sr.CodedConcept("decision", _SCHEME, "Decision of a reader"),
        hd.sr.CodedConcept(lesion.decision, _SCHEME, _MEANINGS[lesion.decision]),
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=drawn.SegmentSequence[number - 1].TrackingUID, identifier=lesion.id
        ),
        referenced_segment=region,
        finding_category=category,
        finding_type=kind,
        algorithm_id=None if lesion.decision == ADDED else _algorithm(found_by),
        measurements=_measurements(lesion),
        qualitative_evaluations=[decision],
    )


def _algorithm(found_by: FoundBy) -> Any:
    import highdicom as hd

    return hd.sr.AlgorithmIdentification(
        name=f"ClamSeg {found_by.model}",
        version=found_by.version,
        parameters=[*found_by.parameters, RESEARCH_ONLY],
    )


def _measurements(lesion: LesionFinding) -> list[Any]:
    """Volume and diameters; what is not known is left out."""
    import highdicom as hd

    millilitre, millimetre = (("ml", "UCUM", "ml"), ("mm", "UCUM", "mm"))
    figures = (
        (("118565006", "SCT", "Volume"), lesion.volume_ml, millilitre),
        (("103339001", "SCT", "Long axis"), lesion.longest_diameter_mm, millimetre),
        (("103340004", "SCT", "Short axis"), lesion.perpendicular_diameter_mm, millimetre),
    )
    return [
        hd.sr.Measurement(hd.sr.CodedConcept(*name), float(value), hd.sr.CodedConcept(*unit))
        for name, value, unit in figures
        if value is not None
    ]
