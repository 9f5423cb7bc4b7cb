"""From P_L to the chance of a lesion, by image labels alone, and how far a told chance lies from the true share.

P_L = 0.5 is a cut, set on normal slices; it is not a chance. What image labels can tell of chances: healthy tissue looks
alike in normal and in diseased slices, so of the pixels of a diseased slice that share a step of P_L, those that normal
slices cannot explain are lesion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 256
_BINS = 10
Counts = NDArray[np.int64]
Chances = NDArray[np.float64]
Pixels = NDArray[np.number]


def chance_by_labels(normal: Counts, diseased: Counts) -> Chances | None:
    """Chance of a lesion for every step of P_L, rising with it.

    Args:
        normal: (256,) organ pixels of normal slices by their step of P_L, in the share in which slices occur.
        diseased: (256,) the same of diseased slices.

    Returns:
        (256,) in 0..1; None without pixels of either class.
    """
    every_normal, every_diseased = int(normal.sum()), int(diseased.sum())
    if every_normal == 0 or every_diseased == 0:
        return None
    # Where half of all normal pixels lie, nothing is lesion: that gives the share of healthy tissue in diseased slices.
    low = np.arange(STEPS) <= int(np.searchsorted(np.cumsum(normal), every_normal / 2))
    healthy = min(1.0, (diseased[low].sum() / every_diseased) / (normal[low].sum() / every_normal))
    lesion = diseased - healthy * every_diseased * (normal / every_normal)
    every = normal + diseased
    share = np.where(every > 0, lesion / np.maximum(every, 1), 0.0)
    # A step that no pixel has takes the value of its neighbours.
    return np.asarray(np.clip(rising(share, np.asarray(every + 1e-9, np.float64)), 0.0, 1.0), np.float64)


def rising(values: Chances, weights: Chances) -> Chances:
    """The rising sequence nearest to `values` (n,), squares weighted (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values, weights=weights).x, np.float64)


def calibration_error(chance: Chances, lesion: Pixels, every: Pixels) -> float | None:
    """Mean distance of a told chance from the share of lesion among those told about the same, over ten equal bins.

    Expected calibration error (arXiv 1706.04599).

    Args:
        chance: (n,) in 0..1.
        lesion: (n,) how many pixels with that chance are lesion.
        every: (n,) how many there are.

    Returns:
        None without pixels.
    """
    total = float(every.sum())
    if total == 0:
        return None
    bins = np.minimum(np.floor(chance * _BINS + 1e-9).astype(int), _BINS - 1)
    told = np.bincount(bins, every * chance, minlength=_BINS)
    true = np.bincount(bins, lesion, minlength=_BINS)
    return float(np.abs(told - true).sum() / total)


def squared_error(chance: Chances, lesion: Pixels, every: Pixels) -> float | None:
    """Mean squared distance of the chance from 1 on lesion and from 0 elsewhere (Brier); arguments as above."""
    total = float(every.sum())
    if total == 0:
        return None
    return float((lesion * (1 - chance) ** 2 + (every - lesion) * chance**2).sum() / total)
