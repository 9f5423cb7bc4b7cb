"""A worker's folder into the scene, whole or not at all; and the review of a saved scene opened again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.display_names import shown_name
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_map import WorkerLesions
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result import REVIEW, VOLUME, Result
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.certificate import Certificate
from ClamSegWorkflow.scene.geometry import GeometryRecord, record_geometry, unchanged
from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY, STRONGEST, add_map, map_array, map_of
from ClamSegWorkflow.scene.regrid import count_as_volume
from ClamSegWorkflow.scene.scan_facts import reading_of
from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment, segment_mask, write_provenance
from ClamSegWorkflow.scene.views import organ_behind_lesions
from ClamSegWorkflow.words import tr as _


def looks_of(config: Mapping[str, Any]) -> list[SegmentLook]:
    """Organ and conditions of a model's config.json, as segments."""
    organ = config["organ"]
    prefix = "lesion-" if config["task"] == "lesion" else "organ-"
    looks = [
        SegmentLook(prefix + c["name"], shown_name(c), tuple(c["colour"]), c.get("terminology", ""))
        for c in config["conditions"]
    ]
    if config["task"] == "lesion":
        looks.insert(0, SegmentLook("organ", organ["name"], tuple(organ["colour"]), organ.get("terminology", "")))
    return looks


def import_result(
    scene: Any,
    volume: Any,
    record: GeometryRecord,
    folder: Path,
    config: Mapping[str, Any],
    provenance: Mapping[str, str],
) -> tuple[Result, Certificate]:
    """Brings a worker's folder into the scene; on any failure nothing of it stays.

    Args:
        volume: the node the run began with.
        record: its grid when the run began.
        folder: holds labels.npy, probability.npy, components.npy and report.json, own frame.
        config: the model's config.json.

    Raises:
        SceneError: the volume is gone or was changed, the arrays do not fit, or the certificate does not hold.
    """
    if volume is None or not scene.IsNodePresent(volume):
        raise SceneError(_("The volume was removed during the run; the result is not shown."))
    if not unchanged(volume, record):
        raise SceneError(
            _("{volume} was changed during the run; the result would be in the wrong place. Run again.").format(
                volume=volume.GetName()
            )
        )
    labels, probability, strongest = (_array(folder, name, record) for name in ("labels", "probability", "strongest"))
    looks = looks_of(config)
    segmentation = add_segmentation(scene, volume, f"{volume.GetName()} {shown_name(config)}")
    added = [segmentation]
    try:
        segmentation.SetNodeReferenceID(VOLUME, volume.GetID())
        lesions = None
        result = Result(scene, volume, segmentation, None, looks)
        for value, look in enumerate(looks, 1):
            if config["task"] != "lesion" or look.id == "organ":
                put_segment(segmentation, volume, look, labels == value)
        if config["task"] == "lesion":
            if looks[0].id == "organ":
                put_segment(segmentation, volume, looks[0], labels > 0)
                organ_behind_lesions(segmentation, "organ")
            added.append(add_map(scene, volume, segmentation, probability, PROBABILITY))
            added.append(result.map_node(DOUBT))
            if strongest is not None:
                added.append(add_map(scene, volume, segmentation, strongest, STRONGEST))
            grid = grid_of(record, volume, config["modality"] == "XR")
            lesions = LesionList(
                probability, strongest, grid, [c["name"] for c in config["conditions"]],
                plane=config["plane"], threshold=float(provenance["threshold"]),
                minimum_volume_ml=float(config.get("minimum_volume_ml", 0.0)), found=_found(folder, record, grid),
            )  # fmt: skip
            result.lesions = lesions
            result.write()
            result.preview_threshold(lesions.threshold)
        write_provenance(segmentation, provenance)
        certificate = result.certificate()
        if not certificate.holds:
            raise SceneError(
                _("The result is {certificate} and is not shown; please report this volume's geometry.").format(
                    certificate=certificate
                )
            )
    except Exception:
        for node in added:
            scene.RemoveNode(node)
        raise
    return result, certificate


