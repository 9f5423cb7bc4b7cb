"""A volume for the worker: checked, its doubts told, written into a folder of its own, with the organ that was chosen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.model_fit import mismatches
from ClamSegWorkflow.case.run_request import RunOptions
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import GeometryRecord, matrix_of, record_geometry
from ClamSegWorkflow.scene.regions import mask_of_roi, mask_of_segment
from ClamSegWorkflow.scene.scan_facts import keep_reading, reading_of
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.scene.volumes import problem_of_volume, voxels_of, write_in_steps, write_picture
from ClamSegWorkflow.words import tr as _


@dataclass
class RunCase:
    """One volume of a run.

    Attributes:
        volume: its node.
        record: its grid when the run began.
        folder: what the worker reads and writes lies here; its owner removes it.
        name: of the node when the run began.
        input: the scan as the worker reads it.
        is_picture: a single projection without known spacing.
        organ: the worker's organ option.
        doubts: what does not fit the model, one sentence each.
    """

    volume: Any
    record: GeometryRecord
    folder: Path
    name: str
    input: Path
    is_picture: bool
    organ: str = "auto"
    doubts: list[str] = field(default_factory=list)


def new_case(scene: Any, volume: Any, options: RunOptions) -> RunCase:
    """The case of a volume, with a folder of its own in which nothing lies yet.

    Raises:
        SceneError: the volume is gone or cannot be segmented.
        OSError: the folder cannot be made.
    """
    if volume is None or not scene.IsNodePresent(volume):
        raise SceneError(_("The volume is no longer in the scene."))
    problem = problem_of_volume(volume)
    if problem:
        raise SceneError(problem)
    doubts = mismatches(options.config, facts_of(scene, volume), matrix_of(volume))
    reading = reading_of(volume)
    if not reading.spacing_known:
        keep_reading(volume, reading)  # a saved scene puts the volume into a file of another kind
    is_picture = options.config["modality"] == "XR" or reading.is_picture
    folder = Path(tempfile.mkdtemp(prefix="clamseg-"))
    path = folder / ("input.tif" if is_picture else "input.nrrd")
    return RunCase(volume, record_geometry(volume), folder, volume.GetName(), path, is_picture, doubts=doubts)


def write_organ(scene: Any, case: RunCase, options: RunOptions) -> str:
    """The worker's organ option; a reader's own region goes through a mask file on the volume's grid.

    Raises:
        SceneError: no segment or ROI was chosen, or it does not lie in the volume.
        OSError: the mask cannot be written.
    """
    if options.organ not in ("segment", "roi"):
        return options.organ
    if options.organ_node is None:
        if options.organ == "segment":
            raise SceneError(_("Choose the segment that outlines the organ, or another organ step."))
        raise SceneError(_("Choose the ROI that outlines the organ, or another organ step."))
    if options.organ == "segment":
        mask = mask_of_segment(scene, options.organ_node, options.organ_segment, case.volume)
    else:
        mask = mask_of_roi(options.organ_node, case.volume)
    path = case.folder / ("organ.tif" if case.is_picture else "organ.nrrd")
    for _step in _written(mask.astype(np.uint8), case, path):
        pass
    return str(path)


def write_scan(case: RunCase) -> Iterator[tuple[int, int]]:
    """Writes the volume as the worker's input; yields (bytes written, bytes in all)."""
    return _written(voxels_of(case.volume), case, case.input)


def _written(array: np.ndarray, case: RunCase, path: Path) -> Iterator[tuple[int, int]]:
    """Writes an array of the volume's grid step by step; a picture at once, in no step."""
    if case.is_picture:
        write_picture(array, path)
        return iter(())
    return write_in_steps(array, case.record.matrix, path)
