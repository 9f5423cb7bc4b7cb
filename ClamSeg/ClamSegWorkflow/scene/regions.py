"""The reader's own region as a mask on the volume's grid: a segment, or a region of interest."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import array_of, linear_to_world, matrix_of, record_geometry
from ClamSegWorkflow.words import tr as _


def mask_of_segment(scene: Any, segmentation: Any, segment_id: str, volume: Any) -> np.ndarray:
    """A segment of any segmentation, (k, j, i) bool on the volume's grid, transforms of both taken into account.

    Raises:
        SceneError: the segment is empty there.
    """
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(segment_id)
    before = _node_ids(scene)
    labelmap = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "ClamSeg region")
    try:
        made = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
            segmentation, ids, labelmap, volume, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
        )
        shape = record_geometry(volume).shape
        image = labelmap.GetImageData()
        if not made or image is None or image.GetNumberOfPoints() != np.prod(shape):
            raise SceneError(_("The segment could not be resampled to the volume's grid; draw it on this volume."))
        mask = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape) > 0
    finally:
        for node_id in _node_ids(scene) - before:  # the export adds a display and a colour table too
            scene.RemoveNode(scene.GetNodeByID(node_id))
    if not mask.any():
        raise SceneError(_("The segment is empty inside the volume; draw the organ, or choose another organ step."))
    return mask


def _node_ids(scene: Any) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def mask_of_roi(roi: Any, volume: Any) -> np.ndarray:
    """Voxels inside a markups ROI, (k, j, i) bool.

    Raises:
        SceneError: the ROI holds no voxel of the volume.
    """
    shape = record_geometry(volume).shape
    matrix = _to_object(volume, roi)
    half = np.asarray(roi.GetSize()) / 2
    mask = np.zeros(shape, bool)
    j, i = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    for k in range(shape[0]):
        points = np.stack([i.ravel(), j.ravel(), np.full(i.size, k)], axis=1) @ matrix[:3, :3].T + matrix[:3, 3]
        mask[k] = (np.abs(points) <= half + 1e-9).all(axis=1).reshape(i.shape)
    if not mask.any():
        raise SceneError(
            _("The ROI {roi} contains no voxel of the volume; move it over the organ.").format(roi=roi.GetName())
        )
    return mask


def _to_object(volume: Any, roi: Any) -> np.ndarray:
    """4 x 4 from voxel positions (i, j, k, 1) to the ROI's own axes."""
    to_object, to_world = vtk.vtkMatrix4x4(), linear_to_world(volume)
    if to_world is None:
        raise SceneError(_("The volume lies under a non-linear transform; use a segment instead of an ROI."))
    vtk.vtkMatrix4x4.Invert(roi.GetObjectToWorldMatrix(), to_object)
    return array_of(to_object) @ array_of(to_world) @ matrix_of(volume)
