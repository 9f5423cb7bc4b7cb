"""How a training runs: one frozen dataclass, written as part of run.json and read from `--config FILE`."""

from __future__ import annotations

from dataclasses import dataclass

from ClamSegLib.system.errors import InputError

OBJECTIVES = ("clam", "paper")
SUPERVISIONS = ("labels", "masks")
MOSAICS = ("superpixel", "none")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} '{value}' is unknown; allowed are {', '.join(allowed)}.")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the course of a training, apart from the data and the network.

    Attributes:
        objective: 'clam' (docs/explanation.md) or 'paper' (labels broadcast, pixel-wise separation).
        supervision: 'labels' (image labels, and masks only where a user corrected) or 'masks' (the ceiling).
        eta: probability that a diseased slice shows the marker, where labels.csv does not say.
        steps: optimiser steps; 0 lets `minutes` decide.
        minutes: time for the whole training; the number of steps follows from the measured time of the first ones.
        refine: maps weigh each pixel's own value and follow the edges of the image, those that teach the next round
            and those of the finished model (map_refinement.py).
        batch_pairs: pairs of slices in a step, over all processes and shards.
        whole_share: share of a batch that shows whole slices for the pair terms 2, 3, 4 and 6.
        same_class_share: share of mosaics made of two slices of the same class, so that seams carry no label.
        weight_*: factor of each term of the objective; 0 switches it off.
        top_share: share of organ pixels that a slice's score is the mean of.
        normal_share: share of the pixels of normal held-out slices that stays below P_L = 0.5; sets o_N.
        peak_share: P_L = 0.5 lies no lower than at this share of a slice's strongest evidence (map_refinement.py).
        volume_peak_share: and of a volume's strongest evidence.
        ema_decay: of the weights that are validated and saved.
        validation_share: share of training patients held out to choose without masks.
        augmentation: strength of the training augmentation, 0 (none) to 1.
        mixed_precision: 'auto' (bfloat16 on a GPU that computes it, else float32), 'off', or 'bf16' (float32 where bfloat16 is slower).
    """

    task: str = "lesion"
    objective: str = "clam"
    supervision: str = "labels"
    eta: float = 1.0
    steps: int = 600
    minutes: float = 0.0
    refine: bool = True
    batch_pairs: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_share: float = 0.1
    mosaic: str = "superpixel"
    same_class_share: float = 0.2
    whole_share: float = 0.25
    weight_positive: float = 0.1
    weight_normal: float = 0.1
    weight_ranking: float = 0.1
    weight_area: float = 0.1
    weight_separation: float = 0.1
    top_share: float = 0.02
    position_tolerance: float = 0.1
    normal_share: float = 0.92
    peak_share: float = 0.4
    volume_peak_share: float = 0.3
    ema_decay: float = 0.99
    validation_share: float = 0.2
    validate_every: int = 100
    augmentation: float = 1.0
    flip: bool = True
    mixed_precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("task", self.task, ("lesion", "organ"))
        _one_of("objective", self.objective, OBJECTIVES)
        _one_of("supervision", self.supervision, SUPERVISIONS)
        _one_of("mosaic", self.mosaic, MOSAICS)
        _one_of("mixed_precision", self.mixed_precision, ("auto", "off", "bf16"))
        ranges = {
            "eta": (self.eta, 0.001, 1.0),
            "minutes": (self.minutes, 0.0, 100_000.0),
            "steps": (self.steps, 0, 10_000_000),
            "batch_pairs": (self.batch_pairs, 2, 4096),
            "learning_rate": (self.learning_rate, 1e-7, 1.0),
            "warmup_share": (self.warmup_share, 0.0, 0.5),
            "same_class_share": (self.same_class_share, 0.0, 1.0),
            "whole_share": (self.whole_share, 0.0, 1.0),
            "top_share": (self.top_share, 1e-4, 0.5),
            "normal_share": (self.normal_share, 0.5, 0.9999),
            "peak_share": (self.peak_share, 0.0, 0.99),
            "volume_peak_share": (self.volume_peak_share, 0.0, 0.99),
            "ema_decay": (self.ema_decay, 0.0, 0.99999),
            "validation_share": (self.validation_share, 0.0, 0.9),
            "validate_every": (self.validate_every, 1, 10_000_000),
            "augmentation": (self.augmentation, 0.0, 1.0),
            "seed": (self.seed, 0, 2**31),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise InputError(f"{name} {value} is out of range; allowed is {low} to {high}.")
        if self.steps == 0 and self.minutes == 0:
            raise InputError("Neither steps nor minutes is given; name one of them.")
