"""A result before the reader's eyes: the model's window, a lesion in all views, the slice that is seen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ClamSegWorkflow.case.model_fit import organ_doubts
from ClamSegWorkflow.case.result import VOLUME
from ClamSegWorkflow.scene import nodes_of
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.views import jump_to, set_window, show_behind, show_segments, turn_to_slices, voxel_at_view

# The view that shows the slices of a model's plane.
_WIDEST = 1.5  # times the values of the scan
_VIEWS = {"axial": "Red", "sagittal": "Yellow", "coronal": "Green"}


def show_result(result: Any, fit: Callable[[], None] = lambda: None) -> None:
    """The scan of a result behind the slices, in its own planes and at the model's window, with what was found in it.

    Every other result is put away, also one of this scan: its marks would be taken for this one's, or for the scan.

    Args:
        fit: brings the scan into the slice views; called where they showed another one, so that a reader's zoom stays
            otherwise.
    """
    scene = result.scene
    another = show_behind(scene, result.volume)
    turn_to_slices(scene, result.volume)
    if another:
        fit()
    show_model_window(result)
    for other in nodes_of(scene, "vtkMRMLSegmentationNode"):
        if other is not result.segmentation and other.GetNodeReferenceID(VOLUME):
            show_segments(other, False)
    show_segments(result.segmentation, True)


def plane_view(result: Any) -> str:
    """Name of the slice view that shows this result's slices."""
    return view_of_plane(result.lesions.plane)


def view_of_plane(plane: str) -> str:
    """Name of the slice view that shows the slices of a model's plane."""
    return _VIEWS.get(plane, "Red")


def show_model_window(result: Any, *, asked: bool = False) -> None:
    """The window the model worked with; a picture shown inverted keeps the reader's.

    Where the organ is doubtful the scan keeps its own: the model's is then taken from what is no organ, and may show grey
    in grey what the reader has to judge by eye. So does one whose values fill only a part of the model's.

    Args:
        asked: the reader wants to see what the model saw, whatever its organ is worth.
    """
    report = json.loads(result.provenance.get("report", "{}"))
    window = report.get("window")
    if not asked and (organ_doubts(report.get("organ", {})) or (window and _is_too_wide(window, result.volume))):
        return
    display = result.volume.GetDisplayNode()
    if window and display is not None and not display.GetInvertDisplayScalarRange():
        set_window(result.volume, float(window[0]), float(window[1]))


def _is_too_wide(window: Sequence[float], volume: Any) -> bool:
    """Whether all values of a scan lie close together in a window, as those of a picture do in what a network takes of it."""
    image = volume.GetImageData()
    lowest, highest = image.GetScalarRange() if image is not None else (0.0, 0.0)
    return highest > lowest and float(window[1]) - float(window[0]) > _WIDEST * (highest - lowest)


def show_fixed_window(config: Mapping[str, Any], volume: Any) -> bool:
    """The window a model works with, where it is the same for every scan (CT in HU); False where it is not."""
    intensity = config.get("intensity", {})
    if intensity.get("kind") != "window_hu":
        return False
    set_window(volume, float(intensity["low"]), float(intensity["high"]))
    return True


def jump_to_lesion(result: Any, number: int) -> None:
    """Shows a lesion in all views, at the model's window: the voxel nearest its middle, never between two slices.

    Raises:
        KeyError: no such lesion at this threshold.
    """
    show_model_window(result)
    centre = result.lesions.row(number).centre_ijk
    # Between two slices a view would show a blend of both.
    jump_to(result.scene, to_world(result.volume, [math.floor(index + 0.5) for index in centre]))


def slice_in_view(result: Any) -> int | None:
    """Canonical slice that the view of the model's plane shows, wherever its middle lies; None beside the scan."""
    if result is None or result.lesions is None:
        return None
    position = voxel_at_view(result.scene, result.volume, plane_view(result))
    return None if position is None else result.lesions.canonical_slice(position)
