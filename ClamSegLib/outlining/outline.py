"""Clicks to the outline of one lesion: the first click grows it, further ones widen it, add to it or take parts away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ClamSegLib.imaging.volume import Array
from ClamSegLib.outlining.growth import (
    Bools,
    Box,
    Surroundings,
    component_at,
    cut_at_necks,
    filled_in_slices,
    most_of_region,
    part_of_seeds,
    region_of,
    surroundings_of,
    usual_share,
)
from ClamSegLib.outlining.tissue import Index, Tissue
from ClamSegLib.system.errors import InputError

WIDEST = 8  # steps of wider and tighter
_STEP = 0.92  # of the share, per step
# A click just outside lowers the share until the region reaches it, one that takes away raises it until it is left out,
# as long as the region stays much the same.
_WIDER, _MOST_GROWTH = (0.9, 0.8, 0.7, 0.6, 0.5), 1.6
_TIGHTER, _LEAST_LEFT = (1.1, 1.2, 1.35, 1.5, 1.7), 0.6
_REACH, _LEAST_REACH_PX = 2.0, 2.0  # of a joining region: so many times its click's way to what is there


@dataclass(frozen=True)
class Click:
    """A click on a voxel (slice, row, column) of the scan.

    Attributes:
        adds: or takes away what lies there.
    """

    point: Index
    adds: bool = True


@dataclass(frozen=True)
class Outline:
    """A proposed lesion.

    Attributes:
        box: its place in the scan.
        mask: (slice, row, column) bool in the box.
    """

    box: Box
    mask: Bools

    def whole(self, shape: tuple[int, ...]) -> Bools:
        """The mask in the whole scan."""
        full = np.zeros(shape, bool)
        full[self.box] = self.mask
        return full


class Outlines:
    """The lesion that some clicks mean together, as tight or wide as is asked; what was asked before is kept.

    A wider step holds the step before, a tighter one lies inside it.

    Args:
        clicks: in their order; the first one adds.

    Raises:
        InputError: a click that adds outside the scan or the organ, or no click that adds.
    """

    def __init__(self, tissue: Tissue, clicks: Sequence[Click]) -> None:
        if not clicks or not clicks[0].adds:
            raise InputError("The first click must add; click on the lesion.")
        for click in clicks:
            if click.adds and not tissue.is_inside(click.point):
                raise InputError("The click lies outside the organ, where no lesion is looked for; click inside it.")
        self.clicks = tuple(clicks)
        self._tissue = tissue
        self._around = surroundings_of(tissue, clicks[0].point)
        self._kept: dict[int, Outline] = {}

    def at(self, width: int) -> Outline:
        """The outline, so many steps wider (above 0) or tighter (below), -8..8.

        Raises:
            InputError: another width.
        """
        if not -WIDEST <= width <= WIDEST:
            raise InputError(f"width {width} is no step from {-WIDEST} to {WIDEST}.")
        # A wider share may run into a side of its box and be cut at a neck there: only all steps together are sure to grow.
        for step in range(width + 1) if width >= 0 else range(0, width - 1, -1):
            if step not in self._kept:
                found = self._with_share(usual_share(self._tissue) * _STEP**step)
                if step:
                    found = _combined(self._kept[step - 1 if step > 0 else step + 1], found, grows=step > 0)
                self._kept[step] = found
        return self._kept[width]

    def _with_share(self, share: float) -> Outline:
        region = _Region(self._tissue, self._around, share)
        for click in self.clicks[1:]:
            if click.adds:
                region.add(click.point)
            else:
                region.take_away(click.point, [other.point for other in self.clicks if other.adds])
        return Outline(region.box, region.mask)


def outline(tissue: Tissue, clicks: Sequence[Click], width: int = 0) -> Outline:
    """The lesion that the clicks mean together; arguments and errors are those of `Outlines`."""
    return Outlines(tissue, clicks).at(width)


def _combined(one: Outline, other: Outline, *, grows: bool) -> Outline:
    """What lies in either outline, or in both."""
    box = _box_of_both(one.box, other.box)
    masks = [np.zeros([side.stop - side.start for side in box], bool) for _ in range(2)]
    for mask, each in zip(masks, (one, other), strict=True):
        mask[_inside(each.box, box)] = each.mask
    return Outline(box, masks[0] | masks[1] if grows else masks[0] & masks[1])


class _Region:
    """The outline while the clicks are taken one after the other."""

    def __init__(self, tissue: Tissue, around: Surroundings, share: float) -> None:
        self._tissue, self._share, self._around = tissue, share, around
        self.box, self.mask = around.box, region_of(around, share)
        self._is_grown = True  # all of it stands above one share of the first click's height

    def add(self, point: Index) -> None:
        """A click outside widens the region where that reaches it; else a region of its own joins."""
        place = self._place(point)
        if place is not None and self.mask[place]:
            return
        if not (place is not None and self._is_grown and self._widened_to(place)):
            self._join(point)

    def take_away(self, point: Index, wanted: Sequence[Index]) -> None:
        """A click inside tightens the region where that leaves it out; else its part is cut off.

        Args:
            wanted: all clicks that add, the first one first; what belongs to them stays, unless it is the very part.
        """
        place = self._place(point)
        if place is None or not self.mask[place]:
            return
        if self._is_grown and place != self._around.click and self._tightened_from(place):
            return
        spacing = self._tissue.spacing_mm
        basin = cut_at_necks(self.mask, place, spacing)
        first, *others = [self._place(other) for other in wanted]
        kept = [other for other in others if other is not None and not basin[other]]
        if first is not None and first != place:
            kept.insert(0, first)
        part = part_of_seeds(self.mask, [place], kept, spacing) if kept else component_at(self.mask, place)
        self.mask = self.mask & ~part
        self._is_grown = False

    def _widened_to(self, place: Index) -> bool:
        shares = [self._share * factor for factor in _WIDER]
        # A share that cannot reach the click is not grown before another one does: growing is what takes time.
        grown = len(shares)
        while grown and most_of_region(self._around, shares[grown - 1])[place]:
            grown -= 1
        for share in shares[grown:]:
            wider = self.mask | region_of(self._around, share)
            if self._is_far_larger(wider):
                return False
            if wider[place]:
                if any(map(self._grows_far, shares[:grown])):
                    return False
                self.mask, self._share = wider, share
                return True
        return False

    def _is_far_larger(self, wider: Bools) -> bool:
        return bool(wider.sum() > _MOST_GROWTH * self.mask.sum())

    def _grows_far(self, share: float) -> bool:
        """Whether the region of a share is no longer much the same."""
        return self._is_far_larger(self.mask | most_of_region(self._around, share)) and self._is_far_larger(
            self.mask | region_of(self._around, share)
        )

    def _tightened_from(self, place: Index) -> bool:
        # The first share that leaves the click out or too little of the region: found by halving, for growing takes time.
        first, last, found = 0, len(_TIGHTER), None
        while first < last:
            middle = (first + last) // 2
            share = self._share * _TIGHTER[middle]
            tighter = self.mask & region_of(self._around, share)
            is_left = bool(tighter.sum() >= _LEAST_LEFT * self.mask.sum())
            if is_left and tighter[place]:
                first = middle + 1
            else:
                last, found = middle, (tighter, share) if is_left else None
        if found is None:
            return False
        self.mask, self._share = found
        return True

    def _place(self, point: Index) -> Index | None:
        """A voxel of the scan in the region's box; None beyond it."""
        inside = tuple(at - side.start for at, side in zip(point, self.box, strict=True))
        if all(0 <= at < size for at, size in zip(inside, self.mask.shape, strict=True)):
            return inside[0], inside[1], inside[2]
        return None

    def _join(self, point: Index) -> None:
        around = surroundings_of(self._tissue, point)
        box = _box_of_both(self.box, around.box)
        both, new = (np.zeros([side.stop - side.start for side in box], bool) for _ in range(2))
        both[_inside(self.box, box)] = self.mask
        new[_inside(around.box, box)] = region_of(around, self._share)
        spacing = self._tissue.spacing_mm
        at = tuple(place - side.start for place, side in zip(point, box, strict=True))
        away = _distance_mm(at, both.shape, spacing)
        way = float(away[both].min()) if both.any() else np.inf
        new &= away <= _REACH * max(way, _LEAST_REACH_PX * min(spacing))
        self.box, self.mask = box, filled_in_slices(both | new)
        self._is_grown = False


def _box_of_both(one: Box, other: Box) -> Box:
    k, j, i = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return k, j, i


def _inside(box: Box, wider: Sequence[slice]) -> tuple[slice, ...]:
    return tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(box, wider, strict=True))


def _distance_mm(at: Sequence[int], shape: Sequence[int], spacing_mm: Sequence[float]) -> Array:
    """Distance of every voxel of a box from one of them."""
    axes = [((np.arange(size) - place) * mm) ** 2 for place, size, mm in zip(at, shape, spacing_mm, strict=True)]
    distance: Array = np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2])
    return distance
