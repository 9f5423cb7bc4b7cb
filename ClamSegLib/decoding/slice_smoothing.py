"""Evidence averaged over neighbouring slices: a large lesion rarely ends between two slices, noise does.

The evidence of a pixel, -log(1 - P_L), or in calibrated models its log odds, is averaged over three slices with the weights 1/4, 1/2 and 1/4 before the map is
sharpened by the image, so that outlines still follow the slice's own edges. Lesions smaller than a slice's distance lose
by it (docs/research/results.md has figures of both), so a model does so only where held-out image labels show that it helps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Volume

# Slices farther apart than this tell little of each other; measured on sets with slices up to about 5 mm.
FARTHEST_MM = 7.5
_BESIDE = np.float32(0.25)
OUTSIDE = -8.0  # log odds of what lies outside the organ, before calibration
_LEAST_CERTAIN = np.float32(1e-5)
_MOST_CERTAIN = np.float32(1 - 1 / 512)  # a probability in 1/255 steps says no more


def slices_are_close(volume: Volume) -> bool:
    """Whether the slices of a canonical volume lie close enough to be smoothed; an unknown distance counts so."""
    close = not volume.spacing_known or volume.spacing_mm[2] <= FARTHEST_MM
    return volume.array.shape[0] > 1 and close


def evidence(probability: NDArray[np.float32]) -> NDArray[np.float16]:
    """-log(1 - P_L), any shape; half precision, because a case keeps it for all slices."""
    return np.asarray(-np.log1p(-np.minimum(probability, _MOST_CERTAIN)), np.float16)


def log_odds_inside(
    probability: NDArray[np.float32], organ: NDArray[np.bool_], calibration: Sequence[tuple[float, float]]
) -> NDArray[np.float16]:
    """Log odds (B,K,S,S) of P_L of a calibrated model; outside the organ (B,S,S) those of surely normal tissue."""
    inside = np.clip(probability, _LEAST_CERTAIN, 1 - _LEAST_CERTAIN)
    odds = np.log(inside / (1 - inside))
    outside = np.array([scale * (OUTSIDE - shift) for shift, scale in calibration], np.float32)
    return np.where(organ[:, None], odds, outside[:, None, None]).astype(np.float16)


def smooth_log_odds(kept: NDArray[np.float16], start: int, stop: int) -> NDArray[np.float32]:
    """P_L of the slices start..stop-1 of a calibrated model; arguments as for `smooth_across_slices`."""
    return np.asarray(1 / (1 + np.exp(-mean_of_neighbours(kept, start, stop))), np.float32)


def smooth_across_slices(kept: NDArray[np.float16], start: int, stop: int) -> NDArray[np.float32]:
    """P_L of the slices start..stop-1, smoothed over their neighbours (weights 1/4, 1/2, 1/4); a slice at an end has one.

    Args:
        kept: (N, K, S, S) `evidence` of all slices, in order.

    Returns:
        (stop - start, K, S, S) float32 in 0..1.
    """
    return np.asarray(-np.expm1(-mean_of_neighbours(kept, start, stop)), np.float32)


def mean_of_neighbours(kept: NDArray[np.floating], start: int, stop: int) -> NDArray[np.float32]:
    """The weighted mean (stop - start, ...) of each slice with the ones before and after it."""
    own = kept[start:stop].astype(np.float32)
    weight = np.full((stop - start, *(1,) * (kept.ndim - 1)), 2 * _BESIDE, np.float32)
    total = 2 * _BESIDE * own
    for shift in (-1, 1):
        first, last = max(start + shift, 0), min(stop + shift, len(kept))
        into = slice(first - shift - start, last - shift - start)
        total[into] += _BESIDE * kept[first:last]
        weight[into] += _BESIDE
    return np.asarray(total / weight, np.float32)
