"""DICOM SEG of a result, written from the files of the series it was computed on (highdicom)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ClamSegLib import __version__
from ClamSegLib.imaging.dicom_source import (
    EQUIPMENT,
    codes_of,
    described,
    made_by_highdicom,
    save,
    slices_with_files,
    source_headers,
)
from ClamSegLib.imaging.seg_nrrd import MANUAL, Segment
from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.system.errors import InputError


class SegmentWords(Protocol):
    """What a description says of a segment; see `Segment`."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def terminology(self) -> str: ...
    @property
    def algorithm_type(self) -> str: ...


def segment_description(number: int, segment: SegmentWords) -> Any:
    """A segment as DICOM SEG describes it, with a tracking UID of its own."""
    import highdicom as hd
    from highdicom.sr.coding import CodedConcept

    category, kind = codes_of(segment.terminology)
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
    with made_by_highdicom("DICOM SEG", "export it again from the archive, or use segmentation.seg.nrrd"):
        sources = source_headers(volume, "DICOM SEG")
        if volume.missing_slices:
            there = slices_with_files(volume)
            segments = [replace(s, mask=s.mask[there]) for s in segments]
        filled = [s for s in segments if s.mask.any()]
        if not filled:
            raise InputError("There is nothing to write as DICOM SEG: every segment is empty.")
        pixels = np.stack([s.mask for s in filled], axis=-1).astype(np.uint8)
        descriptions = [segment_description(n, s) for n, s in enumerate(filled, 1)]
        save(binary_seg(sources, pixels, descriptions, series_description), path)


def binary_seg(
    sources: list[Any], pixels: Array, descriptions: list[Any], words: str, *, omit_empty_frames: bool = False
) -> Any:
    """A BINARY DICOM SEG of the series with these headers.

    Args:
        pixels: (slice, row, column, segment) of 0 and 1, or (slice, row, column) of segment numbers where none overlap.
        descriptions: of the segments, numbered from 1.
        words: what the run did; "For research, not for diagnosis" is added.
        omit_empty_frames: leave out what shows nothing of a segment, which many small segments need.
    """
    import highdicom as hd

    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        **EQUIPMENT,
        content_description=described(words),
        series_description=described(words),
        omit_empty_frames=omit_empty_frames,
    )
