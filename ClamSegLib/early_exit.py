"""When a slice needs no more than a shallow level: a score at that level below a limit set on validation slices.

Only image labels are used. The limit is the largest score at which (1) no more than 95 % of the normal slices leave and
(2) the diseased slices that leave hold at most half a percent of the lesion pixels that the deepest level marks on
diseased slices: that share bounds what their masks can lose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.clam import Clam, decode
from ClamSegLib.config import EarlyExit, ModelConfig
from ClamSegLib.map_refinement import refined

TOP_SHARE = 0.01
LARGEST_NORMAL_SHARE = 0.95
LARGEST_LOSS = 0.005
FEWEST_SLICES = 20
# Less than this share of the time saved is not worth a second network in memory.
_SMALLEST_GAIN = 0.1


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


def cost_of_levels(config: ModelConfig) -> list[float]:
    """Arithmetic of levels 1..depth as a share of the deepest one's."""
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    with torch.device("meta"):
        image = torch.zeros(1, config.network.in_channels, config.image_size, config.image_size)
        for level in range(1, config.network.depth + 1):
            clam = Clam(config.network, level=level).eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                clam(image)
            counts.append(float(counter.get_total_flops()))
    return [count / counts[-1] for count in counts]


def limit_of(scores: NDArray[np.float64], diseased: NDArray[np.bool_], pixels: NDArray[np.int64]) -> float | None:
    """The largest score with which a slice may leave; None where no slice may.

    Args:
        scores: (N,) at the shallow level.
        diseased: (N,) image labels.
        pixels: (N,) lesion pixels that the deepest level marks.
    """
    sick = np.argsort(scores[diseased])
    lost = np.cumsum(pixels[diseased][sick])
    allowed = LARGEST_LOSS * lost[-1]
    too_much = np.flatnonzero(lost > allowed)
    highest = float(np.quantile(scores[~diseased], LARGEST_NORMAL_SHARE))
    if len(too_much):
        # Below the first slice whose pixels would be too many; scores that equal it must stay too.
        first = float(scores[diseased][sick[too_much[0]]])
        highest = min(highest, float(np.nextafter(first, -np.inf)))
    return highest if highest >= 0 and (scores[~diseased] <= highest).any() else None


def calibrate_early_exit(
    clam: Clam,
    config: ModelConfig,
    batches: Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]],
) -> EarlyExit | None:
    """The level and limit that save most on validation slices.

    Args:
        clam: in evaluation mode.
        config: with odds of normal tissue.
        batches: images (B,1,S,S) on the device of `clam`, organ (B,S,S), diseased (B,).

    Returns:
        None for organ models and plain networks, with fewer than 20 slices of either class, or where nothing is saved.
    """
    depth = config.network.depth
    if config.task == "organ" or config.network.kind != "unetplusplus" or depth < 2:
        return None
    scores: list[list[NDArray[np.float64]]] = [[] for _ in range(depth)]
    pixels: list[NDArray[np.int64]] = []
    labels: list[NDArray[np.bool_]] = []
    for image, organ, diseased in batches:
        with torch.inference_mode():
            logits = clam(image)
        for level in range(1, depth + 1):
            maps = decode([heads[-level:] for heads in logits], config)[0].cpu().numpy()
            scores[level - 1].append(slice_scores(maps, organ))
        if config.refinement is not None:
            maps = refined(maps, image.cpu().numpy(), config.refinement)
        pixels.append(((maps.max(axis=1) > config.threshold) & organ).sum(axis=(1, 2)))
        labels.append(np.asarray(diseased, bool))
    if not labels:
        return None
    sick, marked = np.concatenate(labels), np.concatenate(pixels)
    if min(sick.sum(), (~sick).sum()) < FEWEST_SLICES or not marked[sick].any():
        return None
    return _most_saving([np.concatenate(s) for s in scores], sick, marked, cost_of_levels(config))


def _most_saving(
    scores: list[NDArray[np.float64]], sick: NDArray[np.bool_], marked: NDArray[np.int64], costs: list[float]
) -> EarlyExit | None:
    best: EarlyExit | None = None
    most = _SMALLEST_GAIN
    for level in range(1, len(scores)):
        limit = limit_of(scores[level - 1], sick, marked)
        if limit is None:
            continue
        leaving = float((scores[level - 1][~sick] <= limit).mean())
        saved = leaving - costs[level - 1]
        if saved > most:
            best, most = EarlyExit(level, limit, round(leaving, 4)), saved
    return best


def batches_of(
    gather: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], count: int, size: int = 16
) -> Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Batches for `calibrate_early_exit` from a function of slice numbers: image, organ and label."""
    for start in range(0, count, size):
        image, organ, label = gather(torch.arange(start, min(start + size, count)))
        yield image, organ.cpu().numpy().astype(bool), label.cpu().numpy() > 0
