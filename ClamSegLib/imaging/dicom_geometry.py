"""Where the planes of a DICOM stack lie in the patient: one check for slices in files of their own and for frames.

What is not one straight stack of equal planes is refused; a slice that is missing keeps its place, and is named; nothing is
sheared or turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.dicom_series import frame_count, numbers
from ClamSegLib.imaging.stack_steps import StackSteps, steps_of
from ClamSegLib.system.errors import InputError

Floats = NDArray[np.float64]

# A stack may drift in plane by a pixel or this much (rounded positions), and still stands straight.
_DRIFT_MM = 1.0
# A step that is longer than so many usual ones, and no multiple of them, leads to another stack.
_FARTHEST_STEPS = 10
# Cosine of the angle by which the planes of a stack may differ (about 0.8 degrees: rounded directions).
_SAME_DIRECTION = 0.9999
# Numbers beyond this belong to damaged headers, and lead out of the range of values.
_LARGEST_RESCALE = 1e9


@dataclass(frozen=True)
class Plane:
    """One slice or frame.

    Attributes:
        file, frame: where its pixels are.
        shape: rows, columns.
        position: LPS mm of its first pixel, None where the header does not tell.
        orientation: (2, 3) LPS directions along a row and along a column, None where the header does not tell.
        pixel_mm: distance of rows, of columns; None where the header does not tell.
        thickness_mm: as the header says, for a plane that stands alone.
        slope, intercept: stored value -> value of the modality.
        acquisition: its number, None where the header does not tell.
    """

    file: Path
    frame: int
    shape: tuple[int, int]
    position: Floats | None
    orientation: Floats | None
    pixel_mm: tuple[float, float] | None
    thickness_mm: float
    slope: float = 1.0
    intercept: float = 0.0
    acquisition: int | None = None


@dataclass(frozen=True)
class StackGeometry:
    """Planes in order, and the grid they make (x, y, z; as in Volume).

    Attributes:
        places: slice of the grid that each plane is.
        missing: slices of the grid that no plane is.
        doubt: what is doubtful about places along the stack, '' where nothing is.
    """

    planes: tuple[Plane, ...]
    spacing_mm: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    places: tuple[int, ...]
    missing: tuple[int, ...] = ()
    doubt: str = ""


def planes_of(path: Path, header: Any) -> list[Plane]:
    """The planes of a file: one, or those of an enhanced multi-frame image.

    Raises:
        InputError: several frames without a place of their own, or damaged numbers.
    """
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        if frame_count(header) > 1:
            raise InputError(
                f"{path} is a multi-frame image without positions of its frames; export it as single slices."
            )
        return [_plane(path, 0, header, header, header, header, header)]
    if len(frames) != frame_count(header):
        raise InputError(f"{path} has {frame_count(header)} frames but tells of {len(frames)}; export it again.")
    shared: Any = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), {})

    def group(frame: Any, name: str) -> Any:
        found = frame.get(name) or shared.get(name)
        return found[0] if found else {}

    return [
        _plane(
            path, k, header, group(frame, "PlanePositionSequence"), group(frame, "PlaneOrientationSequence"),
            group(frame, "PixelMeasuresSequence"), group(frame, "PixelValueTransformationSequence"),
        )
        for k, frame in enumerate(frames)
    ]  # fmt: skip


def _plane(path: Path, frame: int, header: Any, place: Any, turn: Any, measures: Any, values: Any) -> Plane:
    shape = (int(header.get("Rows") or 0), int(header.get("Columns") or 0))
    position = numbers(place, "ImagePositionPatient", path, 3)
    spacing = numbers(measures, "PixelSpacing", path, 2)
    thickness = numbers(measures, "SpacingBetweenSlices", path, 1) or numbers(measures, "SliceThickness", path, 1)
    slope, intercept = rescale_of(values, path)
    return Plane(
        path, frame, shape, None if position is None else np.asarray(position), _orientation(turn, path),
        None if spacing is None else positive_mm(path, spacing), abs(thickness[0]) if thickness else 1.0, slope, intercept,
        _acquisition(header),
    )  # fmt: skip


def _acquisition(header: Any) -> int | None:
    try:
        return int(header.get("AcquisitionNumber"))
    except (TypeError, ValueError):
        return None


def rescale_of(header: Any, path: Path) -> tuple[float, float]:
    """Slope and intercept; a slope of 0, which would erase the image, counts as 1.

    Where the header has a Modality LUT Sequence, `dicom_pixels.modality_values` goes by that.
    """
    slope, intercept = (numbers(header, name, path, 1) for name in ("RescaleSlope", "RescaleIntercept"))
    for name, found in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if found and abs(found[0]) > _LARGEST_RESCALE:
            raise InputError(
                f"{path} has the {name} {found[0]:.6g}; at most {_LARGEST_RESCALE:.0e} is allowed. Export it again."
            )
    return (slope[0] if slope else 0.0) or 1.0, intercept[0] if intercept else 0.0


def positive_mm(path: Path, spacing: Sequence[float]) -> tuple[float, float]:
    """Row and column distance; raises InputError when they cannot be."""
    if not all(0 < v <= 1000 for v in spacing):
        raise InputError(f"{path} has the pixel spacing {list(spacing)} mm; each must be above 0 and at most 1000 mm.")
    return spacing[0], spacing[1]


def _orientation(turn: Any, path: Path) -> Floats | None:
    """Directions of row and column, of length 1 and at right angles."""
    values = numbers(turn, "ImageOrientationPatient", path, 6)
    if values is None:
        return None
    row, column = np.asarray(values[:3]), np.asarray(values[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(float(np.dot(row, column))) > 0.01:
        raise InputError(f"{path} has the orientation {values}, which is no direction in the patient; export it again.")
    row = row / lengths[0]
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    return np.stack([row, np.cross(normal, row)])


def stack_geometry(planes: Sequence[Plane], where: Path, notes: list[str]) -> StackGeometry:
    """Sorts the planes along their normal and says what grid they make.

    Args:
        planes: at least one, with an orientation.
        where: file or folder for the messages.
        notes: unevenly spaced planes are named here.

    Raises:
        InputError: planes of different size, direction or spacing, without or with the same position, or a stack
            that is shifted in plane from slice to slice (gantry tilt).
    """
    first = _usual(planes)
    if first.orientation is None:
        raise InputError(f"{first.file} has no orientation in the patient; export the series again.")
    for plane in planes:
        _check_alike(plane, first)
    normal = np.cross(first.orientation[0], first.orientation[1])
    pixel_mm = first.pixel_mm or (1.0, 1.0)
    if len(planes) == 1:
        order, steps = [0], StackSteps(first.thickness_mm or 1.0, (0,))
        positions = np.zeros((1, 3)) if first.position is None else first.position[np.newaxis]
    else:
        known = [plane.position for plane in planes if plane.position is not None]
        if len(known) < len(planes):
            raise InputError(f"{where} has slices without a position in the patient; export the series again.")
        positions = np.stack(known)
        order = np.argsort(positions @ normal, kind="stable").tolist()
        positions = positions[order]
        steps = _steps(positions @ normal, where, [planes[k] for k in order], notes)
        _check_straight(positions, normal, max(_DRIFT_MM, *pixel_mm), where)
        notes += _interleaved([planes[k] for k in order])
    direction = np.stack([first.orientation[0], first.orientation[1], normal], axis=1)
    x, y, z = (float(v) for v in positions[0])
    off = steps.farthest_mm
    return StackGeometry(
        tuple(planes[k] for k in order), (pixel_mm[1], pixel_mm[0], steps.distance_mm), (x, y, z),
        tuple(float(v) for v in direction.ravel()), steps.places, steps.missing,
        f"slices are unevenly spaced, places along the stack are off by up to {off:.3g} mm" if off else "",
    )  # fmt: skip


def _usual(planes: Sequence[Plane]) -> Plane:
    """A plane of the size and direction that most have, so that the message names the odd one."""

    def kind(plane: Plane) -> tuple[tuple[int, int], tuple[float, ...]]:
        return plane.shape, () if plane.orientation is None else tuple(plane.orientation.round(1).ravel().tolist())

    kinds = [kind(plane) for plane in planes]
    return planes[kinds.index(max(kinds, key=kinds.count))]


def _check_alike(plane: Plane, first: Plane) -> None:
    if plane.orientation is None or first.orientation is None:
        turned = True
    else:
        turned = bool(((plane.orientation * first.orientation).sum(axis=1) < _SAME_DIRECTION).any())
    if turned or plane.shape != first.shape:
        raise InputError(
            f"{plane.file.name} has another size or orientation than the rest of its series (a localiser?); "
            "move such files away, or choose another series."
        )
    if not np.allclose(plane.pixel_mm or (0, 0), first.pixel_mm or (0, 0), rtol=1e-3):
        raise InputError(
            f"{plane.file.name} has the pixel spacing {plane.pixel_mm} mm, the rest of its series {first.pixel_mm}; "
            "export a series with one spacing."
        )


def _steps(along: Floats, where: Path, planes: Sequence[Plane], notes: list[str]) -> StackSteps:
    """The grid that the slices lie on; gaps and uneven steps are named, equal positions refused.

    Args:
        along: positions along the normal in mm, rising.
        planes: in the same order.
    """
    steps = np.diff(along)
    if steps.min() < 1e-3:
        first, second = (planes[int(steps.argmin()) + k] for k in (0, 1))
        which = f"{first.file.name} and {second.file.name}" if first.file != second.file else first.file.name
        raise InputError(
            f"{where} holds several slices at the same position, e.g. {which} (time points or echoes in one series, or "
            "copies); keep one of each."
        )
    found = steps_of(along)
    if found.farthest_mm and steps.max() > _FARTHEST_STEPS * float(np.median(steps)):
        between = _between(planes[int(steps.argmax())], planes[int(steps.argmax()) + 1])
        raise InputError(
            f"{where} is no single stack: there are {steps.max():.4g} mm {between}, where {np.median(steps):.3g} mm are usual. "
            "Keep the files of one stack, or export the series again."
        )
    if found.farthest_mm:
        notes.append(
            f"Slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm): some may be missing; volumes in ml and "
            f"positions along the stack are approximate, those by up to {found.farthest_mm:.3g} mm."
        )
    gaps = [k for k, step in enumerate(np.diff(found.places)) if step > 1]
    if gaps:
        listed = ", ".join(f"{np.diff(found.places)[k] - 1} {_between(planes[k], planes[k + 1])}" for k in gaps[:3])
        more = f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
        notes.append(
            f"{len(found.missing)} of {found.places[-1] + 1} slices of the series {'are' if len(found.missing) > 1 else 'is'} missing: {listed}{more}. Their places stay "
            "empty, and nothing is looked for there. Copy or export the series again."
        )
    return found


def _between(first: Plane, second: Plane) -> str:
    if first.file == second.file:
        return f"between frames {first.frame + 1} and {second.frame + 1} of {first.file.name}"
    return f"between {first.file.name} and {second.file.name}"


def _interleaved(planes: Sequence[Plane]) -> list[str]:
    """Says when slices of several acquisitions lie between each other: two scans of one series, or one taken in turns.

    Args:
        planes: in the order of their positions.
    """
    numbers_in_order = [plane.acquisition for plane in planes if plane.acquisition is not None]
    found = sorted(set(numbers_in_order))
    # One acquisition after the other, or a number for each slice, is how one scan is told.
    changes = sum(a != b for a, b in pairwise(numbers_in_order))
    if not 2 <= len(found) <= len(planes) // 2 or changes <= len(found) - 1:
        return []
    listed = ", ".join(f"number {number} with {numbers_in_order.count(number)} slices" for number in found[:4])
    return [
        f"The series holds {len(found)} acquisitions whose slices lie between each other ({listed}); they are read as one "
        "stack. If they are scans of their own (another phase, a repetition), export one of them and read that."
    ]


def _check_straight(positions: Floats, normal: Floats, allowed_mm: float, where: Path) -> None:
    shift = positions - positions[0]
    drift = float(np.linalg.norm(shift - np.outer(shift @ normal, normal), axis=1).max())
    if drift > allowed_mm:
        raise InputError(
            f"{where} is a tilted (sheared) stack, shifted by {drift:.1f} mm in plane; "
            "load it in Slicer, which straightens such a series, and export it."
        )
