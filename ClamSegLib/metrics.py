"""Figures of merit in numpy. Every one is defined for empty references and predictions: a number or None, never NaN.

None means that the figure does not exist for this case (no lesion in the reference, one class only); callers
leave such cases out and say how many there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Values = NDArray[np.floating]


def dice(prediction: Mask, reference: Mask) -> float:
    """2 |A and B| / (|A| + |B|); 1 when both are empty, 0 when one is."""
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    if total == 0:
        return 1.0
    return 2.0 * int(np.count_nonzero(prediction & reference)) / total


def roc_auc(score: Values, reference: Mask) -> float | None:
    """Probability that a positive scores above a negative, ties counting half; None for one class only."""
    from scipy.stats import rankdata

    reference = np.asarray(reference, bool).ravel()
    positives, negatives = int(reference.sum()), int((~reference).sum())
    if positives == 0 or negatives == 0:
        return None
    ranks = rankdata(np.asarray(score).ravel())
    return float((ranks[reference].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def mean_of_strongest(values: NDArray[np.number], share: float) -> float:
    """Mean of the largest `share` of the values (n,), at least of one; 0 without any."""
    if values.size == 0:
        return 0.0
    k = max(1, int(share * values.size))
    return float(np.partition(values, -k)[-k:].mean())


def _surface(mask: Mask) -> Mask:
    from scipy.ndimage import binary_erosion

    return np.asarray(mask & ~binary_erosion(mask, border_value=0))


def hd95_mm(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> float | None:
    """95th percentile of the symmetric surface distances; 0 when both are empty, None when one is.

    Args:
        prediction: mask of any dimension.
        reference: same shape.
        spacing_mm: distance of voxels per axis, in the order of the array's axes (1 each gives pixels).
    """
    from scipy.ndimage import distance_transform_edt

    if not prediction.any() and not reference.any():
        return 0.0
    if not prediction.any() or not reference.any():
        return None
    a, b = _surface(prediction), _surface(reference)
    to_b = distance_transform_edt(~b, sampling=spacing_mm)[a]
    to_a = distance_transform_edt(~a, sampling=spacing_mm)[b]
    return float(max(np.percentile(to_b, 95), np.percentile(to_a, 95)))


def lesion_sensitivity(prediction: Mask, reference: Mask, minimum_overlap: float = 0.1) -> tuple[int, int]:
    """Reference components of which at least `minimum_overlap` is found, and all of them (full connectivity)."""
    from scipy.ndimage import generate_binary_structure, label

    parts, count = label(reference, generate_binary_structure(reference.ndim, reference.ndim))
    if count == 0:
        return 0, 0
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    found = np.bincount(parts[prediction], minlength=count + 1)[1:]
    return int(np.count_nonzero(found >= np.maximum(1, minimum_overlap * sizes))), int(count)


def pointing_hit(score: Values, reference: Mask) -> bool | None:
    """Whether the highest score lies inside the reference (mask or filled box); None without reference."""
    if not reference.any():
        return None
    return bool(reference.ravel()[int(np.argmax(score))])


@dataclass(frozen=True)
class BoxOverlap:
    """Overlap with reference boxes: intersection over union of the masks' pixels, and share of score inside."""

    iou: float
    energy_inside: float


def box_overlap(score: Values, prediction: Mask, boxes: Mask) -> BoxOverlap | None:
    """Overlap of a prediction with filled boxes; None without boxes.

    Args:
        score: (H,W) non-negative.
        prediction: (H,W) bool.
        boxes: (H,W) bool, union of filled boxes.
    """
    if not boxes.any():
        return None
    union = int(np.count_nonzero(prediction | boxes))
    total = float(score.sum())
    return BoxOverlap(
        int(np.count_nonzero(prediction & boxes)) / union, float(score[boxes].sum()) / total if total > 0 else 0.0
    )


def bootstrap_interval(
    values: Sequence[float], patients: Sequence[str], seed: int = 0, rounds: int = 2000
) -> tuple[float, float] | None:
    """95 % interval of the mean over cases, drawing whole patients with replacement.

    Args:
        values: one figure per case.
        patients: the patient of each case.

    Returns:
        (low, high), or None from fewer than five patients, where an interval would pretend knowledge.
    """
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 5:
        return None
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    counts = np.bincount(index)
    drawn = np.random.default_rng(seed).integers(0, len(names), (rounds, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two rows of values (n,), ties sharing their ranks; None where one does not vary."""
    from scipy.stats import spearmanr

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second).statistic)
