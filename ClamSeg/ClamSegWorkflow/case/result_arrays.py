"""A worker's arrays read and looked at, before anything of them is in the scene; any thread may do it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import box_of
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_map import Smallest, WorkerLesions
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import GeometryRecord
from ClamSegWorkflow.scene.overlays import PROBABILITY, STRONGEST, array_of_map, map_image
from ClamSegWorkflow.scene.segments import SegmentLook, labelmap_on
from ClamSegWorkflow.words import tr as _


@dataclass(frozen=True)
class ReadResult:
    """What a worker's folder holds.

    Attributes:
        segments: labelmaps of organ and organs, by the ids of their segments; None for an empty one.
        maps: VTK images of the maps, by their kind.
        lesions: None where the model finds organs only.
    """

    segments: dict[str, Any]
    maps: dict[str, Any]
    lesions: LesionList | None


def read_result(
    folder: Path,
    record: GeometryRecord,
    grid: Any,
    looks: Sequence[SegmentLook],
    config: Mapping[str, Any],
    threshold: float,
) -> ReadResult:
    """Reads what `import_result` brings into the scene.

    Args:
        grid: of the scan, a ClamSegLib Volume without values.
        looks: of the segments, in the order of their labels.
        threshold: of the run.

    Raises:
        SceneError: a file is missing or damaged, or does not fit the scan.
    """
    labels = _array(folder, "labels", record)
    if config["task"] != "lesion":
        return ReadResult(
            {look.id: _labelmap(labels == value, record) for value, look in enumerate(looks, 1)}, {}, None
        )
    segments = {"organ": _labelmap(labels > 0, record)} if looks[0].id == "organ" else {}
    probability, strongest = (_array(folder, name, record) for name in ("probability", "strongest"))
    maps = {PROBABILITY: map_image(probability)}
    if strongest is not None:
        maps[STRONGEST] = map_image(strongest)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    smallest = smallest_of(report, config)
    # The list looks at the memory of the scene's map; the array that was read is not needed beside it.
    lesions = LesionList(
        array_of_map(maps[PROBABILITY]), None if strongest is None else array_of_map(maps[STRONGEST]), grid,
        [c["name"] for c in config["conditions"]], plane=config["plane"], threshold=threshold,
        minimum_volume_ml=smallest.ml, minimum_px=smallest.px, found=_found(folder, report, record, grid),
    )  # fmt: skip
    lesions.rows()
    return ReadResult(segments, maps, lesions)


def smallest_of(report: Mapping[str, Any], config: Mapping[str, Any]) -> Smallest:
    """What the run did not list, by ml and by pixels, whichever of them the worker counted in."""
    told = report.get("smallest", {})
    px = told.get("px", report.get("search", {}).get("smallest_px", 0))
    return Smallest(float(told.get("ml", config.get("minimum_volume_ml", 0.0))), int(px))


def _labelmap(mask: Any, record: GeometryRecord) -> Any:
    """The box of a mask as an image of a segment; None where it is empty."""
    box = box_of(mask)
    return None if box is None else labelmap_on(mask[box], [side.start for side in box], record.matrix)


def _array(folder: Path, name: str, record: GeometryRecord, kinds: Sequence[type] = (np.uint8,)) -> Any:
    """An array of the worker's folder; None for the strongest condition where there is one only."""
    path = folder / f"{name}.npy"
    if name == "strongest" and not path.is_file():
        return None
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SceneError(
            _("The worker's result {name} cannot be read ({error}); run again.").format(name=path.name, error=error)
        ) from error
    if array.shape != record.shape or array.dtype not in kinds:
        raise SceneError(
            _("The result has {shape} voxels, the volume {shape2}; it is not shown.").format(
                shape=array.shape, shape2=record.shape
            )
        )
    return array


def _found(folder: Path, report: Mapping[str, Any], record: GeometryRecord, grid: Any) -> WorkerLesions | None:
    """The worker's lesions; None where it took the spacing for known and the scene does not, or the other way round."""
    from ClamSegLib.segmentation.lesions import lesions_of_report

    if report["geometry"]["spacing_known"] != grid.spacing_known:
        return None
    components = _array(folder, "components", record, (np.uint8, np.uint16, np.uint32, np.int32))
    return WorkerLesions(components, lesions_of_report(report["lesions"]))
