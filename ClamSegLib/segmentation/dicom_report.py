"""The lesions of a case as DICOM SR: what the run found, none of it reviewed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ClamSegLib.imaging.dicom_sr import FoundBy, LesionFinding, write_dicom_sr
from ClamSegLib.segmentation.segment_volume import CaseResult
from ClamSegLib.system.errors import InputError


def require_lesions(task: str, model: str) -> None:
    """Raises InputError for a model that outlines organs, which have no place in a report of lesions."""
    if task != "lesion":
        raise InputError(f"A DICOM SR measures lesions, but {model} outlines organs; leave the option out.")


def write_dicom_report(result: CaseResult, report: Path, segmentation: Path) -> None:
    """Writes the DICOM SR of a case and the DICOM SEG that it refers to, one segment a lesion.

    Args:
        result: of a model that finds lesions; it has at least one.

    Raises:
        InputError: as for `write_dicom_sr`.
    """
    config = result.model.config
    condition_of = {condition.name: condition for condition in config.conditions}
    lesions = [
        LesionFinding(
            f"lesion-{lesion.condition}-{lesion.number}",
            f"{condition_of[lesion.condition].shown_name} {lesion.number}",
            condition_of[lesion.condition].terminology,
            lesion.volume_ml,
            lesion.longest_diameter_mm,
            lesion.perpendicular_diameter_mm,
        )
        for lesion in result.lesions
    ]
    found_by = FoundBy(
        config.name,
        parameters=(
            f"weights_sha256: {config.weights_sha256}",
            f"level: {result.level} of {config.network.heads}",
            f"threshold: {result.threshold:.4g}",
        ),
    )
    labels = np.ascontiguousarray(result.in_own_frame(result.components))
    write_dicom_sr(report, segmentation, labels, lesions, result.volume, found_by)
