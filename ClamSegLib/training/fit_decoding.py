"""How the maps of a finished network become outlines, fitted on held-out slices by image labels alone.

The network runs once (held_out.py); everything here is arithmetic on its log odds. What is fitted is applied by
`ClamSegLib.decoding` and stands in the model's config.json.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.slice_smoothing import evidence, smooth_across_slices
from ClamSegLib.metrics import mean_of_strongest, roc_auc
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.training.held_out import HeldOut
from ClamSegLib.training.validation import MAXIMUM_SLICES, evenly

# Fewer stacks, or fewer slices of either class, tell nothing about others.
FEWEST_STACKS, FEWEST_SLICES = 5, 20
# A level serves as default where it changes at most this share of the pixels that it and the deepest level predict.
LARGEST_CHANGE = 0.02
_TOP_SHARE = 0.01

Floats = NDArray[np.float32]


def slice_smoothing_helps(config: ModelConfig, held_out: HeldOut) -> bool:
    """Whether image labels are told better from evidence smoothed over neighbouring slices than from single slices.

    Returns:
        True where the slice AUC rises; False with too few slices or stacks to tell.
    """
    if np.count_nonzero(np.bincount(held_out.stack) > 1) < FEWEST_STACKS:
        return False
    odds = np.asarray(config.odds_normal, np.float32)
    every = np.arange(len(held_out.label))
    maps = [evidence(held_out.posterior(index, odds, config.network.heads)) for index in held_out.batches(every)]
    return slice_auc_improves(np.concatenate(maps), held_out.organ, held_out.label > 0, held_out.stack)


def slice_auc_improves(
    maps: NDArray[np.float16], organ: NDArray[np.bool_], diseased: NDArray[np.bool_], stack: NDArray[np.int64]
) -> bool:
    """Whether diseased slices stand out more once evidence is smoothed across slices.

    Args:
        maps: (N,K,S,S) `evidence`.
        organ: (N,S,S).
        diseased: (N,) image labels.
        stack: (N,) number of the stack of each slice; the slices of a stack lie one after the other.
    """
    if _too_few(diseased):
        return False
    alone, smoothed = np.zeros(len(maps)), np.zeros(len(maps))
    for number in np.unique(stack):
        own = np.flatnonzero(stack == number)
        alone[own] = _slice_scores(-np.expm1(-maps[own].astype(np.float32)), organ[own])
        smoothed[own] = _slice_scores(smooth_across_slices(maps[own], 0, len(own)), organ[own])
    before, after = roc_auc(alone, diseased), roc_auc(smoothed, diseased)
    return before is not None and after is not None and after > before


def _slice_scores(probability: Floats, organ: NDArray[np.bool_]) -> list[float]:
    """Mean of the strongest hundredth of each slice's organ, (B,K,S,S) -> B values."""
    strongest = probability.max(axis=1)
    return [mean_of_strongest(one[inside], _TOP_SHARE) for one, inside in zip(strongest, organ, strict=True)]


def _too_few(diseased: NDArray[np.bool_]) -> bool:
    return bool(min(diseased.sum(), (~diseased).sum()) < FEWEST_SLICES)


def shallowest_level_that_holds(config: ModelConfig, held_out: HeldOut) -> int | None:
    """The shallowest level whose outlines are nearly those of the deepest, in diseased and in normal slices.

    Returns:
        None where only the deepest level will do, or with too few slices to tell; at most MAXIMUM_SLICES are compared.
    """
    depth, diseased = config.network.heads, held_out.label > 0
    if depth < 2 or _too_few(diseased):
        return None
    half = MAXIMUM_SLICES // 2
    for_class = [evenly(np.flatnonzero(own), half) for own in (diseased, ~diseased)]
    deepest = [_predicted(config, held_out, index, depth) for index in for_class]
    if not deepest[0].any():
        return None
    for level in range(1, depth):
        if all(
            _nearly_the_same(_predicted(config, held_out, index, level), reference)
            for index, reference in zip(for_class, deepest, strict=True)
        ):
            return level
    return None


def _nearly_the_same(predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> bool:
    changed = int(np.count_nonzero(predicted ^ reference))
    return changed <= LARGEST_CHANGE * (int(predicted.sum()) + int(reference.sum()))


def _predicted(config: ModelConfig, held_out: HeldOut, slices: NDArray[np.int64], level: int) -> NDArray[np.bool_]:
    """Predicted pixels (N,K,S,S) of single slices at a level."""
    found = [
        (held_out.probability(index, config, level) > config.threshold) & held_out.organ[index][:, None]
        for index in held_out.batches(slices)
    ]
    return np.concatenate(found)
