"""How a training runs: one frozen dataclass, written as part of run.json and read from `--config FILE`.

docs/configuration.md is made from the docstring: `python Packaging/write_configuration.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ClamSegLib.system.errors import InputError

_WORDS = {
    "task": ("lesion", "organ"),
    "objective": ("normative", "paper"),
    "supervision": ("labels", "masks"),
    "mixed_precision": ("auto", "off", "bf16"),
}
_RANGES = {
    "eta": (0.001, 1.0),
    "minutes": (0.0, 100_000.0),
    "steps": (0, 10_000_000),
    "batch_pairs": (2, 4096),
    "learning_rate": (1e-7, 1.0),
    "weight_decay": (0.0, 10.0),
    "warmup_share": (0.0, 0.5),
    "whole_share": (0.0, 1.0),
    "position_tolerance": (0.0, 1.0),
    "weight_positive": (0.0, 1000.0),
    "weight_separation": (0.0, 1000.0),
    "top_share": (1e-4, 0.5),
    "normal_share": (0.5, 0.9999),
    "ema_decay": (0.0, 0.99999),
    "validation_share": (0.0, 0.9),
    "validate_every": (1, 10_000_000),
    "augmentation": (0.0, 1.0),
    "seed": (0, 2**31),
}


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the course of a training, apart from the data and the network.

    Attributes:
        task: 'lesion', or 'organ', which learns from organ masks.
        objective: 'normative' (docs/explanation.md), or 'paper' (labels broadcast, pixel-wise separation).
        supervision: 'labels' (image labels, and masks only where a user corrected) or 'masks' (the ceiling).
        eta: probability that a diseased slice shows the lesion, where labels.csv does not say.
        steps: optimiser steps; 0 lets `minutes` decide.
        minutes: time for the whole training; the number of steps follows from the measured time of the first ones.
        batch_pairs: pairs of slices in a step, over all processes.
        learning_rate: largest one, after the warm-up; it then falls along a cosine to 1 %.
        weight_decay: of AdamW.
        warmup_share: share of the steps in which the learning rate rises and the pair terms are off.
        whole_share: objective 'normative': slices shown for the pair terms, as a share of the batch.
        position_tolerance: largest difference in relative height, 0..1, of the slices of a pair.
        weight_positive: factor of the positive pairs (a slice and its distorted copy agree); 0 switches a term off.
        weight_separation: factor of the paper's pixel-wise negative pairs; objective 'paper', and 'normative' where the
            diseased slice is told to be lesion.
        top_share: share of organ pixels that a slice's score is the mean of.
        augmentation: strength of the training augmentation, 0 (none) to 1.
        flip: augmentation may exchange left and right.
        volume_evidence: objective 'normative': the finished model weighs the normative map of the whole volume beside the
            network, unless held-out image labels speak against it.
        normal_share: objective 'paper': share of the pixels of normal held-out slices that stays below P_L = 0.5; sets o_N.
        ema_decay: of the running average of the weights, which is validated and saved.
        validation_share: share of training patients held out to choose without masks.
        validate_every: steps from one validation to the next.
        mixed_precision: 'auto' (bfloat16 on a GPU that computes it, else float32), 'off', or 'bf16' (float32 where
            bfloat16 is slower).
        seed: of everything random.
    """

    task: str = "lesion"
    objective: str = "normative"
    supervision: str = "labels"
    eta: float = 1.0
    steps: int = 600
    minutes: float = 0.0
    batch_pairs: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_share: float = 0.1
    whole_share: float = 0.25
    position_tolerance: float = 0.1
    weight_positive: float = 0.1
    weight_separation: float = 0.1
    top_share: float = 0.02
    augmentation: float = 1.0
    flip: bool = True
    volume_evidence: bool = True
    normal_share: float = 0.92
    ema_decay: float = 0.99
    validation_share: float = 0.2
    validate_every: int = 100
    mixed_precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _WORDS.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} '{getattr(self, name)}' is unknown; allowed are {', '.join(allowed)}.")
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} {getattr(self, name)} is out of range; allowed is {low} to {high}.")
        if self.steps == 0 and self.minutes == 0:
            raise InputError("Neither steps nor minutes is given; name one of them.")

    @property
    def follows_normative_map(self) -> bool:
        """Whether diseased slices are taught what the normative map tells."""
        return self.task == "lesion" and self.objective == "normative" and self.supervision == "labels"
