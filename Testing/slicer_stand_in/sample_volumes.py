"""The shipped samples in the scene, as Slicer's readers would put them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
import vtk

SAMPLES = Path(__file__).resolve().parents[2] / "Resources" / "Samples"
_NON_COMMERCIAL = SAMPLES.parent / "NonCommercial" / "samples"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def add_sample(file: str, name: str, slices: slice = slice(None)) -> Any:
    """Adds a sample as a scalar volume, or some of its slices only; an X-ray has one slice."""
    path = next(folder / file for folder in (SAMPLES, _NON_COMMERCIAL) if (folder / file).is_file())
    image = sitk.ReadImage(str(path))
    array = np.atleast_3d(sitk.GetArrayFromImage(image))
    if image.GetDimension() == 2:
        array = sitk.GetArrayFromImage(image)[None]
        origin, direction, spacing = (0.0, 0.0, 0.0), np.eye(3), (*image.GetSpacing(), 1.0)
    else:
        first = image.TransformIndexToPhysicalPoint([0, 0, slices.start or 0])
        origin, direction = first, np.reshape(image.GetDirection(), (3, 3))
        spacing, array = image.GetSpacing(), array[slices]
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = direction * np.asarray(spacing)
    ijk_to_lps[:3, 3] = origin
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((_LPS_TO_RAS @ ijk_to_lps).ravel().tolist())
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(array), name=name)
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    if path.suffix == ".png":  # the file that Slicer's reader names in the storage node
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(path))
        node.SetAndObserveStorageNodeID(storage.GetID())
    return node
