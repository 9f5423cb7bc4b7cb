"""The longest diameter of a lesion in a slice and the longest one across it, as radiologists measure (RECIST, WHO).

Distances are between corners of pixels, so that a lesion of one pixel has a diameter. Both may span a notch of the outline,
as a ruler laid over the slice does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Line = tuple[Point, Point]
_AT_ONCE = 256  # places along the longest diameter at which the width is measured together


@dataclass(frozen=True)
class Diameters:
    """Two lines at right angles in one slice.

    Attributes:
        slice_index: counted in the mask.
        longest_mm: length of `longest`.
        perpendicular_mm: length of `perpendicular`.
        longest: two ends (row, column); whole numbers are centres of pixels.
        perpendicular: likewise; the longest line across `longest` at a right angle in mm.
    """

    slice_index: int
    longest_mm: float
    perpendicular_mm: float
    longest: Line
    perpendicular: Line


def diameters_of(part: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> Diameters | None:
    """The diameters of a lesion in the slice in which it is longest; None of an empty mask.

    Args:
        part: (slice, row, column).
        pixel_mm: distance between rows, between columns.
    """
    (top, bottom), (left, right) = (_sides(np.asarray(part.any(axis=axis))) for axis in (2, 1))
    # No two points are farther apart than the corners of their box: the largest boxes first, the rest is left out.
    diagonals = np.hypot((bottom - top) * pixel_mm[0], (right - left) * pixel_mm[1])
    longest, where, line = 0.0, -1, ((0.0, 0.0), (0.0, 0.0))
    for k in np.argsort(diagonals, kind="stable")[::-1]:
        if bottom[k] == 0 or diagonals[k] < longest * (1 - 1e-9):
            break
        length, ends = _longest(part[k], slice(int(top[k]), int(bottom[k])), pixel_mm)
        if length > longest * (1 + 1e-9):
            longest, where, line = length, int(k), ends
    if where < 0:
        return None
    width, across = _across(part[where], line, pixel_mm)
    return Diameters(where, longest, width, line, across)


def _longest(plane: NDArray[np.bool_], rows: slice, pixel_mm: tuple[float, float]) -> tuple[float, Line]:
    """Largest distance in mm of two corners of the pixels of a slice that fills `rows`, and those corners."""
    shows = plane[rows].any(axis=1)
    first = np.where(shows, plane[rows].argmax(axis=1), np.inf)
    beyond = np.where(shows, plane.shape[1] - plane[rows, ::-1].argmax(axis=1), -np.inf)
    # Along every line between two rows the outermost corners, and of those always a left and a right one: of two left
    # ones, the right end beside the one farther right is at least as far from the other.
    left = np.minimum(np.append(first, np.inf), np.append(np.inf, first))
    right = np.maximum(np.append(beyond, -np.inf), np.append(-np.inf, beyond))
    lines = np.flatnonzero(np.isfinite(left))
    y = (lines + rows.start) * pixel_mm[0]
    across = right[lines] * pixel_mm[1] - (left[lines] * pixel_mm[1])[:, None]
    squares = (y - y[:, None]) ** 2 + across**2
    a, b = np.unravel_index(int(squares.argmax()), squares.shape)
    ends = ((y[a] / pixel_mm[0], left[lines[a]]), (y[b] / pixel_mm[0], right[lines[b]]))
    return math.sqrt(float(squares[a, b])), (_centred(*ends[0]), _centred(*ends[1]))


def _centred(row: float, column: float) -> Point:
    """A corner, counted from the corner of the slice, counted from the centre of its first pixel."""
    return float(row) - 0.5, float(column) - 0.5


def _across(plane: NDArray[np.bool_], line: Line, pixel_mm: tuple[float, float]) -> tuple[float, Line]:
    """The longest distance in mm of two points of the border at right angles to a line, and these points."""
    mm = np.asarray(pixel_mm)
    start = (np.asarray(line[0]) + 0.5) * mm
    along = (np.asarray(line[1]) + 0.5) * mm - start
    along /= np.linalg.norm(along)
    aside = np.array([-along[1], along[0]])
    ends = _border(plane) * mm - start  # (edge, end, row and column)
    u, v = ends @ along, ends @ aside
    low, high = u.min(axis=1), u.max(axis=1)
    run = u[:, 1] - u[:, 0]
    is_level = np.abs(run) < 1e-9  # an edge across the line: both of its ends count
    slope = np.where(is_level, 0.0, (v[:, 1] - v[:, 0]) / np.where(is_level, 1.0, run))
    best, place, span = -1.0, 0.0, (0.0, 0.0)
    # The width is linear between corners, so it is largest at one.
    corners = np.unique(np.round(u, 9))
    for n in range(0, len(corners), _AT_ONCE):
        at = corners[n : n + _AT_ONCE, None]
        meets = (low - 1e-9 <= at) & (at <= high + 1e-9)
        met = v[:, 0] + slope * (at - u[:, 0])
        lowest = np.where(meets, np.where(is_level, v.min(axis=1), met), np.inf).min(axis=1)
        highest = np.where(meets, np.where(is_level, v.max(axis=1), met), -np.inf).max(axis=1)
        widest = int((highest - lowest).argmax())
        if highest[widest] - lowest[widest] > best + 1e-9:
            best = float(highest[widest] - lowest[widest])
            place, span = float(at[widest, 0]), (float(lowest[widest]), float(highest[widest]))
    points = [(start + place * along + side * aside) / mm for side in span]
    return best, (_centred(*points[0]), _centred(*points[1]))


def _border(plane: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Edges between pixels of a mask and others: (edge, end, row and column), counted from the corner of the slice."""
    padded = np.pad(plane, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])  # edges along a row, above (row, column)
    level = np.stack([np.stack([rows, columns], 1), np.stack([rows, columns + 1], 1)], 1)
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = np.stack([np.stack([rows, columns], 1), np.stack([rows + 1, columns], 1)], 1)
    return np.concatenate([level, upright]).astype(float)


def _sides(shows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and one beyond the last true value of each line; 0 and 0 of one without."""
    first = shows.argmax(axis=1)
    beyond = np.where(shows.any(axis=1), shows.shape[1] - shows[:, ::-1].argmax(axis=1), 0)
    return first, beyond
