"""Connected parts of a stack of labels, from its runs: what lies side by side in a row of pixels is one run.

A scan has some thousand runs where lesions are, so that joining them takes a fraction of the time and memory of numbering
every voxel (scipy.ndimage.label needs four bytes for each). Two runs touch where they lie in neighbouring rows, of the same slice or of
the next, and share a column or a corner (26 neighbours).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
# Rows (slices on, rows on) in which a run's earlier neighbours lie.
_EARLIER = ((0, -1), (-1, -1), (-1, 0), (-1, 1))


@dataclass(frozen=True)
class Runs:
    """Runs of equal labels other than 0 in the order of the voxels.

    Attributes:
        row: (run,) slice * (rows + 2) + row + 1: rows of neighbouring slices are never neighbours by their number.
        start: (run,) first column.
        stop: (run,) column behind the last.
        label: (run,) that all its voxels have.
        of_slice: (slice + 1,) where the runs of each slice begin, and where the last end.
        shape: rows and columns of a slice.
    """

    row: Ints
    start: Ints
    stop: Ints
    label: NDArray[np.uint8]
    of_slice: Ints
    shape: tuple[int, int]

    @property
    def length(self) -> Ints:
        """Voxels of each run."""
        return self.stop - self.start


def runs_of(slices: Iterable[NDArray[np.uint8]], shape: tuple[int, int]) -> Runs:
    """The runs of a stack given slice by slice.

    Args:
        slices: (row, column) labels, 0 none.
        shape: rows and columns of each.
    """
    rows, columns = shape
    found: list[tuple[Ints, Ints, Ints, NDArray[np.uint8]]] = []
    counts = [0]
    for k, labels in enumerate(slices):
        shows = np.flatnonzero(labels.any(axis=1))
        padded = np.zeros((len(shows), columns + 2), np.uint8)
        padded[:, 1:-1] = labels[shows]
        changes = padded[:, 1:] != padded[:, :-1]
        begins = changes & (padded[:, 1:] > 0)
        ends = changes & (padded[:, :-1] > 0)
        row, start = np.nonzero(begins)
        stop = np.nonzero(ends)[1]
        found.append((k * (rows + 2) + shows[row] + 1, start, stop, padded[row, start + 1]))
        counts.append(len(row))
    row, start, stop = (np.concatenate([own[n] for own in found]).astype(np.int64) for n in range(3))
    label = np.concatenate([own[3] for own in found])
    return Runs(row, start, stop, label, np.cumsum(counts), shape)


def part_of_runs(runs: Runs) -> Ints:
    """The part (run,) that each run belongs to, from 0 by label, then by the place of its first voxel."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    width = runs.shape[1] + 2
    first, last = runs.row * width + runs.start, runs.row * width + runs.stop
    here: list[Ints] = []
    there: list[Ints] = []
    for slices_on, rows_on in _EARLIER:
        row = (runs.row + slices_on * (runs.shape[0] + 2) + rows_on) * width
        begin = np.searchsorted(last, row + runs.start, "left")
        end = np.searchsorted(first, row + runs.stop, "right")
        count = np.maximum(end - begin, 0)
        own = np.repeat(np.arange(len(row)), count)
        within = np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count)
        other = begin[own] + within
        alike = runs.label[own] == runs.label[other]
        here.append(own[alike])
        there.append(other[alike])
    pairs = np.concatenate(here), np.concatenate(there)
    n = len(runs.row)
    joined = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(n, n))
    count, part = connected_components(joined, directed=False)
    # Parts as found are in the order of their first voxel.
    label = np.zeros(count, np.uint8)
    label[part] = runs.label
    place = np.empty(count, np.int64)
    place[np.argsort(label, kind="stable")] = np.arange(count)
    return np.asarray(place[part], np.int64)
