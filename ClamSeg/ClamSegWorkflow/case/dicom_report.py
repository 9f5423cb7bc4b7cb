"""A review as the worker's request for a DICOM SR: what stands, its figures, and who decided on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.corrections import scan_of
from ClamSegWorkflow.case.lesion_row import FROZEN, Decision, LesionRow
from ClamSegWorkflow.case.review_files import KINDS, require_exportable
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.segments import segment_looks
from ClamSegWorkflow.words import tr as _

# Kinds of export that the worker writes by highdicom, from the files of the series.
BY_WORKER = ("dicom", "dicom_sr")
_FACTS = ("weights_sha256", "level", "threshold")
_SEG = ".seg.dcm"


def highdicom_problem(installation: Mapping[str, Any] | None) -> str:
    """Why no DICOM SEG and SR can be written here, as far as the worker has looked; '' where nothing is known against it."""
    packages = (installation or {}).get("packages") or {}
    if "highdicom" not in packages or packages["highdicom"] is not None:
        return ""
    return _("DICOM SEG and SR need highdicom, which is not installed.")


def segmentation_beside(path: Path) -> Path:
    """Where the DICOM SEG of a DICOM SR lies."""
    return path.with_name(path.name[: -len(KINDS["dicom_sr"][1])] + _SEG)


def prepare_dicom_report(result: Any) -> Callable[[Path], dict[str, Any]]:
    """What takes the lesions out of the scene, now; what it returns writes their voxels into a folder and may run elsewhere.

    Rejected lesions are left out. An undecided one is said to be found by the model and not reviewed.

    Returns:
        A function of an existing folder that gives the values of the worker's request `dicom_sr` but for the files it reads
        the series from and writes to.

    Raises:
        SceneError: the scan was removed, the result has no lesions, none stands, or two overlap.
    """
    require_exportable(result)
    lesions = result.lesions
    rows = [] if lesions is None else [row for row in lesions.rows() if row.decision is not Decision.REJECTED]
    if not rows:
        raise SceneError(_("There is nothing to write as DICOM SR: no lesion stands."))
    labels = np.zeros(result.record.shape, np.uint16)
    for number, row in enumerate(rows, 1):
        mask, start = lesions.lesion_mask(row.number)
        place = tuple(slice(first, first + size) for first, size in zip(start, mask.shape, strict=True))
        if labels[place][mask].any():
            raise SceneError(
                _(
                    "Lesion {number} overlaps another one, so a DICOM SR would measure neither; part them, or export the segmentation."
                ).format(number=row.number)
            )
        labels[place][mask] = number
    scan, facts = scan_of(result), result.provenance
    values = {
        "lesions": [_finding(result, row) for row in rows],
        "found_by": {
            "model": facts.get("model", ""),
            "version": facts.get("version", ""),
            "parameters": [f"{name}: {facts[name]}" for name in _FACTS if facts.get(name)],
        },
    }

    def written(folder: Path) -> dict[str, Any]:
        from ClamSegLib.imaging.read_write import write_volume

        path = folder / "lesions.nrrd"
        write_volume(labels, scan, path)
        return {**values, "labels": str(path)}

    return written


def _finding(result: Any, row: LesionRow) -> dict[str, Any]:
    """A lesion as ClamSegLib's LesionFinding, for JSON."""
    looks = {look.id: look for look in segment_looks(result.segmentation)}
    name = f"{result.condition_names()[row.condition]} {row.number}"
    return {
        "id": f"lesion-{row.condition}-{row.number}",
        "name": f"{name} ({row.decision.value})" if row.decision in FROZEN else name,
        "terminology": looks[f"lesion-{row.condition}"].terminology,
        "volume_ml": row.volume_ml,
        "longest_diameter_mm": row.longest_diameter_mm,
        "perpendicular_diameter_mm": row.perpendicular_diameter_mm,
        "decision": "automatic" if row.decision is Decision.UNDECIDED else row.decision.value,
    }
