"""The losses: eq. 1 of the paper and the terms of the pair objective.

All compute in float32, also under autocast, and take means over the organ, so that crops with little organ
weigh as much as others. Symbols: y target, p probability, eta the probability that a diseased slice shows
the lesion.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

_TINY = 1e-12


def _masked_mean(values: Tensor, weight: Tensor | None, mask: Tensor | None) -> Tensor:
    """Mean of `values` (B,H,W) over `mask` with `weight` as factor; 0 when the mask is empty."""
    if weight is not None:
        values = values * (weight[:, None, None] if weight.dim() == 1 else weight[:, 0])
    if mask is None:
        return values.mean()
    inside = mask.float()
    return (values * inside).sum() / inside.sum().clamp_min(1.0)


class HybridLoss(nn.Module):
    """Eq. 1 of the paper: -1/N sum_n sum_c ( y log p + y p / (y^2 + p^2) ).

    The second part is an agreement term: with soft targets the minimum is exactly p = y. Bounded below by -C/2
    per pixel (-1/2 for one-hot targets). Where y = 0 a channel contributes nothing, hence background is a channel.
    """

    def forward(
        self, probability: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The loss.

        Args:
            probability: (B,C,H,W) in 0..1.
            target: (B,C,H,W) in 0..1, one-hot or soft.
            weight: eta per slice (B,) or per pixel (B,1,H,W); None for 1.
            mask: (B,H,W) pixels that count; None for all.

        Returns:
            Scalar, the mean over the pixels of the mask.
        """
        with torch.autocast(probability.device.type, enabled=False):
            p, y = probability.float(), target.float()
            agreement = y * p / (y * y + p * p).clamp_min(_TINY)
            per_pixel = -(y * p.clamp_min(1e-7).log() + agreement).sum(1)
            return _masked_mean(per_pixel, weight, mask)


class SoftCrossEntropy(nn.Module):
    """-1/N sum_n sum_c y log p, of logits; soft targets leave a probability where they are unsure."""

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
        """logits and target (B,C,H,W), weight (B,1,H,W), mask (B,H,W) -> scalar, the mean over the pixels of the mask."""
        with torch.autocast(logits.device.type, enabled=False):
            per_pixel = -(target.float() * logits.float().log_softmax(1)).sum(1)
            return _masked_mean(per_pixel, weight, mask)


def top_k_score(score: Tensor, mask: Tensor, top_share: float) -> Tensor:
    """Mean of the largest `top_share` of the scores inside the mask, (B,H,W) -> (B,); 0 for an empty mask."""
    flat = torch.where(mask, score.float(), torch.full_like(score, -torch.inf, dtype=torch.float32)).flatten(1)
    pixels = mask.flatten(1).sum(1)
    k = (pixels * top_share).long().clamp_min(1)
    largest = int(k.max())
    best = flat.topk(largest, dim=1).values
    counted = (torch.arange(largest, device=score.device)[None] < k[:, None]) & torch.isfinite(best)
    return torch.where(counted, best, torch.zeros_like(best)).sum(1) / counted.sum(1).clamp_min(1)


class NormalNormalLoss(nn.Module):
    """Term 3: hard negatives; softplus of the top-k log odds of normal slices, pushed down."""

    def __init__(self, top_share: float) -> None:
        super().__init__()
        self.top_share = top_share

    def forward(self, log_odds: Tensor, organ: Tensor) -> Tensor:
        """Lesion log odds (B,H,W) and organ (B,H,W) of normal slices -> scalar."""
        return softplus(top_k_score(log_odds, organ, self.top_share)).mean()


class RankingLoss(nn.Module):
    """Term 4: a diseased slice's top-k score lies above a normal one's by a margin, weighted by eta.

    Never pixel by pixel: that would force healthy pixels of diseased slices up.
    """

    def __init__(self, top_share: float, margin: float = 1.0) -> None:
        super().__init__()
        self.top_share, self.margin = top_share, margin

    def forward(self, diseased: Tensor, organ_d: Tensor, normal: Tensor, organ_n: Tensor, eta: Tensor) -> Tensor:
        """Log odds and organs (B,H,W) of paired slices, eta (B,) -> scalar >= 0."""
        gap = top_k_score(diseased, organ_d, self.top_share) - top_k_score(normal, organ_n, self.top_share)
        return (eta * torch.relu(self.margin - gap)).mean()


class AreaBandLoss(nn.Module):
    """Term 6: the expected lesion share of a diseased slice's organ stays between `low` and `high`."""

    def __init__(self, low: float = 0.002, high: float = 0.5) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, lesion: Tensor, organ: Tensor) -> Tensor:
        """lesion probability and organ (B,H,W) -> scalar >= 0, log-distance of the share from the band."""
        inside = organ.float()
        share = (lesion.float() * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp_min(1.0)
        share = share.clamp_min(1e-6)
        return (torch.relu(self.low / share - 1).log1p() + torch.relu(share / self.high - 1).log1p()).mean()


class PixelwiseSeparation(nn.Module):
    """The paper's negative pairs: outputs of the two networks differ pixel by pixel.

    The agreement term of eq. 1 between the two outputs, sum_c 2 q p / (q^2 + p^2), is pushed down.
    """

    def forward(self, first: Tensor, second: Tensor, mask: Tensor, eta: Tensor) -> Tensor:
        """Probabilities (B,C,H,W) of a diseased and a normal slice, mask (B,H,W), eta (B,) -> scalar >= 0."""
        with torch.autocast(first.device.type, enabled=False):
            p, q = first.float(), second.float()
            agreement = (2 * p * q / (p * p + q * q).clamp_min(_TINY)).mean(1)
            return _masked_mean(agreement, eta, mask)
