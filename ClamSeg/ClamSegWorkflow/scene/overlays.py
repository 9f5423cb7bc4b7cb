"""Probability and doubt over the slices: volumes of their own, coloured, cut at a threshold while dragging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ClamSegWorkflow.scene import nodes_of
from ClamSegWorkflow.scene.geometry import matrix_of, vtk_matrix
from ClamSegWorkflow.scene.segments import follow, place_beside

PROBABILITY, DOUBT, STRONGEST = "probability", "doubt", "condition"
# The last stands in scenes saved before doubt took its place.
MAPS = (PROBABILITY, DOUBT, STRONGEST, "disagreement")
# Attribute of a map, saved with the scene: what is no scan is known by it, whatever its name.
_MAP = "ClamSeg.map"
# Start, middle and end of the colour ramps, readable for the colour-blind on grey: violet to pink, dark blue to white.
# None comes near the orange of the marks, which lie over them.
_RAMPS = {
    PROBABILITY: ((0.25, 0.0, 0.4), (0.8, 0.2, 0.75), (1.0, 0.85, 1.0)),
    DOUBT: ((0.0, 0.1, 0.35), (0.0, 0.45, 0.7), (0.9, 0.98, 1.0)),
}


def map_image(array: np.ndarray) -> Any:
    """The image of a map (k, j, i) of steps of 1/255; it touches no scene, so that any thread may make it."""
    image = vtk.vtkImageData()
    k, j, i = array.shape
    image.SetDimensions(i, j, k)
    values = numpy_support.numpy_to_vtk(np.ascontiguousarray(array, np.uint8).ravel(), deep=True)
    image.GetPointData().SetScalars(values)
    return image


def add_map(scene: Any, volume: Any, segmentation: Any, image: Any, kind: str) -> Any:
    """A hidden-away scalar volume with a map on the volume's grid and transform.

    It is referenced by the segmentation, so that a saved scene finds it again.

    Args:
        image: as of `map_image`.
        kind: PROBABILITY, DOUBT, or STRONGEST (number of the strongest condition).
    """
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{segmentation.GetName()} {kind}")
    node.SetAttribute(_MAP, kind)
    node.SetIJKToRASMatrix(vtk_matrix(matrix_of(volume)))
    node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAutoWindowLevel(
            0
        )  # else Slicer looks through all values for a window that no map is shown in
    node.SetAndObserveImageData(image)
    follow(node, volume)
    place_beside(scene, node, volume)
    if kind in _RAMPS:
        _show_as_ramp(scene, node, kind)
    segmentation.SetNodeReferenceID(f"ClamSeg.{kind}", node.GetID())
    return node


def _show_as_ramp(scene: Any, node: Any, kind: str) -> None:
    display = node.GetDisplayNode()
    if display is None:
        return
    colours = scene.GetFirstNode(f"ClamSeg {kind}", "vtkMRMLColorTableNode")
    if colours is None:
        colours = scene.AddNewNodeByClass("vtkMRMLColorTableNode", f"ClamSeg {kind}")
        colours.SetTypeToUser()
        colours.SetNumberOfColors(256)
        colours.HideFromEditorsOn()
        for step in range(256):
            rgb = [np.interp(step / 255, (0, 0.5, 1), ends) for ends in zip(*_RAMPS[kind], strict=True)]
            colours.SetColor(step, f"{step / 255:.2f}", *rgb, 1.0)
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetWindowLevelMinMax(0, 255)
    display.SetInterpolate(0)
    set_shown_threshold(node, 0.0)


def map_of(segmentation: Any, kind: str) -> Any:
    """The map's volume node, None where it is gone."""
    return segmentation.GetNodeReference(f"ClamSeg.{kind}")


def map_ids(scene: Any, segmentation: Any = None) -> list[str]:
    """Ids of all maps of the scene, or of those that a segmentation names, also one that was just removed.

    Maps of scenes that were saved before maps had an attribute are known by the segmentations that name them.
    """
    if segmentation is not None:
        named = (segmentation.GetNodeReferenceID(f"ClamSeg.{kind}") for kind in MAPS)
        return [node_id for node_id in named if node_id]
    ids = {node.GetID() for node in nodes_of(scene, "vtkMRMLScalarVolumeNode") if node.GetAttribute(_MAP)}
    for each in nodes_of(scene, "vtkMRMLSegmentationNode"):
        ids.update(map_ids(scene, each))
    return sorted(ids)


def remove_nodes(scene: Any, ids: Sequence[str]) -> None:
    """Takes out of the scene what of these is still there."""
    for node_id in ids:
        node = scene.GetNodeByID(node_id)
        if node is not None:
            scene.RemoveNode(node)


def map_array(node: Any) -> np.ndarray:
    """Values (k, j, i) of a map, a view of the node's memory."""
    return array_of_map(node.GetImageData())


def array_of_map(image: Any) -> np.ndarray:
    """Values (k, j, i) of a map's image, a view of its memory."""
    i, j, k = image.GetDimensions()
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)


def set_shown_threshold(node: Any, threshold: float) -> None:
    """Shows only what lies above the threshold: the rule is value > threshold * 255, as for the masks."""
    display = node.GetDisplayNode()
    if display is None:
        return
    modified = display.StartModify()
    display.SetAutoThreshold(0)
    display.SetThreshold(max(1.0, np.floor(threshold * 255) + 1), 255)
    display.SetApplyThreshold(1)
    display.EndModify(modified)


def show_overlay(scene: Any, node: Any, opacity: float = 0.6) -> None:
    """Puts a map in front of the slices of every view; None takes it away again."""
    for composite in nodes_of(scene, "vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(node.GetID() if node is not None else None)
        composite.SetForegroundOpacity(opacity if node is not None else 0.0)
