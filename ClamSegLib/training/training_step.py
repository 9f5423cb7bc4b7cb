"""One step's arithmetic: learning rate, precision, and the gradient of one shard of the batch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import BatchMaker, step_generator
from ClamSegLib.objective.objective import Objective
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.device import is_bfloat16_fast


def head_weights_of(depth: int) -> NDArray[np.float64]:
    """Weight of each head in decoding, level 1 first: equal, as METHOD measured no better rule (docs/research/results.md)."""
    return np.full(depth, 1.0 / depth)


def learning_rate_factor(progress: float, warmup_share: float) -> float:
    """Linear warm-up, then cosine to 1 %."""
    if progress < warmup_share:
        return max(progress / warmup_share, 0.01)
    x = (progress - warmup_share) / max(1e-9, 1 - warmup_share)
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, x))))


def shard_gradient(
    twin: TwinUNet, maker: BatchMaker, objective: Objective, training: TrainingConfig, where: tuple[int, int, int, int]
) -> dict[str, float]:
    """Adds the gradient of one shard to the parameters, divided by the shards this process computes.

    Args:
        where: (round, step, shard, number of shards); together with the seed they decide everything drawn.
    """
    number, step, shard, shards = where
    generator = step_generator(training.seed, 3, number, step, shard)
    batch = maker.draw(training.batch_pairs // shards, generator)
    device = batch.taught[0].image.device
    precision = _precision(training.mixed_precision, device)
    with torch.autocast(device.type, dtype=precision or torch.bfloat16, enabled=precision is not None):
        loss, parts = objective.loss(twin, batch, step / training.steps, generator)
    (loss / training.shards_per_process).backward()  # type: ignore[no-untyped-call]
    return {"loss": float(loss.detach()), **parts}


def _precision(choice: str, device: torch.device) -> torch.dtype | None:
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return None
    # bfloat16 needs no loss scaling; where it is slow float32 computes, rather than a fragile float16.
    return torch.bfloat16 if is_bfloat16_fast(device.type) else None
