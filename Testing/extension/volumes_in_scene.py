"""Volumes of every kind of geometry in the scene, for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk


def matrix(values: np.ndarray) -> Any:
    made = vtk.vtkMatrix4x4()
    made.DeepCopy(np.asarray(values, float).ravel().tolist())
    return made


def oblique(spacing: tuple[float, float, float] = (0.8, 0.9, 2.5), *, left_handed: bool = False) -> np.ndarray:
    """IJK to RAS, turned about all three axes, off the origin."""
    a, b, c = 0.3, -0.2, 0.5
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    made = np.eye(4)
    made[:3, :3] = (x @ y @ z) * np.asarray(spacing)
    if left_handed:
        made[:3, 2] *= -1
    made[:3, 3] = (31.0, -47.5, 112.25)
    return made


def plain(spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> np.ndarray:
    """As Slicer shows an axial scan: i to the left, j to the back, k to the head."""
    made = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    made[:3, 3] = (40.0, 50.0, -60.0)
    return made


GEOMETRIES = {
    "plain": plain(),
    "oblique": oblique(),
    "left-handed": oblique(left_handed=True),
    "sagittal": np.array([[0, 0, 3.0, 5], [-1, 0, 0, 6], [0, -1, 0, 7], [0, 0, 0, 1.0]]),
}


def add_volume(scene: Any, array: np.ndarray, ijk_to_ras: np.ndarray | None = None, name: str = "scan") -> Any:
    slicer.mrmlScene = scene
    node = slicer.util.addVolumeFromArray(array, name=name)
    node.SetIJKToRASMatrix(matrix(plain() if ijk_to_ras is None else ijk_to_ras))
    return node


def linear_transform(scene: Any) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    moved = oblique((1, 1, 1))
    moved[:3, 3] = (100.0, -20.0, 7.0)
    node.SetMatrixTransformToParent(matrix(moved))
    return node


def grid_transform(scene: Any) -> Any:
    """A non-linear transform, as Slicer's DICOM reader adds one to a tilted or unevenly spaced CT."""
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "bent")
    grid = vtk.vtkImageData()
    grid.SetOrigin(-400, -400, -400)
    grid.SetSpacing(100, 100, 100)
    grid.SetDimensions(9, 9, 9)
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    values = np.random.default_rng(0).uniform(-9, 9, (9**3, 3))
    for point in range(9**3):
        grid.GetPointData().GetScalars().SetTuple(point, values[point])
    transform = vtk.vtkGridTransform()
    transform.SetDisplacementGridData(grid)
    transform.SetInterpolationModeToCubic()
    node.SetAndObserveTransformToParent(transform)
    return node


def blob(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """An uneven mask without any symmetry."""
    mask = np.zeros(shape, bool)
    k, j, i = (size // 4 for size in shape)
    mask[k : 2 * k + 1, j : 3 * j, i : 2 * i] = True
    mask[k, j : j + 2, i : 3 * i] = True
    return mask
