"""What a reader drew into the segment of the undecided lesions, told apart lesion by lesion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ClamSegLib.imaging.volume import box_of
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.map_parts import Box


@dataclass(frozen=True)
class FoundLesion:
    """An undecided lesion as the map gives it: its voxels over a canonical box of the whole volume."""

    number: int
    box: Box
    mask: np.ndarray
    peak_index: tuple[int, int, int]


@dataclass(frozen=True)
class DrawnLesion:
    """A lesion that differs from what the map gives.

    Attributes:
        found: what it was before; None for one the reader added.
        decision: EDITED, REJECTED (erased) or ADDED.
        box, mask: its voxels now; those before where it was erased.
        peak_index: strongest voxel, the first one of an added lesion.
    """

    found: FoundLesion | None
    decision: Decision
    box: Box
    mask: np.ndarray
    peak_index: tuple[int, int, int]


def drawn_lesions(mask: np.ndarray, found: Iterable[FoundLesion]) -> Iterator[DrawnLesion]:
    """Every lesion that the drawing changed, erased or added; those left as they were are not named.

    Args:
        mask: canonical bool (slice, row, column), the whole segment as it is now.
        found: lesions of this segment before the drawing.
    """
    from scipy import ndimage

    parts, count = ndimage.label(mask, np.ones((3, 3, 3), bool))
    boxes = dict(enumerate(ndimage.find_objects(parts, count), 1))
    claimed: set[int] = set()
    for lesion in found:
        under = set(np.unique(parts[lesion.box][lesion.mask]).tolist()) - {0}
        if len(under) == 1 and _is_same(parts, boxes[next(iter(under))], next(iter(under)), lesion):
            claimed |= under
        elif under - claimed:
            yield _drawn(parts, under - claimed, lesion, Decision.EDITED)
            claimed |= under
        else:
            yield DrawnLesion(lesion, Decision.REJECTED, lesion.box, lesion.mask, lesion.peak_index)
    for new in sorted(set(boxes) - claimed):
        yield _drawn(parts, {new}, None, Decision.ADDED)


def _is_same(parts: np.ndarray, box: Box, part: int, lesion: FoundLesion) -> bool:
    """Whether a drawn part has exactly the voxels of a lesion."""
    return np.array_equal(parts[lesion.box] == part, lesion.mask) and int(np.count_nonzero(parts[box] == part)) == int(
        np.count_nonzero(lesion.mask)
    )


def _drawn(parts: np.ndarray, which: set[int], found: FoundLesion | None, decision: Decision) -> DrawnLesion:
    mask = np.isin(parts, list(which))
    box = box_of(mask)
    assert box is not None  # a part that was found has voxels
    part = np.array(mask[box])
    if found is not None:
        return DrawnLesion(found, decision, box, part, found.peak_index)
    first = np.argwhere(part)[0]
    s, r, c = (int(value) + side.start for value, side in zip(first, box, strict=True))
    return DrawnLesion(None, decision, box, part, (s, r, c))
