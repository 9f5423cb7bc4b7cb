"""Where the reader looks: the volume behind, a point in all slice views, the model's window, surfaces in 3-D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import vtk

from ClamSegWorkflow.scene import nodes_of
from ClamSegWorkflow.scene.geometry import matrix_of, world_transform

_ORGAN_FILL, _ORGAN_3D = 0.3, 0.2
# Orientation of the slice views where none is set as their default.
_USUAL = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


def show_behind(scene: Any, volume: Any) -> bool:
    """Shows the volume as background of every slice view; whether any showed another one before."""
    changed = False
    for composite in nodes_of(scene, "vtkMRMLSliceCompositeNode"):
        changed = changed or composite.GetBackgroundVolumeID() != volume.GetID()
        composite.SetBackgroundVolumeID(volume.GetID())
    return changed


def shows_behind(scene: Any, volume: Any, view: str) -> bool:
    """Whether a slice view, by its name, shows the volume as its background."""
    composites = (c for c in nodes_of(scene, "vtkMRMLSliceCompositeNode") if c.GetLayoutName() == view)
    return any(composite.GetBackgroundVolumeID() == volume.GetID() for composite in composites)


def turn_to_slices(scene: Any, volume: Any) -> None:
    """Turns every slice view into the nearest plane of the volume's own voxels, so that one view shows one slice.

    A view that an oblique scan before, or its user, turned away from axial, sagittal and coronal starts from its default;
    others start from the plane they were given. A bent scan has no plane of its own: the views stay straight.

    Args:
        volume: scalar volume node; parent transforms count.
    """
    transform = volume.GetParentTransformNode()
    is_flat = transform is None or bool(transform.IsTransformToWorldLinear())
    for view in nodes_of(scene, "vtkMRMLSliceNode"):
        if view.GetOrientation() == view.GetReformatOrientationName():
            view.SetOrientation(view.GetDefaultOrientation() or _USUAL.get(view.GetLayoutName(), "Axial"))
        if is_flat:
            # False: a picture is one slice, and every view turned into it would show it mirrored or lying on its side.
            view.RotateToVolumePlane(volume, False)


def jump_to(scene: Any, ras: Sequence[float]) -> None:
    """Shows a point of the world in all slice views; the zoom stays the reader's, and the picture its place where it can.

    A view is centred on the point only where it would lie outside or at the very edge.
    """
    point = [float(value) for value in ras[:3]]
    for view in nodes_of(scene, "vtkMRMLSliceNode"):
        view.JumpSliceByOffsetting(*point)
        if not _lies_inside(view, point):
            view.JumpSliceByCentering(*point)
    for crosshair in nodes_of(scene, "vtkMRMLCrosshairNode"):
        crosshair.SetCrosshairRAS(float(ras[0]), float(ras[1]), float(ras[2]))


def show_crosshair(scene: Any) -> None:
    """Switches the cross-hair on where it is off, so that the point of `jump_to` is told from others around it."""
    for crosshair in nodes_of(scene, "vtkMRMLCrosshairNode"):
        if crosshair.GetCrosshairMode() == crosshair.NoCrosshair:
            crosshair.SetCrosshairMode(crosshair.ShowSmallBasic)


def _lies_inside(view: Any, point: Sequence[float]) -> bool:
    """Whether a view shows a point, not closer to its edge than a tenth of its size."""
    to_view = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.GetXYToRAS(), to_view)
    across, down = to_view.MultiplyPoint((*point, 1.0))[:2]
    width, height = view.GetDimensions()[:2]
    return 0.1 * width <= across <= 0.9 * width and 0.1 * height <= down <= 0.9 * height


def set_window(volume: Any, low: float, high: float) -> None:
    """The model's window, in the volume's own units."""
    display = volume.GetDisplayNode()
    if display is not None and display.IsA("vtkMRMLScalarVolumeDisplayNode"):
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(low, high)


def show_segments(segmentation: Any, visible: bool) -> None:
    """Before and after: all segments of a result at once."""
    display = segmentation.GetDisplayNode()
    if display is not None:
        display.SetVisibility(visible)


def show_surfaces(segmentation: Any, visible: bool) -> None:
    """Surfaces in 3-D; they are computed when first asked for, because a large volume takes seconds."""
    if visible:
        segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    if display is not None:
        display.SetVisibility3D(visible)


def segment_fill(segmentation: Any, segment_id: str, opacity: float) -> None:
    """How much of a segment's area is filled in slices, times the fill of all; its outline stays."""
    display = segmentation.GetDisplayNode()
    if display is not None:
        display.SetSegmentOpacity2DFill(segment_id, opacity)


def organ_behind_lesions(segmentation: Any, organ: str) -> None:
    """The organ as a thin veil, in slices and in 3-D, so that the lesions in it are seen at once.

    Args:
        organ: id of its segment.
    """
    display = segmentation.GetDisplayNode()
    if display is not None:
        display.SetSegmentOpacity2DFill(organ, _ORGAN_FILL)
        display.SetSegmentOpacity3D(organ, _ORGAN_3D)


def outline_opacity(segmentation: Any, opacity: float) -> None:
    """Opacity of the segments in the slices; outlines stay fully visible."""
    display = segmentation.GetDisplayNode()
    if display is not None:
        display.SetOpacity2DFill(opacity)


def voxel_at_view(scene: Any, volume: Any, view: str) -> tuple[float, float, float] | None:
    """Voxel position (i, j, k) under the centre of a slice view; None without that view.

    Args:
        view: name of the slice view, e.g. 'Red'.
    """
    node = scene.GetNodeByID(f"vtkMRMLSliceNode{view}")
    if node is None:
        return None
    matrix = node.GetSliceToRAS()
    return voxel_at(volume, [matrix.GetElement(row, 3) for row in range(3)])


def voxel_at(volume: Any, ras: Sequence[float]) -> tuple[float, float, float]:
    """Voxel position (i, j, k) of a point of the world, perhaps outside of the volume."""
    own = world_transform(volume).GetInverse().TransformPoint(*ras)
    i, j, k = (np.linalg.inv(matrix_of(volume)) @ np.array([*own, 1.0]))[:3]
    return float(i), float(j), float(k)
