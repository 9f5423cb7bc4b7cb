"""The map under review: the box of the volume in which it is above 0, and the undecided lesions in it.

Everything here is canonical (slice, row, column); masks leave it in the volume's own frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import box_of

Box = tuple[slice, ...]  # one slice each for slice, row and column


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
        n_conditions: how many there are.
        plane: the slices' plane.
    """

    def __init__(
        self,
        probability: np.ndarray,
        strongest: np.ndarray | None,
        geometry: Any,
        n_conditions: int,
        plane: str,
    ) -> None:
        from ClamSegLib.imaging.volume import canonical

        self.own_shape = probability.shape
        self.n_conditions = n_conditions
        self.grid, self.orientation = canonical(replace(geometry, array=probability), plane)
        turned = self.grid.array
        self.box: Box = _support(turned)
        self.values = np.ascontiguousarray(turned[self.box])
        self._which = None if strongest is None else np.ascontiguousarray(self.orientation.apply(strongest)[self.box])
        self.labels = np.zeros(self.values.shape, np.uint8)
        self.components = np.zeros(self.values.shape, np.int32)
        self.objects: list[Any] = []

    def find_lesions(self, kept_lesions: Iterable[KeptLesion], threshold: float, smallest: Smallest) -> None:
        """Undecided labels and components from the map, without the voxels of decided lesions."""
        from scipy import ndimage

        from ClamSegLib.segmentation.lesions import lesion_mask

        kept_lesions = list(kept_lesions)
        maps = self.values.copy() if kept_lesions else self.values
        if kept_lesions:
            for kept in kept_lesions:
                for inside, part in self._regions_in_box(kept):
                    maps[inside][part] = 0
        maps_of_each = maps[None] if self._which is None else self.stacked(maps)
        self.labels, self.components = lesion_mask(maps_of_each, threshold, self.grid, smallest.ml, smallest.px)
        self.objects = ndimage.find_objects(self.components)
        self._drop_rims(kept_lesions)

    def take_lesions(self, components: np.ndarray, conditions: Sequence[int]) -> bool:
        """Undecided lesions as the worker found them; False, and nothing changed, where they do not lie in the map.

        Args:
            components: (k, j, i) lesion numbers from 1, own frame.
            conditions: of each lesion, from 1.
        """
        from scipy import ndimage

        inside = np.array(self.orientation.apply(components)[self.box], np.int32)
        count = int(inside.max(initial=0))
        if count != len(conditions) or np.count_nonzero(inside) != np.count_nonzero(components):
            return False
        self.components, self.labels = inside, np.array([0, *conditions], np.uint8)[inside]
        self.objects = ndimage.find_objects(self.components)
        return True

    def remove(self, place: int) -> None:
        """Takes one undecided lesion out of labels and components; the others move up by one number."""
        where = self.objects[place - 1]
        own = self.components[where] == place
        self.labels[where][own] = 0
        self.components[where][own] = 0
        for later in range(place + 1, len(self.objects) + 1):
            box = self.objects[later - 1]
            self.components[box][self.components[box] == later] = later - 1
        del self.objects[place - 1]

    def stacked(self, maps: np.ndarray) -> np.ndarray:
        """One map per condition: each voxel belongs to its strongest one."""
        return np.stack([np.where(self._which == n, maps, 0) for n in range(1, self.n_conditions + 1)])

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
        from ClamSegLib.segmentation.lesions import lesion_mask

        _labels, components = lesion_mask(self.values[None], threshold, self.grid, 0.0)
        index = tuple(value - s.start for value, s in zip(peak, self.box, strict=True))
        inside_map = all(0 <= value < size for value, size in zip(index, components.shape, strict=True))
        if not inside_map or components[index] == 0:
            return None
        part = components == components[index]
        where = box_of(part)
        return shifted(where, self.box), np.array(part[where])

    def _drop_rims(self, kept_lesions: Sequence[KeptLesion]) -> None:
        """What a lower threshold leaves around a decided lesion belongs to it and is no lesion of its own."""
        from scipy import ndimage

        dropped = False
        for kept in kept_lesions:
            for inside, part in self._regions_in_box(kept):
                wider = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in inside)
                near = self.components[wider]
                grown = np.zeros(near.shape, bool)
                grown[tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(inside, wider, strict=True))] = (
                    part
                )
                grown = ndimage.binary_dilation(grown, np.ones((3, 3, 3), bool))
                highest = int(self.values[inside][part].max()) if part.any() else 0
                for place in np.unique(near[grown])[np.unique(near[grown]) > 0]:
                    where = self.objects[place - 1]
                    rim = self.components[where] == place
                    if self.values[where][rim].max() <= highest:
                        self.labels[where][rim] = 0
                        self.components[where][rim] = 0
                        dropped = True
        if dropped:
            used = np.unique(self.components)
            renumber = np.zeros(int(used[-1]) + 1, np.int32)
            renumber[used] = np.arange(len(used))  # 0 is always there: the voxels just cleared
            self.components = renumber[self.components]
            self.objects = ndimage.find_objects(self.components)

    def peak_of(self, place: int) -> tuple[int, int, int]:
        """Canonical position of the strongest voxel of a component; the first one of equals."""
        where = self.objects[place - 1]
        values = np.where(self.components[where] == place, self.values[where], 0)
        index = np.unravel_index(int(values.argmax()), values.shape)
        s, r, c = (int(n) + w.start + b.start for n, w, b in zip(index, where, self.box, strict=True))
        return s, r, c

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


def _support(array: np.ndarray) -> Box:
    """The box around all voxels above 0; one voxel where there is none."""
    return box_of(array > 0) or (slice(0, 1), slice(0, 1), slice(0, 1))


def shifted(box: Any, by: tuple[slice, ...]) -> Any:
    """A box inside the box `by`, counted from where that one is counted."""
    return tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(box, by, strict=True))
