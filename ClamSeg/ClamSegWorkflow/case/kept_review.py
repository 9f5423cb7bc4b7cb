"""A review on disk, so that it outlives the program: maps once, decisions and drawings after every step.

The scan itself is not kept: it is read again from where it lies, and must be the same to the voxel.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.lesion_row import FROZEN
from ClamSegWorkflow.case.result import REVIEW, VOLUME, Result
from ClamSegWorkflow.case.result_import import open_result
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.scene.overlays import PROBABILITY, STRONGEST, add_map, map_array, map_image, map_of
from ClamSegWorkflow.scene.segments import (
    SegmentLook,
    add_segmentation,
    put_segment,
    read_provenance,
    segment_reader,
    write_provenance,
)
from ClamSegWorkflow.scene.views import organ_behind_lesions
from ClamSegWorkflow.scene.volumes import voxels_of
from ClamSegWorkflow.words import tr as _

MAPS_FILE, STEPS_FILE = "maps.npz", "review.npz"
_WORDS = "words"
_ORGAN = "organ"


@dataclass(frozen=True)
class Snapshot:
    """What a file takes, gathered in the scene's own thread; nothing of it changes any more, so that another may write it.

    Attributes:
        words: to be written as JSON.
        arrays: to be written by their names; a large one that is made when it is written is a call that gives it.
        voxels: of the scan; their checksum, which takes its time on a large one, is written with the words.
    """

    words: dict[str, Any]
    arrays: dict[str, np.ndarray | Callable[[], np.ndarray]]
    voxels: np.ndarray | None = None

    def write(self, path: Path) -> None:
        """Writes a whole file or none.

        Raises:
            OutputError: not writable, disk full.
        """
        from ClamSegLib.system.atomic_output import whole_file

        words = self.words if self.voxels is None else {**self.words, "voxels": _checksum(self.voxels)}
        text = np.frombuffer(json.dumps(words).encode("utf-8"), np.uint8)
        with whole_file(path) as part, part.open("wb") as file:
            arrays = {name: array() if callable(array) else array for name, array in self.arrays.items()}
            named: dict[str, Any] = {_WORDS: text, **arrays}
            np.savez_compressed(file, **named)


def snapshot_of_maps(result: Result) -> Snapshot:
    """What a run brought and no step of the review changes."""
    arrays: dict[str, Any] = {PROBABILITY: map_array(map_of(result.segmentation, PROBABILITY))}
    strongest = map_of(result.segmentation, STRONGEST)
    if strongest is not None:
        arrays[STRONGEST] = map_array(strongest)
    if result.segmentation.GetSegmentation().GetSegment(_ORGAN) is not None:
        arrays[_ORGAN] = segment_reader(result.segmentation, _ORGAN, result.record.shape)
    words = {
        "name": result.segmentation.GetName(),
        "matrix": matrix_of(result.volume).tolist(),
    }
    return Snapshot(words, arrays, voxels_of(result.volume))


def snapshot_of_steps(result: Result) -> Snapshot:
    """What the reader decided, drew and labelled until now."""
    lesions = result.lesions
    assert lesions is not None
    arrays: dict[str, Any] = {}
    masks = {}
    for number, decision in lesions.decisions().items():
        if decision in FROZEN:
            mask, start = lesions.lesion_mask(number)
            arrays[f"mask-{number}"] = np.array(mask)
            masks[str(number)] = list(start)
    words = {
        "review": result.segmentation.GetAttribute(REVIEW),
        "provenance": {name: text for name, text in read_provenance(result.segmentation).items() if name != "review"},
        "masks": masks,
        "decided": len(lesions.decisions()),
        "labelled": len(lesions.marks()),
    }
    return Snapshot(words, arrays)


def read_steps(folder: Path) -> dict[str, Any]:
    """The words of a kept review: how many lesions are decided and slices labelled.

    Raises:
        SceneError: the file is not there or damaged.
    """
    return _read(folder / STEPS_FILE)[0]


def bring_back(scene: Any, volume: Any, folder: Path) -> Result:
    """A kept review on its scan, which was read again; on any failure nothing of it stays in the scene.

    Raises:
        SceneError: the scan is another one than was reviewed, or the files are damaged.
    """
    facts, maps = _read(folder / MAPS_FILE)
    steps, masks = _read(folder / STEPS_FILE)
    same_grid = np.allclose(np.asarray(facts["matrix"]), matrix_of(volume), rtol=0, atol=1e-6)
    if (
        maps[PROBABILITY].shape != voxels_of(volume).shape
        or not same_grid
        or facts["voxels"] != _checksum(voxels_of(volume))
    ):
        raise SceneError(
            _("{name} is not the scan that was reviewed; its review is kept but cannot be shown on it.").format(
                name=volume.GetName()
            )
        )
    segmentation = add_segmentation(scene, volume, facts["name"])
    added = [segmentation]
    try:
        segmentation.SetNodeReferenceID(VOLUME, volume.GetID())
        added += [
            add_map(scene, volume, segmentation, map_image(maps[kind]), kind)
            for kind in (PROBABILITY, STRONGEST)
            if kind in maps
        ]
        memory = json.loads(steps["review"])
        looks = {look[0]: SegmentLook(look[0], look[1], tuple(look[2]), look[3]) for look in memory["looks"]}
        if _ORGAN in maps and _ORGAN in looks:
            put_segment(segmentation, volume, looks[_ORGAN], maps[_ORGAN])
        for entry in memory["decided"]:
            number = str(entry["number"])
            if number in steps["masks"]:
                base = looks[f"lesion-{memory['conditions'][entry['condition'] - 1]}"]
                look = SegmentLook(
                    f"{base.id}-{number}", f"{base.name} {number} ({entry['decision']})", base.colour, base.terminology
                )
                put_segment(segmentation, volume, look, masks[f"mask-{number}"], steps["masks"][number])
        segmentation.SetAttribute(REVIEW, steps["review"])
        write_provenance(segmentation, steps["provenance"])
        result = open_result(scene, segmentation)
        if result is None or not result.certificate().holds:
            raise SceneError(_("The kept review does not fit {name}.").format(name=volume.GetName()))
        result.write()
        organ_behind_lesions(segmentation, _ORGAN)
        result.preview_threshold(memory["threshold"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        _remove(scene, added)
        raise SceneError(_damaged()) from error
    except Exception:
        _remove(scene, added)
        raise
    return result


def _remove(scene: Any, nodes: list[Any]) -> None:
    for node in nodes:
        scene.RemoveNode(node)


def _checksum(voxels: np.ndarray) -> int:
    """Of the grey values, so that a file that was replaced meanwhile is told apart."""
    return zlib.crc32(np.ascontiguousarray(voxels).view(np.uint8).reshape(-1))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        words = json.loads(arrays.pop(_WORDS).tobytes().decode("utf-8"))
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise SceneError(_damaged()) from error
    return dict(words), arrays


def _damaged() -> str:
    return str(_("The kept review is damaged and cannot be brought back; segment the scan again."))
