"""What a finished model is told by image labels of slices that it did not learn from, beside its threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.decoding.slice_smoothing import evidence, smooth_across_slices
from ClamSegLib.metrics import roc_auc
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.training.trainer import Trainer

FEWEST_STACKS, FEWEST_SLICES = 5, 20
_FARTHEST_STEP = 1.5
_TOP_SHARE = 0.01


def neighbours_of(trainer: Trainer, twin: TwinUNet, config: ModelConfig) -> bool:
    """Whether evidence should be averaged over neighbouring slices."""
    source = CropSource(trainer.crops, trainer.split[1], trainer.training, config.network.classes, torch.device("cpu"))

    def gather(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        slices = source.gather(index)
        return slices.image, slices.organ, slices.label

    stack = stacks_of(source.patient, source.position)
    return neighbours_help(twin, config, batches_of(gather, len(source)), stack)


def batches_of(
    gather: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], count: int, size: int = 16
) -> Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Batches from a function of slice numbers: image, organ and label."""
    for start in range(0, count, size):
        image, organ, label = gather(torch.arange(start, min(start + size, count)))
        yield image, organ.cpu().numpy().astype(bool), label.cpu().numpy() > 0


def slice_scores(probability: NDArray[np.float32], organ: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How strongly the strongest hundredth of the organ's pixels (B,S,S) is marked in maps (B,K,S,S); 0 without organ."""
    scores = np.zeros(len(probability))
    for n, (maps, inside) in enumerate(zip(probability.max(axis=1), organ, strict=True)):
        values = maps[inside]
        if values.size:
            k = max(1, int(_TOP_SHARE * values.size))
            scores[n] = float(np.partition(values, -k)[-k:].mean())
    return scores


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
        together[own] = slice_scores(smooth_across_slices(kept[own], 0, len(own)), organ[own])
    before, after = roc_auc(alone, diseased), roc_auc(together, diseased)
    return before is not None and after is not None and after > before
