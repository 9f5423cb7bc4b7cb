"""Each slice heard together with the two beside it: a large lesion rarely ends between two slices, noise does.

The evidence of a pixel, -log(1 - P_L), is averaged over three slices with the weights 1/4, 1/2 and 1/4 before the map is
sharpened by the image, so that outlines still follow the slice's own edges. Lesions smaller than a slice's distance lose
by it (docs/research/results.md has figures of both), so a model does so only where held-out image labels said that it helps.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.early_exit import FEWEST_SLICES, slice_scores
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.metrics import roc_auc
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode

# Slices farther apart than this tell little of each other; measured on sets with slices up to about 5 mm.
FARTHEST_MM = 7.5
# Fewer stacks of slices than this tell nothing about others.
FEWEST_STACKS = 5
_FARTHEST_STEP = 1.5
_BESIDE = np.float32(0.25)
_MOST_CERTAIN = np.float32(1 - 1 / 512)  # a probability in 1/255 steps says no more


def have_neighbours(volume: Volume) -> bool:
    """Whether the slices of a canonical volume lie close enough to be heard together; an unknown distance counts so."""
    close = not volume.spacing_known or volume.spacing_mm[2] <= FARTHEST_MM
    return volume.array.shape[0] > 1 and close


def evidence(probability: NDArray[np.float32]) -> NDArray[np.float16]:
    """-log(1 - P_L), any shape; half precision, because a case keeps it for all slices."""
    return np.asarray(-np.log1p(-np.minimum(probability, _MOST_CERTAIN)), np.float16)


def heard_together(kept: NDArray[np.float16], start: int, stop: int) -> NDArray[np.float32]:
    """P_L of the slices start..stop-1 with their neighbours; a slice at an end has one.

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


def stacks_of(patient: NDArray[np.int64], position: NDArray[np.float32]) -> NDArray[np.int64]:
    """The stack (N,) of each slice: slices of one patient, one above the other, without a gap.

    Args:
        patient: (N,) in the order in which the slices were read, case by case.
        position: (N,) height in the organ, 0..1.
    """
    step = np.diff(position)
    same = (np.diff(patient) == 0) & (step > 0)
    for one in np.unique(patient[1:][same]):
        own = same & (patient[1:] == one)
        same[own & (step > _FARTHEST_STEP * np.median(step[own]))] = False
    return np.asarray(np.r_[0, np.cumsum(~same)], np.int64)


def neighbours_help(
    twin: TwinUNet,
    config: ModelConfig,
    batches: Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]],
    stack: NDArray[np.int64],
) -> bool:
    """Whether image labels of held-out slices are told better from slices heard together than from single ones.

    Args:
        twin: in evaluation mode.
        config: with odds of normal tissue.
        batches: images (B,1,S,S) on the device of `twin`, organ (B,S,S), diseased (B,), in the order of `stack`.
        stack: (N,) of `stacks_of`.

    Returns:
        True where the slice AUC rises; False for organ models and with too few slices or stacks to tell.
    """
    several = np.flatnonzero(np.bincount(stack) > 1)
    if config.task == "organ" or len(several) < FEWEST_STACKS:
        return False
    kept, organs, labels = [], [], []
    for image, organ, diseased in batches:
        with torch.inference_mode():
            kept.append(evidence(decode(twin(image), config)[0].cpu().numpy()))
        organs.append(organ)
        labels.append(np.asarray(diseased, bool))
    return told_better(np.concatenate(kept), np.concatenate(organs), np.concatenate(labels), stack)


def told_better(
    kept: NDArray[np.float16], organ: NDArray[np.bool_], diseased: NDArray[np.bool_], stack: NDArray[np.int64]
) -> bool:
    """Whether diseased slices stand out more when slices are heard together.

    Args:
        kept: (N,K,S,S) `evidence`.
        organ: (N,S,S).
        diseased: (N,) image labels.
        stack: (N,) of `stacks_of`.
    """
    if min(diseased.sum(), (~diseased).sum()) < FEWEST_SLICES:
        return False
    alone, together = np.zeros(len(kept)), np.zeros(len(kept))
    for number in range(int(stack.max()) + 1):
        own = np.flatnonzero(stack == number)
        alone[own] = slice_scores(-np.expm1(-kept[own].astype(np.float32)), organ[own])
        together[own] = slice_scores(heard_together(kept[own], 0, len(own)), organ[own])
    before, after = roc_auc(alone, diseased), roc_auc(together, diseased)
    return before is not None and after is not None and after > before
