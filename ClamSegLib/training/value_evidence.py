"""What image labels tell of single values: how much more often each occurs in diseased slices than in normal ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import BINS, bins_of

Floats = NDArray[np.float32]
_HEIGHTS = 10
_SMOOTHING_BINS = 2.0
_LEAST = 1e-4  # share of a bin, so that a value never seen in one class is no proof
_BATCH = 64
_SLICES_FOR_RANGE = 200


class ValueEvidence:
    """Measures log f_D(value) / f_N(value).

    Args:
        read: images (B,S,S), network input, and organs (B,S,S) bool of slices by their numbers (B,).
        label: (N,) 0 normal, c condition.
        position: (N,) height of the slice, 0..1: normal slices are weighted to lie where the diseased ones do.
        conditions: number of conditions K.

    Attributes:
        low: value at the lower end of the table; `high` at its upper end.
        table: (K, BINS) the log ratios.
    """

    def __init__(
        self,
        read: Callable[[NDArray[np.int64]], tuple[NDArray[np.floating], NDArray[np.bool_]]],
        label: NDArray[np.int64],
        position: Floats,
        conditions: int,
    ) -> None:
        sample = read(np.arange(0, len(label), max(1, len(label) // _SLICES_FOR_RANGE)))[0].astype(np.float32)
        self.low, high = (float(v) for v in np.quantile(sample, [0.001, 0.999]))
        self.high = max(high, self.low + 1e-6)
        counts = np.concatenate(
            [self._counts(*read(np.arange(k, min(k + _BATCH, len(label))))) for k in range(0, len(label), _BATCH)]
        )
        height = np.minimum((np.asarray(position) * _HEIGHTS).astype(int), _HEIGHTS - 1)
        shows = counts.sum(axis=1) > 0
        normal = (label == 0) & shows
        share = np.bincount(height[normal], minlength=_HEIGHTS)
        self.table = np.zeros((conditions, BINS), np.float32)
        for condition in range(conditions):
            diseased = (label == condition + 1) & shows
            if not diseased.any() or not normal.any():
                continue
            wanted = np.bincount(height[diseased], minlength=_HEIGHTS) / np.maximum(share, 1)
            weight = wanted[height[normal]]
            if weight.sum() == 0:
                weight = np.ones_like(weight)
            of_normal = (counts[normal] * weight[:, None]).sum(0)
            self.table[condition] = np.log(_density(counts[diseased].sum(0)) / _density(of_normal))

    def _counts(self, images: NDArray[np.floating], organ: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Share of each bin in the organ of each slice, (B, BINS)."""
        counts = np.stack(
            [
                np.bincount(bins_of(image[inside], self.low, self.high), minlength=BINS)
                for image, inside in zip(images, organ, strict=True)
            ]
        )
        return np.asarray(counts / np.maximum(1.0, counts.sum(axis=1, keepdims=True)))


def _density(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(counts / max(counts.sum(), 1e-12), _SMOOTHING_BINS)
    return np.asarray(smooth + _LEAST)
