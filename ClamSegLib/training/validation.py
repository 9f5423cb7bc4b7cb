"""Choosing without masks: what a training is judged by on held-out patients, and the odds of normal tissue.

No lesion mask is read here unless masks are the supervision. The figures (docs/explanation.md): slice AUC, and the lesion
area on diseased slices.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ClamSegLib.metrics import dice, mean_of_strongest, roc_auc
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import CropSource, step_generator
from ClamSegLib.objective.pairs import PairSampler
from ClamSegLib.objective.training_config import TrainingConfig

MAXIMUM_SLICES = 240
BATCH = 16


@dataclass(frozen=True)
class Validation:
    """Figures of one validation and what decoding needs.

    Attributes:
        figures: criterion (larger is better) and the parts it is made of.
        odds_normal: (branches, depth, K), level 1 first; empty for organ networks.
    """

    figures: dict[str, float]
    odds_normal: NDArray[np.float32]


def recalibrated(twin: TwinUNet, source: CropSource, training: TrainingConfig, step: int) -> TwinUNet:
    """A copy whose batch statistics come from whole slices of both classes, as inference shows them.

    Averaged weights have no statistics of their own, and those of training come from augmented slices.
    """
    copied = copy.deepcopy(twin).train()
    norms = [m for m in copied.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return copied.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean over the batches below
    generator = step_generator(training.seed, 7, 0, step)
    sampler = None
    if len(np.unique(source.label)) > 1:
        sampler = PairSampler(
            source.label, source.position, source.patient, position_tolerance=training.position_tolerance
        )
    with torch.no_grad():
        for _ in range(12):
            index = torch.randint(len(source), (24,), generator=generator)
            if sampler is not None:
                index = torch.cat(sampler.sample(12, generator))
            copied(source.gather(index).image)
    for norm in norms:
        norm.momentum = 0.1
    return copied.eval()


def log_odds(twin: TwinUNet, image: Tensor) -> Tensor:
    """Log odds condition : background, (B, branches, depth, K, H, W), level 1 first."""
    with torch.no_grad():
        branches = twin(image)
    return torch.stack(
        [torch.stack([(h[:, 1:] - h[:, :1]).float() for h in reversed(heads)], dim=1) for heads in branches], dim=1
    )


def evenly(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the indices, evenly spread."""
    if len(indices) <= most:
        return indices
    return np.asarray(indices[np.linspace(0, len(indices) - 1, most).round().astype(int)])


class _Scores:
    """Log odds of the organ pixels of held-out slices, kept in float16, and what follows from them."""

    def __init__(self, twin: TwinUNet, source: CropSource) -> None:
        normal = np.flatnonzero(source.label == 0)
        diseased = np.flatnonzero(source.label > 0)
        self.index = np.concatenate([evenly(normal, MAXIMUM_SLICES // 2), evenly(diseased, MAXIMUM_SLICES // 2)])
        self.label = source.label[self.index]
        self.pixels: list[NDArray[np.float16]] = []  # per slice (n, branches, depth, K)
        for start in range(0, len(self.index), BATCH):
            slices = source.gather(torch.from_numpy(self.index[start : start + BATCH]))
            odds = log_odds(twin, slices.image).permute(0, 4, 5, 1, 2, 3).half().cpu().numpy()
            organ = slices.organ.cpu().numpy()
            self.pixels += [odds[k][organ[k]] for k in range(len(odds))]

    def log_odds_of_normal(self, share: float) -> NDArray[np.float32]:
        """log o_N (branches, depth, K): P_L stays below one half on `share` of the pixels of normal slices.

        Each head's median, then all heads of a branch are moved alike, so that the odds twice o_N lie at that
        quantile of the heads' mean. A median alone leaves the cut to how far a network dares to go: little after
        few steps, very far after many.
        """
        # Every slice counts the same number of pixels, and enough of them for a stable quantile.
        normal = [p for p, label in zip(self.pixels, self.label, strict=True) if label == 0 and len(p)]
        pool = np.concatenate([p[:: max(1, len(p) // 4000)] for p in normal])
        median = np.median(pool.astype(np.float32), axis=0)
        limit = np.quantile(log_ratio(pool, median), share, axis=0)
        return np.asarray(median + (limit - np.log(2.0))[:, None], np.float32)


def log_ratio(pixels: NDArray[np.float16], log_normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the heads of log(o / o_N): (n, branches, depth, K) -> (n, branches, K)."""
    return np.asarray((pixels.astype(np.float32) - log_normal).mean(axis=2), np.float32)


def _slice_score(ratio: NDArray[np.float32], top_share: float) -> float:
    """Mean over the branches of the mean of the top share of pixels of a slice, (n, branches, K) -> score."""
    return float(np.mean([mean_of_strongest(branch, top_share) for branch in ratio.max(axis=2).T]))


def validate(twin: TwinUNet, source: CropSource, training: TrainingConfig) -> Validation:
    """Judges `twin` (in evaluation mode) on held-out slices of both classes."""
    if training.task == "organ" or training.supervision == "masks":
        return _validate_with_masks(twin, source, training)
    scores = _Scores(twin, source)
    log_normal = scores.log_odds_of_normal(training.normal_share)
    ratios = [log_ratio(p, log_normal) for p in scores.pixels]
    by_slice = np.array([_slice_score(r, training.top_share) if len(r) else -np.inf for r in ratios])
    # P_L = 1 - exp(-log ratio), the mean of the branches.
    areas = [
        (-np.expm1(-np.clip(r, 0.0, 60.0)).mean(axis=1) > 0.5).mean(axis=0).sum()
        for r, label in zip(ratios, scores.label, strict=True)
        if label > 0 and len(r)
    ]
    finite = np.isfinite(by_slice)
    auc = roc_auc(by_slice[finite], scores.label[finite] > 0)
    auc = 0.5 if auc is None else float(auc)
    figures = {
        "criterion": auc,
        "slice_auc": auc,
        "lesion_area": float(np.mean(areas)) if areas else 0.0,
    }
    return Validation(figures, np.exp(log_normal).astype(np.float32))


def _validate_with_masks(twin: TwinUNet, source: CropSource, training: TrainingConfig) -> Validation:
    """Mean Dice of p > 0.5 over held-out slices with a mask: for organ networks and for the ceiling."""
    index = evenly(np.arange(len(source)), MAXIMUM_SLICES)
    values = []
    for start in range(0, len(index), BATCH):
        slices = source.gather(torch.from_numpy(index[start : start + BATCH]))
        odds = log_odds(twin, slices.image).cpu().mean(dim=(1, 2))
        organ = slices.organ.cpu().numpy()
        found = (odds.amax(1) > 0).numpy() & organ
        target = (slices.target[:, 0] < 0.5).cpu().numpy() & organ
        known = slices.weight.flatten(1).amax(1).cpu().numpy() > 0
        values += [dice(f, t) for f, t, k in zip(found, target, known, strict=True) if k and t.any()]
    figure = float(np.mean(values)) if values else 0.0
    network = twin.network
    # The network's own probability is the posterior: o_N = 1/2 makes P_L > 0.5 the same as p > 0.5.
    shape = (network.branches, network.heads, source.classes - 1) if training.task == "lesion" else (0,)
    return Validation({"criterion": figure, "dice": figure}, np.full(shape, 0.5, np.float32))
