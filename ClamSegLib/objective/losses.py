"""The losses: eq. 1 of the paper and the terms of the pair objective.

All compute in float32, also under autocast, and take means over the organ, so that crops with little organ
weigh as much as others. Symbols: y target, p probability, eta the probability that a diseased slice shows
the lesion.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
