"""Key slices of a review as PNG, for its report: the scan as it is windowed now, with what stands and its diameters drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ClamSegLib.imaging.volume import canonical
from ClamSegWorkflow.case.corrections import scan_of
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.table_view import size_of
from ClamSegWorkflow.scene.segments import segment_looks, segment_slice
from ClamSegWorkflow.words import tr as _

_PICTURES = 3
_SIDE_PX = 420
_LINE = (255, 255, 255)  # of the diameters
# Tag and letters at the left and the right edge of a slice as it is drawn: the patient's right on the left.
_SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}


@dataclass(frozen=True)
class KeyPicture:
    """A slice.

    Attributes:
        words: which slice and which lesions are in it.
        png: the file's bytes.
        left, right: sides of the patient, '' for a picture without a place in the patient.
    """

    words: str
    png: bytes
    left: str
    right: str


def key_pictures(result: Any) -> list[KeyPicture]:
    """The slices of the largest lesions that were not rejected, in their order in the body; the middle one where none stands.

    In them, the longest diameter of these lesions and the one across it are drawn.
    """
    return pictures_of(result)()


def pictures_of(result: Any) -> Callable[[], list[KeyPicture]]:
    """Takes the slices of `key_pictures` out of the scene, now; what it returns draws them, in any thread."""
    lesions = result.lesions
    if lesions is None:
        return list
    scan = scan_of(result)
    volume, orientation = canonical(scan, lesions.plane)
    standing = [row for row in lesions.rows() if row.decision is not Decision.REJECTED]
    largest = list(_largest(standing))
    shown = sorted(_slice_of(row) for row in largest) or [volume.array.shape[0] // 2]
    measured: dict[int, list[Any]] = {k: [] for k in shown}
    for row in largest:
        if row.diameter_slice is not None:
            measured[row.diameter_slice].append(lesions.lesion_mask(row.number))
    across, shape = orientation.permutation[0], result.record.shape

    def masks(k: int) -> list[tuple[tuple[int, int, int], np.ndarray]]:
        index = shape[across] - 1 - k if orientation.flips[0] else k
        return [
            (look.colour, orientation.apply(segment_slice(result.segmentation, look.id, shape, across, index))[0])
            for look in segment_looks(result.segmentation)
        ]

    window, pixel_mm = _window(result.volume), volume.pixel_mm if volume.spacing_known else None
    left, right = ("", "") if lesions.is_picture else _SIDES[lesions.plane]
    slices = [(k, np.array(volume.array[k]), masks(k), _words(k, lesions.n_slices, standing)) for k in shown]

    def draw() -> list[KeyPicture]:
        pictures = []
        for k, values, outlines, words in slices:
            lines = [line for part in measured[k] for line in _diameters(part, k, orientation, shape, pixel_mm)]
            pictures.append(KeyPicture(words, _png(_drawn(values, window, pixel_mm, outlines, lines)), left, right))
        return pictures

    return draw


def _slice_of(row: LesionRow) -> int:
    """The slice in which a lesion is longest, or of its strongest voxel where nothing is measured."""
    return row.peak_index[0] if row.diameter_slice is None else row.diameter_slice


def _largest(standing: list[LesionRow]) -> Iterator[LesionRow]:
    """The largest lesions, of each slice the largest one."""
    seen: list[int] = []
    for row in sorted(standing, key=size_of, reverse=True):
        if _slice_of(row) not in seen and len(seen) < _PICTURES:
            seen.append(_slice_of(row))
            yield row


def _diameters(
    part: tuple[np.ndarray, tuple[int, int, int]], k: int, orientation: Any, shape: tuple[int, ...], pixel_mm: Any
) -> list[Any]:
    """Both lines of a lesion in canonical slice k, ends as (row, column).

    Args:
        part: its mask over a box of the own frame, and the first voxel of the box.
    """
    from ClamSegLib.segmentation.diameters import diameters_of

    mask, start = part
    across = orientation.permutation[0]
    own = (shape[across] - 1 - k if orientation.flips[0] else k) - start[across]
    flat = [side for axis, side in enumerate(shape) if axis != across]
    plane = np.zeros(flat, bool)
    where = [(s, n) for axis, (s, n) in enumerate(zip(start, mask.shape, strict=True)) if axis != across]
    plane[tuple(slice(s, s + n) for s, n in where)] = mask.take(own, across)
    found = diameters_of(orientation.apply(np.expand_dims(plane, across)), pixel_mm)
    return [] if found is None else [found.longest, found.perpendicular]


def _words(k: int, n_slices: int, standing: list[LesionRow]) -> str:
    numbers = [str(row.number) for row in standing if row.first_slice <= k <= row.last_slice]
    words = _("Slice {n} of {all}").format(n=k + 1, all=n_slices)
    if not numbers:
        return words
    more = "..." if len(numbers) > 6 else ""
    return _("{words}, lesion {numbers}").format(words=words, numbers=", ".join(numbers[:6]) + more)


def _window(volume: Any) -> tuple[float, float]:
    """Centre and width of the views, (0, 0) where there is none."""
    display = volume.GetDisplayNode()
    return (display.GetLevel(), display.GetWindow()) if display is not None else (0.0, 0.0)


def _drawn(
    values: np.ndarray,
    window: tuple[float, float],
    pixel_mm: tuple[float, float] | None,
    masks: list[tuple[tuple[int, int, int], np.ndarray]],
    lines: list[Any],
) -> np.ndarray:
    """(row, column, 3) uint8 with square pixels, at the window of the views."""
    from scipy import ndimage

    (centre, width), values = window, values.astype(np.float32)
    if width <= 0:
        centre, width = float(values.mean()), float(np.ptp(values)) or 1.0
    rows, columns = values.shape
    row_mm, column_mm = pixel_mm or (1.0, 1.0)
    scale = _SIDE_PX / max(rows * row_mm, columns * column_mm)
    zoom = (scale * row_mm, scale * column_mm)
    grey = ndimage.zoom(values, zoom, order=1, grid_mode=True, mode="nearest")
    grey = np.clip((grey - centre) / width + 0.5, 0, 1)
    picture = np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=2)
    for colour, mask in masks:
        if not mask.any() or mask.all():
            continue
        large = ndimage.zoom(mask.astype(np.uint8), zoom, order=0, grid_mode=True, mode="nearest") > 0
        picture[large & ~ndimage.binary_erosion(large)] = colour
    for one, other in lines:
        ends = [((r + 0.5) * zoom[0] - 0.5, (c + 0.5) * zoom[1] - 0.5) for r, c in (one, other)]
        steps = 2 * round(max(abs(ends[0][n] - ends[1][n]) for n in (0, 1))) + 1
        places = np.linspace(ends[0], ends[1], steps).round().astype(int).clip(0, np.array(picture.shape[:2]) - 1)
        picture[places[:, 0], places[:, 1]] = _LINE
    return picture


def _png(picture: np.ndarray) -> bytes:
    rows, columns, _channels = picture.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    upwards = np.ascontiguousarray(picture[::-1]).reshape(-1, 3)  # VTK counts rows from the bottom
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(upwards, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return bytes(numpy_support.vtk_to_numpy(writer.GetResult()).tobytes())
