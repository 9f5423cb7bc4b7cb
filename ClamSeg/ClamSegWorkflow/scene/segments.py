"""Segmentations of our own: made on the volume's grid, written segment by segment, with their provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ClamSegLib.imaging.volume import box_of
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import matrix_of, vtk_matrix
from ClamSegWorkflow.words import tr as _

TERMINOLOGY_CONTEXT = "Segmentation category and type - DICOM master list"
ANATOMY_CONTEXT = "Anatomic codes - DICOM master list"
# Slicer's own smoothing (0.5, flying edges) makes a lesion of 8 voxels vanish and leaves 4 % of one of 27. Surface nets
# smoothed so little keep the volume of any lesion within 2 %.
SURFACE_PARAMETERS = {"Conversion method": "1", "Smoothing factor": "0.05"}


@dataclass(frozen=True)
class SegmentLook:
    """What a segment is called and looks like.

    Attributes:
        id: stable; by it later runs and the review find the segment, never by its name.
        colour: red, green, blue, 0..255.
        terminology: 'category~type~modifier', each 'scheme^code^meaning', or ''.
    """

    id: str
    name: str
    colour: tuple[int, int, int]
    terminology: str = ""


def add_segmentation(scene: Any, volume: Any, name: str) -> Any:
    """A new segmentation on the volume's grid, beside it in the subject hierarchy; nothing else is touched.

    The parent transform comes first: with the transform on the volume alone, an import applies it twice.
    """
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    segmentation.CreateDefaultDisplayNodes()
    follow(segmentation, volume)
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    keep_small_surfaces(segmentation.GetSegmentation())
    place_beside(scene, segmentation, volume)
    return segmentation


def keep_small_surfaces(segmentation: Any) -> None:
    """Has the surfaces of a vtkSegmentation show small lesions at their volume; those that are there stay as they are."""
    for name, value in SURFACE_PARAMETERS.items():
        segmentation.SetConversionParameter(name, value)


def follow(node: Any, volume: Any) -> None:
    """Gives a node the volume's parent transform."""
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())


def place_beside(scene: Any, node: Any, volume: Any) -> None:
    """Puts a node into the volume's folder of the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    here, there = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(volume)
    if there and here:
        hierarchy.SetItemParent(here, hierarchy.GetItemParent(there))
    elif there:  # an application without Slicer's plug-ins makes no items by itself
        hierarchy.CreateItem(hierarchy.GetItemParent(there), node)


def segment_looks(segmentation: Any) -> list[SegmentLook]:
    """Id, name, colour and terminology of every segment as they are in the scene now."""
    data = segmentation.GetSegmentation()
    looks = []
    for index in range(data.GetNumberOfSegments()):
        segment_id, segment = data.GetNthSegmentID(index), data.GetNthSegment(index)
        red, green, blue = (round(255 * value) for value in segment.GetColor())
        tag = vtk.mutable("")
        found = segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
        words = "~".join(str(tag).split("~")[1:4]) if found else ""
        looks.append(SegmentLook(segment_id, segment.GetName(), (red, green, blue), words))
    return looks


def terminology_entry(terminology: str) -> str:
    """Slicer's tag for 'category~type~modifier'."""
    words = terminology or "SCT^85756007^Tissue~SCT^85756007^Tissue~^^"
    return f"{TERMINOLOGY_CONTEXT}~{words}~{ANATOMY_CONTEXT}~^^~^^"


def put_segment(
    segmentation: Any,
    volume: Any,
    look: SegmentLook,
    mask: np.ndarray,
    start: Sequence[int] = (0, 0, 0),
    *,
    keep_surface: bool = False,
) -> None:
    """Writes one segment of our own segmentation: made where it is new, its voxels replaced where it is there.

    Args:
        mask: (k, j, i) bool, the whole volume or a box of it.
        start: first k, j, i of the box.
        keep_surface: the surface that is there stays, and the caller makes it anew; else Slicer does so at once, which takes a
            quarter of a second for lesions all over the lungs.
    """
    data = segmentation.GetSegmentation()
    segment = data.GetSegment(look.id)
    box = box_of(mask)
    image = (
        None if box is None else labelmap_of(mask[box], [s.start + o for s, o in zip(box, start, strict=True)], volume)
    )
    if segment is None:
        add_segment(segmentation, look, image, without_surface=keep_surface)
        return
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if image is None:
        # Not ClearSegment: it leaves an image of floating-point values, of which no surface can be made; nor can one be
        # of a single voxel.
        image = labelmap_of(np.zeros((2, 2, 2), bool), (0, 0, 0), volume)
    if keep_surface:
        if _shares_labelmap(data, segment):
            data.SeparateSegmentLabelmap(look.id)
        segment.SetLabelValue(1)
        segment.AddRepresentation(binary_labelmap(), image)
        # As SetBinaryLabelmapToSegment tells the views; image.Modified() would throw the surfaces of all segments away.
        data.InvokeEvent(data.SourceRepresentationModified)
        data.InvokeEvent(data.RepresentationModified)
        return
    if not logic.SetBinaryLabelmapToSegment(image, segmentation, look.id, logic.MODE_REPLACE, image.GetExtent(), False):
        raise SceneError(
            _("Segment {name} could not be written to {segmentation}.").format(
                name=look.name, segmentation=segmentation.GetName()
            )
        )


