"""Where voxels lie: a volume's own grid, its place in the world, and the record a run is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk


@dataclass(frozen=True)
class GeometryRecord:
    """Where a volume lay when a run began.

    Attributes:
        shape: voxels along k, j, i.
        ijk_to_ras: 4 x 4, row-major, without parent transforms.
    """

    shape: tuple[int, int, int]
    ijk_to_ras: tuple[float, ...]

    @property
    def matrix(self) -> np.ndarray:
        """4 x 4 voxel index (i, j, k, 1) to RAS in mm."""
        return np.asarray(self.ijk_to_ras).reshape(4, 4)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxel centres along i, j, k."""
        i, j, k = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(i), float(j), float(k)


def matrix_of(volume: Any) -> np.ndarray:
    """4 x 4 (i, j, k, 1) to RAS of the node itself, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return array_of(matrix)


def array_of(matrix: Any) -> np.ndarray:
    """4 x 4 of VTK's matrix."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_matrix(array: np.ndarray) -> Any:
    """VTK's matrix of a 4 x 4."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(array.ravel().tolist())
    return matrix


def image_matrix(image: Any) -> np.ndarray:
    """4 x 4 (i, j, k, 1) to RAS of an image of a segmentation, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return array_of(matrix)


def oblique_deg(volume: Any) -> float:
    """Largest angle between an axis of the volume's own voxels and the nearest axis of the body; 0 for a straight scan."""
    axes = matrix_of(volume)[:3, :3]
    nearest = np.abs(axes / np.linalg.norm(axes, axis=0)).max(axis=0)
    return float(np.degrees(np.arccos(np.clip(nearest, 0.0, 1.0))).max())


def stack_plane(volume: Any) -> str:
    """Plane of the slices as the file stacks them, which need not be the one they were acquired in."""
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(matrix_of(volume)[:3, 2])))]


def record_geometry(volume: Any) -> GeometryRecord:
    """The volume's own grid, to be compared when the result comes back."""
    i, j, k = volume.GetImageData().GetDimensions()
    return GeometryRecord((k, j, i), tuple(matrix_of(volume).ravel().tolist()))


def unchanged(volume: Any, record: GeometryRecord) -> bool:
    """Whether the volume still has the grid it had when the run began; its parent transform may have moved."""
    if volume is None or volume.GetImageData() is None:
        return False
    now = record_geometry(volume)
    return now.shape == record.shape and np.allclose(now.matrix, record.matrix, rtol=0, atol=1e-9)


def world_transform(node: Any) -> Any:
    """From a node's own RAS to world RAS, all parent transforms, also non-linear ones."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, transform)
    return transform


def linear_to_world(node: Any) -> Any:
    """VTK's matrix of all parent transforms together; None where they bend the scan."""
    transform, matrix = node.GetParentTransformNode(), vtk.vtkMatrix4x4()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            return None
        transform.GetMatrixTransformToWorld(matrix)
    return matrix


def transform_scale(node: Any) -> float | None:
    """By what factor the parent transforms change every volume; 1 without any, None where they bend the scan."""
    matrix = linear_to_world(node)
    return None if matrix is None else abs(float(matrix.Determinant()))


def probe_points(shape: Sequence[int]) -> np.ndarray:
    """The eight corner voxels and the centre as (i, j, k, 1), 9 x 4."""
    k, j, i = shape
    ends = [(0, i - 1), (0, j - 1), (0, k - 1)]
    corners = [(a, b, c, 1.0) for a in ends[0] for b in ends[1] for c in ends[2]]
    return np.array([*corners, ((i - 1) / 2, (j - 1) / 2, (k - 1) / 2, 1.0)])


def to_world(volume: Any, ijk: Sequence[float]) -> tuple[float, float, float]:
    """World RAS in mm of a voxel position (i, j, k), parent transforms included."""
    own = matrix_of(volume) @ np.array([*ijk, 1.0])
    r, a, s = world_transform(volume).TransformPoint(*own[:3])
    return float(r), float(a), float(s)
