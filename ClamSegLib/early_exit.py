"""When a slice needs no more than a shallow level: its outline there is decided, so that deeper ones would hardly move it.

What is undecided at a level is the share of a slice's marks whose P_L, sharpened as it is given out, lies close to the
threshold. The limit below which a slice leaves is set on held-out slices, without any mask: the deepest level's own
outlines are what must stay. Of the marks of normal slices, and of those of diseased ones, at most 2 % may change, and
image labels must be told from the slices' scores as well as at the deepest level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.decoding.refinement import refined
from ClamSegLib.metrics import roc_auc
from ClamSegLib.model.config import EarlyExit, ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode

TOP_SHARE = 0.01
# P_L this close to the threshold is undecided.
UNDECIDED = 0.1
LARGEST_CHANGE = 0.02
LARGEST_AUC_LOSS = 0.005
FEWEST_SLICES = 20
# Less than this share of the time saved is not worth leaving the deepest level's order of pixels.
_SMALLEST_GAIN = 0.1
# Operations (FLOP) a pixel that asking counts for: a rough figure, so that small networks are not asked for nothing.
_ASKING_FLOP = 4000
# Limits tried at a level: the deeper the network, the more combinations.
_LIMITS_TRIED = 11


def slice_scores(probability: NDArray[np.float32], organ: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How strongly the strongest hundredth of the organ's pixels is marked.

    Args:
        probability: (B, K, S, S) in 0..1.
        organ: (B, S, S).

    Returns:
        (B,), 0 for a slice without organ.
    """
    scores = np.zeros(len(probability))
    for n, (maps, inside) in enumerate(zip(probability.max(axis=1), organ, strict=True)):
        values = maps[inside]
        if values.size:
            k = max(1, int(TOP_SHARE * values.size))
            scores[n] = float(np.partition(values, -k)[-k:].mean())
    return scores


def undecided(probability: NDArray[np.float32], organ: NDArray[np.bool_], threshold: float) -> NDArray[np.float64]:
    """Share of a slice's outline that is undecided: pixels near the threshold, of them and all that are marked.

    Args:
        probability: (B, K, S, S) P_L as it is given out.
        organ: (B, S, S); other pixels are not counted.

    Returns:
        (B,) in 0..1; 0 where nothing comes near the threshold.
    """
    inside = organ[:, None]
    near = inside & (np.abs(probability - np.float32(threshold)) < UNDECIDED)
    either = near | (inside & (probability > threshold))
    counts = near.sum(axis=(1, 2, 3)), either.sum(axis=(1, 2, 3))
    return np.asarray(counts[0] / np.maximum(counts[1], 1), np.float64)


def doubt(
    probability: NDArray[np.float32], image: NDArray[np.float32], organ: NDArray[np.bool_], config: ModelConfig
) -> NDArray[np.float64]:
    """Share of a slice's outline that is undecided, told from every second row and column of its maps.

    Args:
        probability: (B,K,S,S) P_L of the network.
        image: (B,1,S,S) its input.
        organ: (B,S,S).

    Returns:
        (B,) in 0..1.
    """
    half = np.s_[..., ::2, ::2]
    maps, inside = probability[half], organ[half]
    if config.refinement is not None:
        maps = refined(maps, image[half], inside, config.refinement)
    return undecided(maps, inside, config.threshold)


