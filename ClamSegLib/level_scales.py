"""Shallow levels on the scale of the deepest one, so that a cut set for the deepest means the same to all.

The log odds ratio of a level is the mean of its heads; deeper heads are surer, so a shallow level spreads less and its
outlines would lie elsewhere, although it orders pixels nearly alike (docs/research/performance.md). A factor and an offset give it
the mean and the spread, inside the organ, that the deepest has on held-out slices. No mask is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, log_odds_ratio

Scales = tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


def measure_level_scales(
    twin: TwinUNet, config: ModelConfig, batches: Iterable[tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]]
) -> Scales:
    """Factor and offset per level but the deepest, branch and condition.

    Args:
        twin: in evaluation mode.
        config: with odds of normal tissue and weights of the heads.
        batches: images (B,1,S,S) on the device of `twin`, organ (B,S,S), diseased (B,).

    Returns:
        Empty for organ models, networks with one head, and where no pixel of an organ was seen.
    """
    depth = config.network.heads
    if config.task == "organ" or depth < 2:
        return ()
    count = 0
    # level, branch, condition: sum and sum of squares
    sums = np.zeros((depth, config.network.branches, len(config.conditions), 2))
    for image, organ, _ in batches:
        with torch.inference_mode():
            logits = twin(image)
        inside = torch.from_numpy(organ)
        count += int(organ.sum())
        for level in range(1, depth + 1):
            for branch, heads in enumerate(logits):
                for condition, values in enumerate(_inside(heads[-level:], config, branch, inside)):
                    sums[level - 1, branch, condition] += (values.sum(), np.square(values).sum())
    if not count:
        return ()
    mean = sums[..., 0] / count
    spread = np.sqrt(np.maximum(sums[..., 1] / count - mean**2, 0))
    factor = np.where(spread > 0, spread[-1] / np.maximum(spread, 1e-12), 1.0)
    offset = mean[-1] - factor * mean
    return tuple(
        tuple(
            tuple((_rounded(factor[n, k, c]), _rounded(offset[n, k, c])) for c in range(factor.shape[2]))
            for k in range(factor.shape[1])
        )
        for n in range(depth - 1)
    )


def _inside(heads: Sequence[Tensor], config: ModelConfig, branch: int, organ: Tensor) -> NDArray[np.float64]:
    """Log odds ratios (K,N) of the organ's pixels."""
    weights = torch.tensor(config.head_weights or (1.0,) * config.network.heads, device=heads[0].device)
    odds = torch.tensor(config.odds_normal[branch], device=heads[0].device)
    ratio = log_odds_ratio(heads, odds, weights).cpu()
    return np.asarray(ratio.transpose(0, 1)[:, organ], np.float64)


def _rounded(value: float) -> float:
    return round(float(value), 4)
