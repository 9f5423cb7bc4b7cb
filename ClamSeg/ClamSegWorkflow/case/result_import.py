"""A worker's folder into the scene, whole or not at all; and the review of a saved scene opened again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.apart import Steps, all_at_once
from ClamSegWorkflow.case.display_names import shown_name
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result import REVIEW, VOLUME, Result
from ClamSegWorkflow.case.result_arrays import ReadResult, read_result
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.certificate import Certificate
from ClamSegWorkflow.scene.geometry import GeometryRecord, record_geometry, unchanged
from ClamSegWorkflow.scene.overlays import PROBABILITY, STRONGEST, add_map, map_array, map_of
from ClamSegWorkflow.scene.regrid import count_as_volume
from ClamSegWorkflow.scene.scan_facts import reading_of
from ClamSegWorkflow.scene.segments import SegmentLook, add_segment, add_segmentation, segment_mask, write_provenance
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
    return all_at_once(import_in_steps(scene, volume, record, folder, config, provenance))


def import_in_steps(
    scene: Any,
    volume: Any,
    record: GeometryRecord,
    folder: Path,
    config: Mapping[str, Any],
    provenance: Mapping[str, str],
) -> Steps[tuple[Result, Certificate]]:
    """What `import_result` does: the arrays are read and looked at apart; all segments come in one step with the certificate, so
    that nothing is seen before it holds.
    """
    _check_scan(scene, volume, record)
    grid = grid_of(record, volume, config["modality"] == "XR")
    looks = looks_of(config)
    read: ReadResult = yield lambda: read_result(folder, record, grid, looks, config, float(provenance["threshold"]))
    _check_scan(scene, volume, record)  # again: it may have changed meanwhile
    segmentation = add_segmentation(scene, volume, f"{volume.GetName()} {shown_name(config)}")
    added = [segmentation]
    try:
        segmentation.SetNodeReferenceID(VOLUME, volume.GetID())
        result = Result(scene, volume, segmentation, None, looks)
        for kind, image in read.maps.items():
            added.append(add_map(scene, volume, segmentation, image, kind))
            yield _breathe  # maps are not seen before they are asked for
        _check_scan(scene, volume, record)
        for look in looks:
            if look.id in read.segments:
                add_segment(segmentation, look, read.segments[look.id])
        if read.lesions is not None:
            if "organ" in read.segments:
                organ_behind_lesions(segmentation, "organ")
            result.lesions = read.lesions
            result.write()
            result.preview_threshold(read.lesions.threshold)
        write_provenance(segmentation, provenance)
        certificate = result.certificate()
        if not certificate.holds:
            raise SceneError(
                _("The result is {certificate} and is not shown; please report this volume's geometry.").format(
                    certificate=certificate
                )
            )
    except BaseException:  # also where the import is given up between two steps
        for node in added:
            scene.RemoveNode(node)
        raise
    return result, certificate


def _breathe() -> None:
    """Nothing: the reader is answered before the next step."""


def _check_scan(scene: Any, volume: Any, record: GeometryRecord) -> None:
    if volume is None or not scene.IsNodePresent(volume):
        raise SceneError(_("The volume was removed during the run; the result is not shown."))
    if not unchanged(volume, record):
        raise SceneError(
            _("{volume} was changed during the run; the result would be in the wrong place. Run again.").format(
                volume=volume.GetName()
            )
        )


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
        minimum_volume_ml=memory["minimum_volume_ml"], minimum_px=memory.get("minimum_px", 0),
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
