"""Clicks to the outline of one lesion: the first click grows it, further ones widen it, add to it or take parts away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ClamSegLib.outlining.growth import (
    Bools,
    Box,
    Surroundings,
    component_at,
    cut_at_necks,
    limits_of,
    part_of_seeds,
    region_of,
    surroundings_of,
    usual_share,
)
from ClamSegLib.outlining.near_click import distance_mm, filled_but, moved_near
from ClamSegLib.outlining.tissue import Index, Tissue
from ClamSegLib.system.errors import InputError

WIDEST = 8  # steps of wider and tighter
_STEP = 0.92  # of the share, per step
_NECK = 0.5  # of the click's depth: so much narrower is a neck at which a part is cut off
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
                region.take_away(click.point)
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
        self._tissue, self._share = tissue, share
        self.box, self.mask = around.box, region_of(around, share)
        self._limits = limits_of(around, share)
        self._wanted, self._unwanted = [around.click], list[Index]()

    def add(self, point: Index) -> None:
        """A click outside lowers the limit near it; where that does not reach the region, one of its own joins."""
        place = self._place(point)
        if place is not None and self.mask[place]:
            self._wanted.append(place)
            return
        if place is not None and self._is_below(place):
            moved = moved_near(self._limits, self.mask, place, [*self._wanted, place], self._unwanted, adds=True)
            if moved is not None:
                self.mask = moved
                self._wanted.append(place)
                return
        self._join(point)

    def take_away(self, point: Index) -> None:
        """A click inside cuts off its part where the region is narrow before it; else the limit rises near it."""
        place = self._place(point)
        if place is None or not self.mask[place] or not self._wanted:
            return
        first, others = self._wanted[0], [other for other in self._wanted if other != place]
        basin = cut_at_necks(self.mask, place, self._tissue.spacing_mm, max(1.0, _NECK * self._depth_mm(place)))
        moved = None
        if place != first and any(basin[other] for other in others):
            moved = moved_near(self._limits, self.mask, place, self._wanted, [*self._unwanted, place], adds=False)
        if moved is None:
            kept = [other for other in others if other == first or not basin[other]]
            spacing = self._tissue.spacing_mm
            part = part_of_seeds(self.mask, [place], kept, spacing) if kept else component_at(self.mask, place)
            moved = self.mask & ~part
        self.mask = moved
        self._wanted = [other for other in self._wanted if moved[other]]
        self._unwanted.append(place)

    def _depth_mm(self, place: Index) -> float:
        """From a place inside to the border."""
        away = distance_mm(place, self.mask.shape, self._tissue.spacing_mm)
        return float(away[~self.mask].min()) if not self.mask.all() else 0.0

    def _is_below(self, place: Index) -> bool:
        """Whether a click outside stands too low for the region; else it is only too far from it, or was cut off."""
        limit = self._limits.limit[place]  # infinite where no click has looked yet
        return bool(np.isfinite(limit) and self._limits.heights[place] <= limit)

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
        mine, theirs = _inside(self.box, box), _inside(around.box, box)
        both[mine] = self.mask
        new[theirs] = region_of(around, self._share)
        other = limits_of(around, self._share)
        limits = replace(
            self._limits,
            heights=np.full(both.shape, self._limits.outside, np.float32),
            limit=np.full(both.shape, np.inf, np.float32),
        )
        for place, each in ((theirs, other), (mine, self._limits)):
            limits.heights[place], limits.limit[place] = each.heights, each.limit
        spacing = self._tissue.spacing_mm
        at = (point[0] - box[0].start, point[1] - box[1].start, point[2] - box[2].start)
        away = distance_mm(at, both.shape, spacing)
        way = float(away[both].min()) if both.any() else np.inf
        new &= away <= _REACH * max(way, _LEAST_REACH_PX * min(spacing))
        new = component_at(new, at)
        # What joins keeps standing above its own limit, also where both boxes overlap.
        fresh = (new & ~both)[theirs]
        limits.heights[theirs][fresh], limits.limit[theirs][fresh] = other.heights[fresh], other.limit[fresh]
        moved = [side.start - wider.start for side, wider in zip(self.box, box, strict=True)]
        for clicks in (self._wanted, self._unwanted):
            clicks[:] = [(k + moved[0], j + moved[1], i + moved[2]) for k, j, i in clicks]
        self.box, self.mask, self._limits = (
            box,
            filled_but(both | new, [each for each in self._unwanted if not new[each]]),
            limits,
        )
        self._wanted.append(at)
        self._unwanted = [each for each in self._unwanted if not self.mask[each]]  # what came back is wanted by now


def _box_of_both(one: Box, other: Box) -> Box:
    k, j, i = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return k, j, i


def _inside(box: Box, wider: Sequence[slice]) -> tuple[slice, ...]:
    return tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(box, wider, strict=True))
