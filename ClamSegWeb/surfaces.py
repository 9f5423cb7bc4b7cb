"""Surfaces of segments, made in a process of their own: python -m ClamSegWeb.surfaces

A large organ takes seconds to half a minute, in which the page would answer nobody. It reads the name of a folder a line, and
answers each with a line when its surfaces are made. The folder holds, for each number n, n.npy (slice, row, column; uint8) and n.json (`extent`, `matrix` from voxels to the world, `organ`); n.vtp is written beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.scene.segments import keep_small_surfaces

# More triangles than this are merged: drawn without a graphics card they would make every turn of the view wait.
_MOST_TRIANGLES = 150_000
_DIVISIONS = 128
# Slicer's own: an organ is large enough to keep its volume, and its steps between slices are no anatomy.
_ORGAN_SMOOTHING = "0.5"
MADE = "made"  # the answer


def write_mask(folder: Path, number: int, image: Any, is_organ: bool = False) -> bool:
    """Writes an oriented labelmap for the process; False where it is empty. The surface of an organ is smoothed more."""
    from vtk.util import numpy_support
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    scalars = image.GetPointData().GetScalars()
    if scalars is None or i1 < i0 or j1 < j0 or k1 < k0:
        return False
    mask = numpy_support.vtk_to_numpy(scalars).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    if not mask.any():
        return False
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    values = [matrix.GetElement(row, column) for row in range(4) for column in range(4)]
    np.save(folder / f"{number}.npy", mask.astype(np.uint8, copy=False), allow_pickle=False)
    (folder / f"{number}.json").write_text(
        json.dumps({"extent": [i0, i1, j0, j1, k0, k1], "matrix": values, "organ": is_organ})
    )
    return True


def read_surface(folder: Path, number: int) -> Any:
    """The surface that the process made, None where there is none."""
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    path = folder / f"{number}.vtp"
    if not path.is_file():
        return None
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def main() -> int:
    """Makes the surface of every mask in the folders that are named, as the scene's own conversion does."""
    import slicer

    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    factory.RegisterConverterRule(slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule())
    for line in sys.stdin:
        for path in sorted(Path(line.rstrip("\r\n")).glob("*.npy")):
            _make(path, slicer)
        print(MADE, flush=True)
    return 0


def _make(path: Path, slicer: Any) -> None:
    import vtk
    from vtk.util import numpy_support
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    place = json.loads(path.with_suffix(".json").read_text())
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*place["extent"])
    values = np.load(path, allow_pickle=False).ravel()
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(values, deep=False, array_type=vtk.VTK_UNSIGNED_CHAR))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(place["matrix"])
    image.SetImageToWorldMatrix(matrix)
    segment = slicer.vtkSegment()
    converter = slicer.vtkSegmentationConverter
    segment.AddRepresentation(converter.GetSegmentationBinaryLabelmapRepresentationName(), image)
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName(converter.GetSegmentationBinaryLabelmapRepresentationName())
    keep_small_surfaces(segmentation)
    if place["organ"]:
        segmentation.SetConversionParameter("Smoothing factor", _ORGAN_SMOOTHING)
    segmentation.AddSegment(segment, "segment")
    name = converter.GetSegmentationClosedSurfaceRepresentationName()
    if not segmentation.CreateRepresentation(name):
        return
    surface = segmentation.GetSegment("segment").GetRepresentation(name)
    if surface.GetNumberOfPolys() > _MOST_TRIANGLES:
        merge = vtk.vtkQuadricClustering()
        merge.SetInputData(surface)
        merge.SetNumberOfDivisions(_DIVISIONS, _DIVISIONS, _DIVISIONS)
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputConnection(merge.GetOutputPort())
        normals.SplittingOff()
        normals.Update()
        surface = normals.GetOutput()
    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(path.with_suffix(".vtp")))
    writer.SetInputData(surface)
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToNone()
    writer.Write()


if __name__ == "__main__":
    sys.exit(main())
