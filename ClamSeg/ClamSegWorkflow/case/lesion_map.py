"""The map under review: the box of the volume in which it is above 0, and the undecided lesions in it.

Everything here is canonical (slice, row, column); masks leave it in the volume's own frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import box_of
from ClamSegWorkflow.case.map_parts import Box, MapPart, MapParts, ordered, shifted


@dataclass(frozen=True)
class KeptLesion:
    """A decided lesion.

    Attributes:
        box, mask: its voxels as a mask over a canonical box of the whole volume.
        peak_index: canonical (slice, row, column) of the strongest voxel it was found by.
        threshold: of the moment it was decided.
        settled: where it was found before the reader drew it anew: what was erased there stays erased.
    """

    number: int
    condition: int
    decision: Any
    box: Box
    mask: np.ndarray
    peak_index: tuple[int, int, int]
    threshold: float = 0.5
    settled: tuple[Box, np.ndarray] | None = None

    @property
    def regions(self) -> list[tuple[Box, np.ndarray]]:
        """Voxels that no undecided lesion may take."""
        own = [(self.box, self.mask)]
        return own if self.settled is None else [*own, self.settled]


@dataclass(frozen=True)
class WorkerLesions:
    """What the worker found.

    Attributes:
        components: (k, j, i) lesion numbers from 1, own frame.
        lesions: ClamSegLib lesions by number.
    """

    components: np.ndarray
    lesions: Sequence[Any]


@dataclass(frozen=True)
class Smallest:
    """Lesions below are left out.

    Attributes:
        ml: where ml are known.
        px: where they are not, in pixels.
    """

    ml: float = 0.0
    px: int = 0


class LesionMap:
    """The probability of one result with the components of its undecided lesions.

    Args:
        probability: (k, j, i) uint8, steps of 1/255, own frame.
        strongest: (k, j, i) uint8, number of the strongest condition from 1, or None for a single condition.
        geometry: ClamSegLib Volume of the scan's grid (its array is not looked at).
        plane: the slices' plane.
    """

    def __init__(
        self,
        probability: np.ndarray,
        strongest: np.ndarray | None,
        geometry: Any,
        plane: str,
    ) -> None:
        from ClamSegLib.imaging.volume import canonical

        self.own_shape = probability.shape
        self.grid, self.orientation = canonical(replace(geometry, array=probability), plane)
        turned = self.grid.array
        self.box: Box = _support(turned)
        self.values = np.ascontiguousarray(turned[self.box])
        which = None if strongest is None else np.ascontiguousarray(self.orientation.apply(strongest)[self.box])
        self._parts = MapParts(self.values, which)
        self.undecided: list[MapPart] = []

    def find_lesions(self, kept_lesions: Iterable[KeptLesion], threshold: float, smallest: Smallest) -> None:
        """The undecided lesions of the map, without the voxels of decided ones; those that none of them touches stay the same objects."""
        self.take_found(threshold, *self.look(kept_lesions, threshold, smallest))

    def take_found(self, threshold: float, parts: list[MapPart], undecided: list[MapPart]) -> None:
        """Takes what `look` found at a threshold."""
        self._parts.know(threshold, parts)
        self.undecided = list(undecided)

    def look(
        self, kept_lesions: Iterable[KeptLesion], threshold: float, smallest: Smallest
    ) -> tuple[list[MapPart], list[MapPart]]:
        """All lesions at a threshold, and the undecided ones among what decided ones leave of them; any thread may look."""
        from ClamSegLib.segmentation.lesions import has_ml

        regions = [region for kept in kept_lesions for region in self._regions_in_box(kept)]
        parts = self._parts.peek(threshold)
        touching = _Touching(parts)
        near: dict[int, list[tuple[Box, np.ndarray]]] = {}
        for region in regions:
            for n in touching.of(region[0]):
                near.setdefault(n, []).append(region)
        left = [rest for n, part in enumerate(parts) for rest in (part.without(near[n]) if n in near else [part])]
        least = max(1.0, smallest.ml / self.grid.voxel_ml if has_ml(self.grid) else smallest.px)
        return parts, self._without_rims(ordered(part for part in left if part.size >= least), regions)

    def take_lesions(self, components: np.ndarray, conditions: Sequence[int], threshold: float) -> bool:
        """Undecided lesions as the worker found them; False, and nothing changed, where they do not lie in the map.

        Args:
            components: (k, j, i) lesion numbers from 1, own frame.
            conditions: of each lesion, from 1.
            threshold: that they were found at.
        """
        inside = self.orientation.apply(components)[self.box]
        count = int(inside.max(initial=0))
        if count != len(conditions) or np.count_nonzero(inside) != np.count_nonzero(components):
            return False
        self.undecided = self._parts.split(np.ascontiguousarray(inside), conditions)
        self._parts.know(threshold, list(self.undecided))
        return True

    def labelled(self, parts: Iterable[MapPart]) -> tuple[Box, np.ndarray]:
        """Voxels of lesions as a mask over the canonical box of the whole volume that holds them."""
        parts = list(parts)
        if not parts:
            return tuple(slice(s.start, s.start + 1) for s in self.box), np.zeros((1, 1, 1), bool)
        box = tuple(
            slice(min(s.start for s in sides), max(s.stop for s in sides))
            for sides in zip(*(part.box for part in parts), strict=True)
        )
        mask = np.zeros([s.stop - s.start for s in box], bool)
        for part in parts:
            mask[tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(part.box, box, strict=True))] |= (
                part.mask
            )
        return shifted(box, self.box), mask

    def _regions_in_box(self, kept: KeptLesion) -> list[tuple[Box, np.ndarray]]:
        return [part for box, mask in kept.regions for part in self.in_box(box, mask)]

    def in_box(self, box: Box, mask: np.ndarray) -> list[tuple[Box, np.ndarray]]:
        """Where a mask over a box of the volume lies in the box of the map, and that part of it; [] where nowhere."""
        inside = [
            slice(max(k.start, b.start) - b.start, min(k.stop, b.stop) - b.start)
            for k, b in zip(box, self.box, strict=True)
        ]
        if any(s.stop <= s.start for s in inside):
            return []
        part = tuple(
            slice(s.start + b.start - k.start, s.stop + b.start - k.start)
            for s, b, k in zip(inside, self.box, box, strict=True)
        )
        return [((inside[0], inside[1], inside[2]), mask[part])]

    def component_at(self, peak: tuple[int, int, int], threshold: float) -> tuple[Box, np.ndarray] | None:
        """The lesion around a canonical voxel at a threshold, decided ones left out of account; None below it."""
        here = tuple(slice(n - s.start, n - s.start + 1) for n, s in zip(peak, self.box, strict=True))
        for part in self._parts.at(threshold):
            if part.overlap(here, np.ones((1, 1, 1), bool)) is not None:
                return self.whole_box(part), part.mask
        return None

    def _without_rims(self, parts: list[MapPart], regions: Sequence[tuple[Box, np.ndarray]]) -> list[MapPart]:
        """What a lower threshold leaves around a decided lesion belongs to it and is no lesion of its own."""
        from scipy import ndimage

        touching, rims = _Touching(parts), set()
        for inside, mask in regions:
            wider = tuple(slice(s.start - 1, s.stop + 1) for s in inside)
            beside = touching.of(wider)
            if not beside:
                continue
            grown = ndimage.binary_dilation(np.pad(mask, 1), np.ones((3, 3, 3), bool))
            highest = int(self.values[inside][mask].max(initial=0))
            rims |= {n for n in beside if parts[n].highest <= highest and parts[n].overlap(wider, grown)}
        return [part for n, part in enumerate(parts) if n not in rims]

    def peak_of(self, part: MapPart) -> tuple[int, int, int]:
        """Canonical position of the strongest voxel of a lesion; the first one of equals."""
        s, r, c = (n + b.start for n, b in zip(part.peak, self.box, strict=True))
        return s, r, c

    def whole_box(self, part: MapPart) -> Box:
        """The canonical box of a lesion in the whole volume."""
        return shifted(part.box, self.box)

    def box_volume(self, box: Box) -> Any:
        origin = self.grid.to_lps(np.array([s.start for s in box]))
        x, y, z = (float(value) for value in origin)
        return replace(self.grid, array=self.grid.array[box], origin=(x, y, z))

    def own_box(self, mask: np.ndarray, box: Box) -> tuple[np.ndarray, tuple[int, int, int]]:
        """A canonical mask over `box` as a box of the own frame and its first k, j, i."""
        start = [0, 0, 0]
        for axis, own_axis in enumerate(self.orientation.permutation):
            size = self.own_shape[own_axis]
            start[own_axis] = size - box[axis].stop if self.orientation.flips[axis] else box[axis].start
        return self.orientation.undo(mask), (start[0], start[1], start[2])

    def canonical_slice(self, ijk: Sequence[float]) -> int | None:
        """The canonical slice a voxel position (i, j, k) lies in, None above or below the scan."""
        kji = (ijk[2], ijk[1], ijk[0])
        own_axis = self.orientation.permutation[0]
        last = self.own_shape[own_axis] - 1
        if not -0.5 <= kji[own_axis] <= last + 0.5:
            return None
        index = round(min(max(kji[own_axis], 0), last))
        return last - index if self.orientation.flips[0] else index

    def own_position(self, index: Sequence[float]) -> tuple[float, float, float]:
        """Voxel position (i, j, k) in the own frame of a canonical (slice, row, column)."""
        kji = [0.0, 0.0, 0.0]
        for axis, own_axis in enumerate(self.orientation.permutation):
            last = self.own_shape[own_axis] - 1
            kji[own_axis] = last - float(index[axis]) if self.orientation.flips[axis] else float(index[axis])
        return kji[2], kji[1], kji[0]


class _Touching:
    """Which of many lesions have a box that meets another box of the map."""

    def __init__(self, parts: Sequence[MapPart]) -> None:
        self._starts = np.array([[s.start for s in part.box] for part in parts]).reshape(-1, 3)
        self._stops = np.array([[s.stop for s in part.box] for part in parts]).reshape(-1, 3)

    def of(self, box: Box) -> list[int]:
        """Their places."""
        starts, stops = [s.start for s in box], [s.stop for s in box]
        found: list[int] = np.flatnonzero(((self._starts < stops) & (self._stops > starts)).all(axis=1)).tolist()
        return found


def _support(array: np.ndarray) -> Box:
    """The box around all voxels above 0; one voxel where there is none."""
    return box_of(array > 0) or (slice(0, 1), slice(0, 1), slice(0, 1))
