"""Evidence averaged over neighbouring slices: a large lesion rarely ends between two slices, noise does.

The evidence of a pixel, -log(1 - P_L), is averaged over three slices with the weights 1/4, 1/2 and 1/4 before the map is
sharpened by the image, so that outlines still follow the slice's own edges. Lesions smaller than a slice's distance lose
by it (docs/research/results.md has figures of both), so a model does so only where held-out image labels show that it helps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Volume

# Slices farther apart than this tell little of each other; measured on sets with slices up to about 5 mm.
FARTHEST_MM = 7.5
_BESIDE = np.float32(0.25)
_MOST_CERTAIN = np.float32(1 - 1 / 512)  # a probability in 1/255 steps says no more


def slices_are_close(volume: Volume) -> bool:
    """Whether the slices of a canonical volume lie close enough to be smoothed; an unknown distance counts so."""
    close = not volume.spacing_known or volume.spacing_mm[2] <= FARTHEST_MM
    return volume.array.shape[0] > 1 and close


def evidence(probability: NDArray[np.float32]) -> NDArray[np.float16]:
    """-log(1 - P_L), any shape; half precision, because a case keeps it for all slices."""
    return np.asarray(-np.log1p(-np.minimum(probability, _MOST_CERTAIN)), np.float16)


def smooth_across_slices(kept: NDArray[np.float16], start: int, stop: int) -> NDArray[np.float32]:
    """P_L of the slices start..stop-1, smoothed over their neighbours (weights 1/4, 1/2, 1/4); a slice at an end has one.

    Args:
        kept: (N, K, S, S) `evidence` of all slices, in order.

    Returns:
        (stop - start, K, S, S) float32 in 0..1.
    """
    own = kept[start:stop].astype(np.float32)
    total, weight = 2 * _BESIDE * own, np.full((stop - start, 1, 1, 1), 2 * _BESIDE, np.float32)
    for shift in (-1, 1):
        first, last = max(start + shift, 0), min(stop + shift, len(kept))
        into = slice(first - shift - start, last - shift - start)
        total[into] += _BESIDE * kept[first:last]
        weight[into] += _BESIDE
    return np.asarray(-np.expm1(-total / weight), np.float32)
