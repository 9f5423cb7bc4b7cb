"""What a volume node holds: grey values for the worker, written to a file step by step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.words import tr as _

# 16 MB are written within a few ms, so that the window goes on answering between two chunks.
_CHUNK_BYTES = 1 << 24
_NRRD_TYPES = {
    "uint8": "uint8", "int8": "int8", "uint16": "uint16", "int16": "int16",
    "uint32": "uint32", "int32": "int32", "float32": "float", "float64": "double",
}  # fmt: skip


def problem_of_volume(volume: Any) -> str:
    """Why the volume cannot be segmented, in words for the user; '' where it can."""
    if volume is None:
        return _("Choose a volume first.")
    name = volume.GetName()
    if volume.IsA("vtkMRMLSequenceNode") or volume.IsA("vtkMRMLMultiVolumeNode"):
        return _("{name} is a 4-D volume; extract one time point as a volume of its own.").format(name=name)
    if volume.IsA("vtkMRMLLabelMapVolumeNode") or volume.IsA("vtkMRMLSegmentationNode"):
        return _("{name} is a labelmap; choose the scan itself.").format(name=name)
    image = volume.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        return _("{name} has no voxels; load the scan again.").format(name=name)
    components = image.GetNumberOfScalarComponents()
    if components not in (1, 3, 4):
        return _(
            "{name} has {components} values in each voxel (a 4-D or vector volume); extract one of them first."
        ).format(name=name, components=components)
    if components > 1 and image.GetDimensions()[2] > 1:
        return _(
            "{name} is a colour volume of several slices; ClamSeg reads grey values, or a single colour picture."
        ).format(name=name)
    if components > 1 and _is_true_colour(image):
        return _("{volume} is a colour picture; ClamSeg needs grey values.").format(volume=name)
    matrix = matrix_of(volume)[:3, :3]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        return _("{name} has a spacing of zero; its geometry is damaged, load the scan again.").format(name=name)
    return ""


def _is_true_colour(image: Any) -> bool:
    """Whether red, green and blue differ anywhere: such a picture holds no grey values."""
    colours = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return not all(np.array_equal(colours[:, 0], colours[:, channel]) for channel in (1, 2))


def voxels_of(volume: Any) -> np.ndarray:
    """Grey values (k, j, i), a view of the node's own memory where that is possible.

    A colour picture whose channels agree is grey in truth. An X-ray that Slicer only displays inverted
    (MONOCHROME1) is inverted here too, so that bone is bright for every model.

    Raises:
        SceneError: what `problem_of_volume` says.
    """
    problem = problem_of_volume(volume)
    if problem:
        raise SceneError(problem)
    image = volume.GetImageData()
    i, j, k = image.GetDimensions()
    array = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    components = image.GetNumberOfScalarComponents()
    if components > 1:
        array = array.reshape(k, j, i, components)[..., 0]
    array = array.reshape(k, j, i)
    if array.dtype.name not in _NRRD_TYPES:
        array = _storable(volume.GetName(), array)
    display = volume.GetDisplayNode()
    shows_greys = display is not None and display.IsA("vtkMRMLScalarVolumeDisplayNode")
    if k == 1 and shows_greys and display.GetInvertDisplayScalarRange():
        array = (array.max().astype(np.float64) + array.min() - array).astype(array.dtype)
    return array


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    """64-bit integers as 32-bit ones where nothing is lost."""
    if array.dtype.kind in "iu" and array.size and abs(float(array.max())) < 2**31 and float(array.min()) >= -(2**31):
        return array.astype(np.int32)
    raise SceneError(
        _("{name} has voxels of type {dtype}, which cannot be kept exactly; cast the volume first.").format(
            name=name, dtype=array.dtype
        )
    )


def nrrd_header(array: np.ndarray, ijk_to_ras: np.ndarray) -> bytes:
    """Header of an uncompressed NRRD in LPS for (k, j, i) voxels."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    axes = " ".join(f"({','.join(repr(float(v)) for v in lps[:3, axis])})" for axis in range(3))
    origin = ",".join(repr(float(v)) for v in lps[:3, 3])
    k, j, i = array.shape
    lines = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[array.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {i} {j} {k}",
        f"space directions: {axes}",
        "kinds: domain domain domain",
        f"endian: {sys.byteorder}",
        "encoding: raw",
        f"space origin: ({origin})",
    ]
    return ("\n".join(lines) + "\n\n").encode("ascii")


def write_in_steps(array: np.ndarray, ijk_to_ras: np.ndarray, path: Path) -> Iterator[tuple[int, int]]:
    """Writes raw voxels (k, j, i), unhardened, as NRRD; yields (bytes written, bytes in all) after every chunk.

    The caller lets the window breathe between two steps. One-slice pictures go through `write_picture`.

    Raises:
        OSError: disk full, not writable.
    """
    array = np.ascontiguousarray(array)
    data = memoryview(array.reshape(-1).view(np.uint8))
    with path.open("wb") as file:
        file.write(nrrd_header(array, ijk_to_ras))
        for start in range(0, len(data), _CHUNK_BYTES):
            file.write(data[start : start + _CHUNK_BYTES])
            yield min(start + _CHUNK_BYTES, len(data)), len(data)


def write_picture(array: np.ndarray, path: Path) -> None:
    """Writes a single slice (1, j, i) as TIFF, row 0 on top, values unchanged: a picture has no known spacing in mm.

    Raises:
        SceneError: several slices, or values that 32-bit floats cannot keep.
        OSError: disk full, not writable.
    """
    if array.shape[0] != 1:
        raise SceneError(_("The volume has {shape} slices; an X-ray is a single picture.").format(shape=array.shape[0]))
    if array.dtype not in (np.uint8, np.uint16):
        as_float = array.astype(np.float32)
        if not np.array_equal(as_float.astype(np.float64), array.astype(np.float64)):
            raise SceneError(_("The picture has values that a file cannot keep exactly; cast the volume first."))
        array = as_float
    rows = np.ascontiguousarray(array[0, ::-1])  # VTK counts rows from the bottom
    image = vtk.vtkImageData()
    image.SetDimensions(rows.shape[1], rows.shape[0], 1)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(rows.ravel(), deep=True))
    writer = vtk.vtkTIFFWriter()
    writer.SetFileName(str(path))
    writer.SetCompressionToNoCompression()
    writer.SetInputData(image)
    writer.Write()
    if writer.GetErrorCode() or not path.is_file():
        raise OSError(_("{name} could not be written; is the disk full?").format(name=path.name))