def cost_of_levels(config: ModelConfig) -> tuple[list[float], float]:
    """Time of levels 1..depth, and of asking a slice whether it may leave, as shares of the deepest level's time.

    Levels are compared by their arithmetic; asking counts as so many operations a pixel.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    with torch.device("meta"):
        image = torch.zeros(1, config.network.in_channels, config.image_size, config.image_size)
        for level in range(1, config.network.depth + 1):
            twin = TwinUNet(config.network, level=level).eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                twin(image)
            counts.append(float(counter.get_total_flops()))
    return [count / counts[-1] for count in counts], _ASKING_FLOP * config.image_size**2 / counts[-1]


@dataclass(frozen=True)
class LevelsCompared:
    """What N held-out slices show of the levels 1..D beside the deepest, D.

    Attributes:
        undecided: (D,N) `doubt` at a level; 0 at the deepest, where every slice stays.
        changed: (D,N) pixels that only the level or only the deepest marks.
        marked: (D,N) pixels that the level marks and pixels that the deepest marks, added.
        score: (D,N) `slice_scores`.
    """

    undecided: NDArray[np.float64]
    changed: NDArray[np.int64]
    marked: NDArray[np.int64]
    score: NDArray[np.float64]

    def left_at(self, limits: Sequence[float | None]) -> NDArray[np.int64]:
        """The level (N,), 0 for level 1, at which each slice leaves.

        Args:
            limits: of levels 1..D-1; None: nothing leaves there.
        """
        level = np.full(self.undecided.shape[1], len(self.undecided) - 1)
        for number in reversed(range(len(limits))):
            limit = limits[number]
            if limit is not None:
                level[self.undecided[number] <= limit] = number
        return level

    def bear(self, limits: Sequence[float | None], diseased: NDArray[np.bool_]) -> bool:
        """Whether marks and the order of slices stay what they are at the deepest level, nearly.

        Args:
            diseased: (N,) image labels.
        """
        level, slices = self.left_at(limits), np.arange(len(diseased))
        changed, marked = self.changed[level, slices], self.marked[level, slices]
        for own in (diseased, ~diseased):
            if changed[own].sum() > LARGEST_CHANGE * marked[own].sum():
                return False
        auc, deepest = (roc_auc(score, diseased) for score in (self.score[level, slices], self.score[-1]))
        return auc is None or deepest is None or auc >= deepest - LARGEST_AUC_LOSS

    def cost(self, limits: Sequence[float | None], costs: Sequence[float], asking: float) -> float:
        """Time of a slice as a share of the deepest level's: that of where it left, which holds those before it, and
        of asking it at each level on the way where not every slice leaves.
        """
        level = self.left_at(limits)
        asked = sum((level >= number).mean() for number, limit in enumerate(limits) if limit is not None and limit < 1)
        return float(np.asarray(costs)[level].mean() + asking * asked)

    def cheapest(self, diseased: NDArray[np.bool_], costs: Sequence[float], asking: float) -> tuple[float | None, ...]:
        """The limits of levels 1..D-1 that cost least of those that slices of both classes bear; all None at worst.

        Args:
            costs: of levels 1..D and of `asking`, as `cost_of_levels` tells them.
        """
        shares = np.linspace(0.0, 1.0, _LIMITS_TRIED)
        tried: list[list[float | None]] = [
            # 1: all leave, asked or not.
            [None, *dict.fromkeys([*np.quantile(own, shares[:-1], method="lower").tolist(), 1.0])]
            for own in self.undecided[:-1]
        ]
        by_cost = sorted(product(*tried), key=lambda limits: self.cost(limits, costs, asking))
        return next(limits for limits in by_cost if self.bear(limits, diseased))


def calibrate_early_exits(
    twin: TwinUNet,
    config: ModelConfig,
    batches: Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]],
) -> tuple[EarlyExit, ...]:
    """The levels and limits that save most on held-out slices.

    Args:
        twin: in evaluation mode.
        config: with odds of normal tissue, refinement and threshold as they are shipped.
        batches: images (B,1,S,S) on the device of `twin`, organ (B,S,S), diseased (B,).

    Returns:
        Shallow first. Empty for organ models and plain networks, with fewer than 20 slices of either class, where the
        deepest level marks no diseased slice, or where nothing is saved.
    """
    depth = config.network.depth
    if config.task == "organ" or config.network.kind != "unetplusplus" or depth < 2:
        return ()
    rows, labels = [], []
    for image, organ, diseased in batches:
        rows.append(_compared(twin, config, image, organ))
        labels.append(np.asarray(diseased, bool))
    if not labels:
        return ()
    sick = np.concatenate(labels)
    names = [field.name for field in fields(LevelsCompared)]
    compared = LevelsCompared(*(np.concatenate([getattr(row, name) for row in rows], axis=1) for name in names))
    if min(sick.sum(), (~sick).sum()) < FEWEST_SLICES or not compared.marked[-1][sick].any():
        return ()
    return _exits(compared, sick, *cost_of_levels(config))


def _compared(twin: TwinUNet, config: ModelConfig, image: Tensor, organ: NDArray[np.bool_]) -> LevelsCompared:
    """What slices show of levels 1..depth, as single slices are given out."""
    with torch.inference_mode():
        logits = twin(image)
    given, asked = image.cpu().numpy(), []
    maps: list[NDArray[np.float32]] = []
    for level in range(1, config.network.depth + 1):
        found = decode([heads[-level:] for heads in logits], config)[0].cpu().numpy()
        asked.append(doubt(found, given, organ, config) if level < config.network.depth else np.zeros(len(organ)))
        maps.append(found if config.refinement is None else refined(found, given, organ, config.refinement))
    marks = [(own > config.threshold) & organ[:, None] for own in maps]
    return LevelsCompared(
        np.stack(asked),
        np.stack([(own ^ marks[-1]).sum(axis=(1, 2, 3)) for own in marks]),
        np.stack([own.sum(axis=(1, 2, 3)) + marks[-1].sum(axis=(1, 2, 3)) for own in marks]),
        np.stack([slice_scores(own, organ) for own in maps]),
    )


def _exits(
    compared: LevelsCompared, diseased: NDArray[np.bool_], costs: Sequence[float], asking: float
) -> tuple[EarlyExit, ...]:
    limits = compared.cheapest(diseased, costs, asking)
    if 1 - compared.cost(limits, costs, asking) < _SMALLEST_GAIN:
        return ()
    left = compared.left_at(limits)
    return tuple(
        EarlyExit(number + 1, limit, round(float((left == number).mean()), 4))
        for number, limit in enumerate(limits)
        if limit is not None
    )


def batches_of(
    gather: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], count: int, size: int = 16
) -> Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Batches for `calibrate_early_exits` from a function of slice numbers: image, organ and label."""
    for start in range(0, count, size):
        image, organ, label = gather(torch.arange(start, min(start + size, count)))
        yield image, organ.cpu().numpy().astype(bool), label.cpu().numpy() > 0
