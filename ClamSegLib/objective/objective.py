"""The objective of a step: the terms of docs/explanation.md, each with its weight, each off at weight 0.

1 loss on what the pixels are taught; 2 positive pairs agree under the paper's distortions; 3 negative pairs differ pixel by
pixel. Objective 'paper': 1 is the hybrid loss with labels broadcast. Objective 'normative': 1 is the cross entropy with what
the normative map tells, and 3 counts where the diseased slice is told to be lesion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.augmentation import PairDistortion
from ClamSegLib.objective.batches import Batch, Slices
from ClamSegLib.objective.losses import HybridLoss, PixelwiseSeparation, SoftCrossEntropy
from ClamSegLib.objective.training_config import TrainingConfig

Logits = list[Tensor]  # of one branch, deepest head first


def _mean_probability(logits: Logits) -> Tensor:
    """Mean over the heads of the softmax, (B,C,H,W), float32."""
    return torch.stack([head.float().softmax(1) for head in logits]).mean(0)


def _cut(logits: Logits, start: int, stop: int) -> Logits:
    return [head[start:stop] for head in logits]


class Objective:
    """Computes the loss of one shard.

    Args:
        training: which terms and weights.
    """

    def __init__(self, training: TrainingConfig) -> None:
        self.training = training
        self.hybrid, self.separation, self.soft = HybridLoss(), PixelwiseSeparation(), SoftCrossEntropy()

    def loss(
        self, twin: TwinUNet, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Forward passes and the weighted sum of the terms.

        Args:
            twin: in training mode.
            batch: of this shard.
            progress: share of the training done, 0..1.
            generator: for the distortions.

        Returns:
            A scalar and the value of each term that was computed.
        """
        use_pairs = batch.diseased is not None and progress >= self.training.warmup_share
        if not use_pairs:
            logits = [branch(taught.image) for branch, taught in zip(twin.branches, batch.taught, strict=True)]
            terms = {"hybrid": self._taught(batch.taught, logits)}
        else:
            terms = self._with_pairs(twin, batch, generator)
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(value.detach()) for name, value in terms.items()}

    def _with_pairs(self, twin: TwinUNet, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        diseased, normal = batch.diseased, batch.normal
        assert diseased is not None
        assert normal is not None
        whole = torch.cat([diseased.image, normal.image])
        organ = torch.cat([diseased.organ, normal.organ])
        distortion = PairDistortion.sample(len(whole), whole.shape[-1], generator, whole.device)
        distorted = distortion.image(whole)
        # One pass for all images of a branch, so that batch statistics come from both classes.
        logits, n = [], len(batch.taught[0].image)
        for branch, taught in zip(twin.branches, batch.taught, strict=True):
            logits.append(branch(torch.cat([taught.image, whole, distorted])))
        m = len(whole)
        on_taught = [_cut(branch, 0, n) for branch in logits]
        on_whole = [_cut(branch, n, n + m) for branch in logits]
        on_distorted = [_cut(branch, n + m, n + 2 * m) for branch in logits]
        terms, t = {"hybrid": self._taught(batch.taught, on_taught)}, self.training
        if t.weight_positive and len(logits) == 2:
            terms["positive"] = t.weight_positive * self._positive(on_whole, on_distorted, organ, distortion)
        if t.weight_separation:
            terms["separation"] = t.weight_separation * self._separation(on_whole, diseased, normal)
        return terms

    def _taught(self, taught: tuple[Slices, ...], logits: list[Logits]) -> Tensor:
        """Term 1, mean over branches and heads."""
        soft = self.training.follows_normative_map
        losses = [
            self.soft(head, slices.target, slices.weight, slices.organ)
            if soft
            else self.hybrid(head.float().softmax(1), slices.target, slices.weight, slices.organ)
            for slices, heads in zip(taught, logits, strict=True)
            for head in heads
        ]
        return torch.stack(losses).mean()

    def _positive(
        self, on_whole: list[Logits], on_distorted: list[Logits], organ: Tensor, distortion: PairDistortion
    ) -> Tensor:
        """Term 2: T p_A(x) agrees with sg p_B(T x), and the other way round."""
        valid = distortion.valid & (distortion.map(organ[:, None].float())[:, 0] > 0.5)
        losses = []
        for own in (0, 1):
            moved = distortion.map(_mean_probability(on_whole[own]))
            # Padding moves zeros in: there the map is no distribution, and `valid` leaves it out.
            target = _mean_probability(on_distorted[1 - own]).detach()
            losses.append(self.hybrid(moved.clamp(1e-6, 1.0), target, None, valid))
        return torch.stack(losses).mean()

    def _separation(self, on_whole: list[Logits], diseased: Slices, normal: Slices) -> Tensor:
        """The paper's negative pairs: the two branches differ, pixel by pixel, on slices of different class."""
        d = len(diseased.image)
        both = diseased.organ & normal.organ
        if self.training.objective == "normative":
            both &= diseased.target[:, 0] < 0.5
        losses = (
            [
                self.separation(
                    _mean_probability(_cut(a, 0, d)), _mean_probability(_cut(b, d, 2 * d)), both, diseased.eta
                )
                for a, b in (on_whole, on_whole[::-1])
            ]
            if len(on_whole) == 2
            else [torch.zeros((), device=both.device)]
        )
        return torch.stack(losses).mean()