def _shares_labelmap(data: Any, segment: Any) -> bool:
    """Whether another segment lies in the same labelmap; IsSharedBinaryLabelmap says the opposite (findings)."""
    image = segment.GetRepresentation(binary_labelmap())
    others = [data.GetNthSegment(n) for n in range(data.GetNumberOfSegments())]
    return image is not None and any(
        each is not segment and each.GetRepresentation(binary_labelmap()) is image for each in others
    )


def add_segment(segmentation: Any, look: SegmentLook, image: Any, *, without_surface: bool = False) -> None:
    """A new segment with a labelmap on the segmentation's grid; None for an empty one.

    Args:
        without_surface: it gets an empty one where others have any, and the caller makes it; else Slicer does so at once.

    Raises:
        SceneError: there is one of this id already.
    """
    segment = slicer.vtkSegment()
    segment.SetName(look.name)
    segment.SetColor(*(value / 255 for value in look.colour))
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(look.terminology))
    if image is not None:
        segment.AddRepresentation(binary_labelmap(), image)
    if without_surface and segmentation.GetSegmentation().ContainsRepresentation(closed_surface()):
        segment.AddRepresentation(closed_surface(), vtk.vtkPolyData())
    if not segmentation.GetSegmentation().AddSegment(segment, look.id):
        raise SceneError(
            _("Segment {name} could not be added to {segmentation}.").format(
                name=look.name, segmentation=segmentation.GetName()
            )
        )


def reference_grid(segmentation: Any) -> Any:
    """An image without voxels on the grid that the segmentation was made for; None where it names none."""
    text = segmentation.GetSegmentation().GetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    )
    image = slicer.vtkOrientedImageData()
    return image if slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False) else None


def binary_labelmap() -> str:
    """Name of the binary labelmap representation."""
    return str(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())


def closed_surface() -> str:
    """Name of the closed surface representation."""
    return str(slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName())


def labelmap_of(part: np.ndarray, start: Sequence[int], volume: Any) -> Any:
    """A labelmap of a box of voxels, in the volume's own frame."""
    return labelmap_on(part, start, matrix_of(volume))


def labelmap_on(part: np.ndarray, start: Sequence[int], ijk_to_ras: np.ndarray) -> Any:
    """A labelmap of a box of voxels on a grid; it touches no scene, so that any thread may make it."""
    image = slicer.vtkOrientedImageData()
    k, j, i = (int(value) for value in start)
    dk, dj, di = part.shape
    image.SetExtent(i, i + di - 1, j, j + dj - 1, k, k + dk - 1)
    values = np.ascontiguousarray(part, dtype=np.uint8).ravel()
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(values, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR))
    image.SetGeometryFromImageToWorldMatrix(vtk_matrix(ijk_to_ras))
    return image


def segment_time(segmentation: Any, segment_id: str) -> int:
    """When the voxels of a segment were last touched, by us or by the Segment Editor; 0 without voxels."""
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(binary_labelmap()) if segment is not None else None
    return int(image.GetMTime()) if image is not None else 0


