"""How a training runs: one frozen dataclass, written as part of run.json and read from `--config FILE`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ClamSegLib.system.errors import InputError

OBJECTIVES = ("clam", "paper")
RISKS = ("broadcast", "nnpu")
SUPERVISIONS = ("labels", "masks")
MOSAICS = ("superpixel", "tile", "mixed", "cutmix", "none")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} '{value}' is unknown; allowed are {', '.join(allowed)}.")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the course of a training, apart from the data and the network.

    Attributes:
        objective: 'clam' (docs/explanation.md) or 'paper' (labels broadcast, pixel-wise separation).
        risk: first term on pixels of diseased origin: 'broadcast' or the non-negative 'nnpu'.
        supervision: 'labels' (image labels, and masks only where a user corrected) or 'masks' (the ceiling).
        eta: probability that a diseased slice shows the marker, where labels.csv does not say.
        area_share: assumed share of lesion in a slice that shows it; prior of the nnpu risk.
        steps: optimiser steps of a round; 0 lets `minutes` decide.
        minutes: time for all rounds; the number of steps follows from the measured time of the first ones.
        rounds: trainings from scratch; every later one learns from the maps of the one before.
        first_round_share: steps of the first round as a share of `steps` where others follow; it only has to teach
            them, and its refined maps are as good after few steps as after many (docs/research/results.md).
        teacher: maps of the round before as 'hard' (P_L > 0.5) or 'soft' targets.
        refine: maps weigh each pixel's own value and follow the edges of the image, those that teach the next round
            and those of the finished model (map_refinement.py).
        batch_pairs: pairs of slices in a step, over all processes and shards.
        shards_per_process: parts a process splits its share into to save memory; gradients are averaged.
        whole_share: share of a batch that shows whole slices for the pair terms 2, 3, 4 and 6.
        correction_share: least share of the diseased slices of a batch that are corrected ones, where a user corrected
            any; 0 draws them as any other, which was better than 0.25 (docs/research/results.md).
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
    risk: str = "broadcast"
    supervision: str = "labels"
    eta: float = 1.0
    area_share: float = 0.1
    steps: int = 600
    minutes: float = 0.0
    rounds: int = 1
    first_round_share: float = 0.25
    teacher: str = "hard"
    refine: bool = True
    batch_pairs: int = 16
    shards_per_process: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_share: float = 0.1
    mosaic: str = "superpixel"
    same_class_share: float = 0.2
    correction_share: float = 0.0
    whole_share: float = 0.25
    weight_positive: float = 0.1
    weight_normal: float = 0.1
    weight_ranking: float = 0.1
    weight_cross: float = 0.0
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
        _one_of("risk", self.risk, RISKS)
        _one_of("supervision", self.supervision, SUPERVISIONS)
        _one_of("mosaic", self.mosaic, MOSAICS)
        _one_of("teacher", self.teacher, ("hard", "soft"))
        _one_of("mixed_precision", self.mixed_precision, ("auto", "off", "bf16"))
        ranges = {
            "eta": (self.eta, 0.001, 1.0),
            "area_share": (self.area_share, 0.0001, 0.9),
            "minutes": (self.minutes, 0.0, 100_000.0),
            "steps": (self.steps, 0, 10_000_000),
            "rounds": (self.rounds, 1, 10),
            "first_round_share": (self.first_round_share, 0.01, 1.0),
            "batch_pairs": (self.batch_pairs, 2, 4096),
            "shards_per_process": (self.shards_per_process, 1, 4096),
            "learning_rate": (self.learning_rate, 1e-7, 1.0),
            "warmup_share": (self.warmup_share, 0.0, 0.5),
            "same_class_share": (self.same_class_share, 0.0, 1.0),
            "correction_share": (self.correction_share, 0.0, 1.0),
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

    def of_round(self, number: int) -> TrainingConfig:
        """The same with the steps of that round, 0 the first."""
        if number > 0 or self.rounds == 1:
            return self
        return replace(self, steps=max(1, round(self.first_round_share * self.steps)))

    @property
    def all_steps(self) -> int:
        """Optimiser steps of all rounds together."""
        return self.of_round(0).steps + (self.rounds - 1) * self.steps
