"""What a finished model is told by image labels of slices that it did not learn from, beside its threshold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ClamSegLib.decoding.slice_smoothing import neighbours_help, stacks_of
from ClamSegLib.early_exit import batches_of, calibrate_early_exits
from ClamSegLib.level_scales import measure_level_scales
from ClamSegLib.model.config import EarlyExit, ModelConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.training.trainer import Trainer


def level_scales_of(
    trainer: Trainer, twin: TwinUNet, config: ModelConfig
) -> tuple[tuple[tuple[tuple[float, float], ...], ...], ...]:
    """What brings shallow levels to the scale of the deepest; empty where there are none."""
    source, gather = _slices(trainer, config)
    return measure_level_scales(twin, config, batches_of(gather, len(source)))


def early_exits_of(trainer: Trainer, twin: TwinUNet, config: ModelConfig) -> tuple[EarlyExit, ...]:
    """When slices may leave early, shallow first; empty where nothing is saved or too few slices tell."""
    source, gather = _slices(trainer, config)
    return calibrate_early_exits(twin, config, batches_of(gather, len(source)))


def neighbours_of(trainer: Trainer, twin: TwinUNet, config: ModelConfig) -> bool:
    """Whether slices should be heard together with those beside them."""
    source, gather = _slices(trainer, config)
    stack = stacks_of(source.patient, source.position)
    return neighbours_help(twin, config, batches_of(gather, len(source)), stack)


def _slices(
    trainer: Trainer, config: ModelConfig
) -> tuple[CropSource, Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]]:
    """The held-out slices on the CPU, and a function of their numbers that gives image, organ and label."""
    source = CropSource(trainer.crops, trainer.split[1], trainer.training, config.network.classes, torch.device("cpu"))

    def gather(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        slices = source.gather(index)
        return slices.image, slices.organ, slices.label

    return source, gather
