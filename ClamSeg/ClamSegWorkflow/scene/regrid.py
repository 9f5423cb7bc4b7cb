"""A segmentation of ours on the grid its volume has now: Slicer turns the axes of a left-handed volume when it loads it.

A volume made in memory may be left-handed. Saved with the scene and loaded again it is right-handed: the same voxels
at the same places, counted from the other end of an axis. Segments keep their grid, so that an index means another
voxel in them than in the volume.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from vtk.util import numpy_support

from ClamSegWorkflow.scene.geometry import image_matrix, matrix_of, vtk_matrix
from ClamSegWorkflow.scene.segments import binary_labelmap, reference_grid

_SAME_PLACE_MM = 1e-3


def count_as_volume(segmentation: Any, volume: Any) -> bool:
    """Recounts the voxels of all segments as the volume counts its own; nothing moves in space.

    Returns:
        Whether the segments lie on the volume's grid now. False, and nothing changed, where it is another grid: the
        volume was resampled, cropped or moved against them.
    """
    reference = reference_grid(segmentation)
    if reference is None:
        return False
    old, new = image_matrix(reference), matrix_of(volume)
    sizes = np.array(volume.GetImageData().GetDimensions())
    flips = np.array([float(old[:3, axis] @ new[:3, axis]) < 0 for axis in range(3)])
    signs = np.where(flips, -1.0, 1.0)
    recounted = np.eye(4)
    recounted[:3, :3] = np.diag(signs)
    recounted[:3, 3] = np.where(flips, sizes - 1, 0)
    corners = np.array([[0, 0, 0, 1], [*(sizes - 1), 1], [sizes[0] - 1, 0, 0, 1], [0, sizes[1] - 1, 0, 1]], float)
    if np.abs(corners @ (new @ recounted).T - corners @ old.T).max() > _SAME_PLACE_MM:
        return False
    if flips.any():
        _recount(segmentation, volume, flips, sizes, new)
    return True


def _recount(segmentation: Any, volume: Any, flips: np.ndarray, sizes: np.ndarray, new: np.ndarray) -> None:
    """Segments may share a labelmap, so each image is turned once."""
    data = segmentation.GetSegmentation()
    images = {}
    for index in range(data.GetNumberOfSegments()):
        image = data.GetNthSegment(index).GetRepresentation(binary_labelmap())
        if image is not None:
            images[image.GetAddressAsString("vtkObject")] = image
    modified = segmentation.StartModify()
    for image in images.values():
        _turn(image, flips, sizes)
        image.SetImageToWorldMatrix(vtk_matrix(new))
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.EndModify(modified)


def _turn(image: Any, flips: np.ndarray, sizes: np.ndarray) -> None:
    extent = image.GetExtent()
    turned = list(extent)
    for axis in np.flatnonzero(flips):
        first, last = extent[2 * axis], extent[2 * axis + 1]
        turned[2 * axis : 2 * axis + 2] = [int(sizes[axis]) - 1 - last, int(sizes[axis]) - 1 - first]
    scalars = image.GetPointData().GetScalars()
    if scalars is None or image.GetNumberOfPoints() == 0:
        return
    i, j, k = image.GetDimensions()
    array = numpy_support.vtk_to_numpy(scalars).reshape(k, j, i)
    array = np.flip(array, tuple(2 - int(axis) for axis in np.flatnonzero(flips)))
    values = numpy_support.numpy_to_vtk(
        np.ascontiguousarray(array).ravel(), deep=True, array_type=scalars.GetDataType()
    )
    values.SetName(scalars.GetName())
    image.SetExtent(*turned)
    image.GetPointData().SetScalars(values)
    image.Modified()
