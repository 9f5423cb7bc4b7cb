"""The lesions of a map at a threshold, found only where there are any: a reader who moves a threshold waits for them.

The highest value of each block of voxels is known from the start. Voxels above a threshold that touch each other lie in blocks
above it that touch each other, so only the boxes of such groups of blocks are looked at, and what is found there is what
`ClamSegLib.segmentation.lesions.lesion_mask` finds in the whole map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np

from ClamSegLib.imaging.volume import box_of
from ClamSegLib.segmentation.lesions import above_threshold

Box = tuple[slice, ...]  # one slice each for slice, row and column
_BLOCK = 8  # voxels along each side
_KEPT = 4  # thresholds whose lesions are remembered: undo goes back to one of them
_TOUCHING = np.ones((3, 3, 3), bool)


class MapPart:
    """Voxels of one condition that touch each other.

    Attributes:
        box: in the map.
        mask: bool over it.
        condition: from 1.
        size: in voxels.
    """

    def __init__(self, box: Box, mask: np.ndarray, condition: int, values: np.ndarray) -> None:
        self.box, self.mask, self.condition = box, mask, condition
        self.size = int(np.count_nonzero(mask))
        self._values = values

    @cached_property
    def first(self) -> tuple[int, ...]:
        """Its first voxel in the map, slice by slice and row by row."""
        return self._at(int(self.mask.argmax()))

    @cached_property
    def peak(self) -> tuple[int, ...]:
        """Its strongest voxel in the map, the first of equals."""
        return self._at(int(np.where(self.mask, self._values[self.box], 0).argmax()))

    @property
    def highest(self) -> int:
        """The value of the strongest voxel."""
        return int(self._values[self.peak])

    def overlap(self, box: Box, mask: np.ndarray) -> tuple[Box, Box] | None:
        """Where a mask over another box of the map and this part's own have voxels in common, in this box and in that one."""
        shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self.box, box, strict=True)]
        if any(start >= stop for start, stop in shared):
            return None
        here, there = (
            tuple(
                slice(start - side.start, stop - side.start) for (start, stop), side in zip(shared, sides, strict=True)
            )
            for sides in (self.box, box)
        )
        return (here, there) if (self.mask[here] & mask[there]).any() else None

    def without(self, regions: Iterable[tuple[Box, np.ndarray]]) -> list[MapPart]:
        """What is left of it, [itself] where none of the masks over boxes of the map has a voxel of it."""
        left = self.mask
        for box, mask in regions:
            common = self.overlap(box, mask)
            if common is not None:
                left = left.copy() if left is self.mask else left
                left[common[0]] &= ~mask[common[1]]
        if left is self.mask:
            return [self]
        return list(_parts(left, self.box, self.condition, self._values)) if left.any() else []

    def _at(self, index: int) -> tuple[int, ...]:
        inside = np.unravel_index(index, self.mask.shape)
        return tuple(int(n) + side.start for n, side in zip(inside, self.box, strict=True))


class MapParts:
    """Finds the lesions of a map.

    Args:
        values: (slice, row, column) uint8, steps of 1/255.
        which: number of the strongest condition of each voxel from 1; None where there is only one.
    """

    def __init__(self, values: np.ndarray, which: np.ndarray | None) -> None:
        self._values, self._which = values, which
        highest = values
        for axis, size in enumerate(values.shape):
            highest = np.maximum.reduceat(highest, np.arange(0, size, _BLOCK), axis=axis)
        self._highest = highest
        self._found: dict[int, list[MapPart]] = {}

    def at(self, threshold: float) -> list[MapPart]:
        """All lesions at a threshold, the largest first, in the order in which `lesion_mask` numbers them."""
        found = self.peek(threshold)
        self.know(threshold, found)
        return found

    def peek(self, threshold: float) -> list[MapPart]:
        """The same, and nothing is remembered of it: any thread may ask."""
        found = self._found.get(_key(threshold))
        return ordered(self._look(threshold)) if found is None else found

    def know(self, threshold: float, parts: list[MapPart]) -> None:
        """Remembers the lesions of a threshold."""
        self._found.pop(_key(threshold), None)
        self._found[_key(threshold)] = parts
        for old in list(self._found)[:-_KEPT]:
            del self._found[old]

    def split(self, components: np.ndarray, conditions: Sequence[int]) -> list[MapPart]:
        """Lesions that were found elsewhere.

        Args:
            components: lesion numbers from 1 over the map.
            conditions: of each lesion, from 1.
        """
        if not len(conditions):
            return []  # nothing is looked for in a large scan without any
        from scipy import ndimage

        return [
            MapPart(box, components[box] == number, condition, self._values)
            for number, (box, condition) in enumerate(zip(ndimage.find_objects(components), conditions, strict=True), 1)
        ]

    def _look(self, threshold: float) -> Iterator[MapPart]:
        from scipy import ndimage

        groups, _count = ndimage.label(above_threshold(self._highest, threshold), _TOUCHING)
        for group, blocks in enumerate(ndimage.find_objects(groups), 1):
            box = tuple(
                slice(side.start * _BLOCK, min(side.stop * _BLOCK, size))
                for side, size in zip(blocks, self._values.shape, strict=True)
            )
            above = above_threshold(self._values[box], threshold)
            inside = box_of(above)
            assert inside is not None  # its blocks are above
            box, above = shifted(inside, box), above[inside]
            which = None if self._which is None else self._which[box]
            for condition in (1,) if which is None else np.unique(which[above]).tolist():
                own = above if which is None else above & (which == condition)
                for part in _parts(own, box, condition, self._values):
                    # A box may hold blocks of another group.
                    if groups[tuple(n // _BLOCK for n in part.first)] == group:
                        yield part


def _parts(mask: np.ndarray, box: Box, condition: int, values: np.ndarray) -> Iterator[MapPart]:
    """What hangs together in a mask over a box of the map."""
    from scipy import ndimage

    found, _count = ndimage.label(mask, _TOUCHING)
    for number, inside in enumerate(ndimage.find_objects(found), 1):
        yield MapPart(shifted(inside, box), found[inside] == number, condition, values)


def ordered(parts: Iterable[MapPart]) -> list[MapPart]:
    """The largest first, in the order in which `lesion_mask` numbers them."""
    return sorted(parts, key=lambda part: (part.size, part.condition, part.first), reverse=True)


def shifted(box: Box, by: Box) -> Box:
    """A box inside the box `by`, counted from where that one is counted."""
    return tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(box, by, strict=True))


def _key(threshold: float) -> int:
    """Thresholds between the same two values of the map find the same."""
    return int(np.floor(threshold * 255))
