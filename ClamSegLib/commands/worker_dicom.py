"""The worker's answers that are DICOM objects: a review, drawn on a series, goes back to its archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ClamSegLib.commands.worker_request import need
from ClamSegLib.system.errors import InputError

if TYPE_CHECKING:
    from ClamSegLib.imaging.volume import Array, Volume


def dicom_seg(request: dict[str, Any]) -> dict[str, Any]:
    """DICOM SEG from a (corrected) segmentation file and the series it was drawn on."""
    from ClamSegLib.imaging.dicom_seg import write_dicom_seg
    from ClamSegLib.imaging.reader_process import read_volume
    from ClamSegLib.imaging.seg_nrrd import read_segmentation
    from ClamSegLib.system.atomic_output import whole_file

    need(request, "segmentation", "input", "output")
    volume = read_volume(Path(request["input"]), series=request.get("series"))
    segments = read_segmentation(Path(request["segmentation"]), volume)
    with whole_file(Path(request["output"])) as part:
        write_dicom_seg(part, segments, volume, series_description=f"ClamSeg {request.get('model', '')}".strip())
    return {"file": request["output"]}


def dicom_sr(request: dict[str, Any]) -> dict[str, Any]:
    """DICOM SR of reviewed lesions, and the DICOM SEG it refers to, which is in place before it."""
    from ClamSegLib.imaging.dicom_sr import FoundBy, LesionFinding, write_dicom_sr
    from ClamSegLib.imaging.reader_process import read_volume
    from ClamSegLib.model.config_json import from_json
    from ClamSegLib.system.atomic_output import whole_file

    need(request, "labels", "input", "output", "segmentation")
    given = request.get("lesions")
    if not isinstance(given, list):
        raise InputError("'lesions' must be a list of objects.")
    lesions = [from_json(LesionFinding, each, f"lesions[{n}]") for n, each in enumerate(given)]
    found_by = from_json(FoundBy, request.get("found_by"), "found_by")
    volume = read_volume(Path(request["input"]), series=request.get("series"))
    labels = _on_grid(read_volume(Path(request["labels"])), volume)
    report, segmentation = Path(request["output"]), Path(request["segmentation"])
    with whole_file(report) as part, whole_file(segmentation) as drawn:
        write_dicom_sr(part, drawn, labels, lesions, volume, found_by)
    return {"file": str(report), "segmentation": str(segmentation)}


def _on_grid(labels: Volume, volume: Volume) -> Array:
    """Labels in the frame of a volume whose voxels they count, perhaps along other axes.

    Raises:
        InputError: they lie on another grid.
    """
    from ClamSegLib.imaging.frames import grid_difference
    from ClamSegLib.imaging.volume import canonical

    turned = labels if volume.is_picture else canonical(labels)[0]
    own, orientation = canonical(volume)  # a picture stays as it is
    if difference := grid_difference(turned, own):
        raise InputError(f"The lesions lie on another grid than the series: {difference}. Open the series again.")
    return orientation.undo(turned.array)