def _array(folder: Path, name: str, record: GeometryRecord, kind: type = np.uint8) -> Any:
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
    if array.shape != record.shape or array.dtype != kind:
        raise SceneError(
            _("The result has {shape} voxels, the volume {shape2}; it is not shown.").format(
                shape=array.shape, shape2=record.shape
            )
        )
    return array


def _found(folder: Path, record: GeometryRecord, grid: Any) -> WorkerLesions | None:
    """The worker's lesions; None where it took the spacing for known and the scene does not, or the other way round."""
    from ClamSegLib.segmentation.lesions import lesions_of_report

    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if report["geometry"]["spacing_known"] != grid.spacing_known:
        return None
    components = _array(folder, "components", record, np.int32)
    return WorkerLesions(components, lesions_of_report(report["lesions"]))


def grid_of(record: GeometryRecord, volume: Any, is_projection: bool) -> Any:
    """The volume's grid as ClamSegLib knows it, LPS, without values.

    Args:
        volume: the node, which keeps what its reading told.
        is_projection: its model takes it for an X-ray; such a picture has no known spacing.
    """
    from ClamSegLib.imaging.volume import Volume

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ record.matrix
    spacing = np.asarray(record.spacing_mm)
    reading = reading_of(volume)
    is_picture = is_projection or reading.is_picture
    direction = lps[:3, :3] / spacing
    return Volume(
        np.empty((0, 0, 0), np.uint8),
        spacing_mm=record.spacing_mm,
        origin=(float(lps[0, 3]), float(lps[1, 3]), float(lps[2, 3])),
        direction=tuple(float(value) for value in direction.ravel()),
        spacing_known=reading.spacing_known and not is_picture,
        is_picture=is_picture,
    )


def open_result(scene: Any, segmentation: Any) -> Result | None:
    """The review of a saved scene goes on; None for a segmentation that is not ours or lost its parts."""
    text = segmentation.GetAttribute(REVIEW) if segmentation is not None else None
    volume = segmentation.GetNodeReference(VOLUME) if text else None
    probability = map_of(segmentation, PROBABILITY) if text else None
    if not text or volume is None or probability is None:
        return None
    if not count_as_volume(segmentation, volume):
        return None  # the volume was resampled or cropped since; what was reviewed lies on another grid
    memory = json.loads(text)
    looks = [SegmentLook(i, name, tuple(colour), words) for i, name, colour, words in memory["looks"]]
    strongest = map_of(segmentation, STRONGEST)
    record = record_geometry(volume)
    lesions = LesionList(
        map_array(probability), None if strongest is None else map_array(strongest),
        grid_of(record, volume, memory["is_picture"]), memory["conditions"], plane=memory["plane"], threshold=memory["threshold"],
        minimum_volume_ml=memory["minimum_volume_ml"],
    )  # fmt: skip
    result = Result(scene, volume, segmentation, lesions, looks)
    frozen: dict[int, Any] = {}
    rejected: dict[int, Any] = {}
    data = segmentation.GetSegmentation()
    for entry in memory["decided"]:
        number, condition, peak = entry["number"], entry["condition"], tuple(entry["peak"])
        decision = Decision(entry["decision"])
        segment_id = f"lesion-{memory['conditions'][condition - 1]}-{number}"
        if decision is Decision.REJECTED:
            rejected[number] = (condition, entry["threshold"], peak)
        elif data.GetSegment(segment_id) is not None:
            mask = segment_mask(segmentation, segment_id, record.shape)
            frozen[number] = (condition, decision, mask, entry["threshold"], peak)
    numbers = {(a, b, c): number for a, b, c, number in memory["numbers"]}
    marks = {int(index): word for index, word in memory["marks"].items()}
    lesions.restore(frozen, numbers, rejected, marks)
    result.known_as_written()
    result.preview_threshold(lesions.threshold)
    return result
