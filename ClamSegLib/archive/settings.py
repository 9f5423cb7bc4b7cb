"""What holds for all cases of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ClamSegLib.model.config_json import from_json
from ClamSegLib.segmentation.options import SegmentOptions


@dataclass(frozen=True)
class RunSettings:
    """Options of `segment` that a case is done by.

    Attributes:
        segment: how the model runs.
        series: number or UID in a DICOM folder that was named.
        dicom_seg: write a DICOM SEG.
        dicom_sr: write a DICOM SR of the lesions and the DICOM SEG that it measures.
        overwrite: replace what stands.
        beside: also put the DICOM SEG into the folder of its series.
        store: address of the DICOMweb archive that gets the DICOM SEG; '' for none.
    """

    segment: SegmentOptions
    series: str | None = None
    dicom_seg: bool = False
    dicom_sr: bool = False
    overwrite: bool = False
    beside: bool = False
    store: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a task of a cluster."""
        return dataclasses.asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> RunSettings:
        """What `to_json` told of."""
        return from_json(cls, told, "options")