def segment_mask(segmentation: Any, segment_id: str, shape: tuple[int, int, int]) -> np.ndarray:
    """The voxels of a segment (k, j, i) on the grid `shape` that our segmentations are made on.

    Raises:
        SceneError: the segment is gone, or was drawn on another grid.
    """
    mask = np.zeros(shape, bool)
    if segmentation.GetSegmentation().GetSegment(segment_id) is None:
        raise SceneError(
            _("The segment {segment_id} is no longer in {segmentation}.").format(
                segment_id=segment_id, segmentation=segmentation.GetName()
            )
        )
    image = slicer.vtkOrientedImageData()
    if not segmentation.GetBinaryLabelmapRepresentation(segment_id, image):
        return mask
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    if i1 < i0 or j1 < j0 or k1 < k0:
        return mask
    found = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    where = [
        slice(max(0, first), min(size, last + 1))
        for first, last, size in zip((k0, j0, i0), (k1, j1, i1), shape, strict=True)
    ]
    inside = tuple(slice(s.start - first, s.stop - first) for s, first in zip(where, (k0, j0, i0), strict=True))
    drawn = found > 0
    mask[tuple(where)] = drawn[inside]
    if np.count_nonzero(drawn[inside]) != np.count_nonzero(drawn):
        raise SceneError(
            _("The segment {segment_id} reaches beyond the volume; crop it to the volume first.").format(
                segment_id=segment_id
            )
        )
    return mask


def segment_counter(segmentation: Any, segment_id: str) -> Callable[[], int]:
    """Counts the voxels that a segment has now, where they are; what it returns may run in any thread."""
    voxels, value, _first = _labelmap(segmentation, segment_id)
    return lambda: int(np.count_nonzero(voxels == value))


def segment_reader(segmentation: Any, segment_id: str, shape: tuple[int, int, int]) -> Callable[[], np.ndarray]:
    """Gives the mask (k, j, i) of a segment that nobody draws in, what of it lies on the grid, in any thread."""
    voxels, value, first = _labelmap(segmentation, segment_id)

    def read() -> np.ndarray:
        mask = np.zeros(shape, bool)
        ends = [min(size, start + n) for size, start, n in zip(shape, first, voxels.shape, strict=True)]
        here = tuple(slice(max(0, start), end) for start, end in zip(first, ends, strict=True))
        there = tuple(slice(s.start - start, max(0, s.stop - start)) for s, start in zip(here, first, strict=True))
        mask[here] = voxels[there] == value
        return mask

    return read


def segment_slice(segmentation: Any, segment_id: str, shape: tuple[int, int, int], axis: int, index: int) -> np.ndarray:
    """The voxels of a segment in one slice of the grid that our segmentations are made on, whose other voxels are not looked at.

    Args:
        shape: (k, j, i) of the grid.
        axis: 0, 1 or 2, across the slice.
        index: of the slice.

    Returns:
        (k, j, i) bool with one voxel along `axis`.
    """
    voxels, value, first = _labelmap(segmentation, segment_id)
    asked = [slice(index, index + 1) if n == axis else slice(0, size) for n, size in enumerate(shape)]
    plane = np.zeros([side.stop - side.start for side in asked], bool)
    shared = [
        (max(side.start, start), min(side.stop, start + size))
        for side, start, size in zip(asked, first, voxels.shape, strict=True)
    ]
    if all(start < stop for start, stop in shared):
        there = tuple(slice(a - start, b - start) for (a, b), start in zip(shared, first, strict=True))
        here = tuple(slice(a - side.start, b - side.start) for (a, b), side in zip(shared, asked, strict=True))
        plane[here] = voxels[there] == value
    return plane


def _labelmap(segmentation: Any, segment_id: str) -> tuple[np.ndarray, int, tuple[int, int, int]]:
    """The labelmap (k, j, i) that a segment lies in, its value there, and the first voxel; no copy."""
    nothing = np.zeros((0, 0, 0), np.uint8), 1, (0, 0, 0)
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(binary_labelmap()) if segment is not None else None
    if image is None or (scalars := image.GetPointData().GetScalars()) is None:
        return nothing
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    if i1 < i0 or j1 < j0 or k1 < k0:
        return nothing
    voxels = numpy_support.vtk_to_numpy(scalars).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    return voxels, int(segment.GetLabelValue()), (k0, j0, i0)


def write_provenance(node: Any, provenance: Mapping[str, str]) -> None:
    """Keeps model, hash, level, threshold and version in the node, as attributes 'ClamSeg.<name>'."""
    for name, value in provenance.items():
        node.SetAttribute(f"ClamSeg.{name}", str(value))


def read_provenance(node: Any) -> dict[str, str]:
    """What `write_provenance` kept; empty for segmentations that are not ours."""
    names = [name for name in node.GetAttributeNames() if name.startswith("ClamSeg.")]
    return {name.removeprefix("ClamSeg."): node.GetAttribute(name) for name in names}
