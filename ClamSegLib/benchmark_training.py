"""A training on random crops, for timing a step: what the crops show does not change how long it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ClamSegLib.config import ModelConfig, NetworkConfig
from ClamSegLib.crops import CropSet
from ClamSegLib.device import choose_device
from ClamSegLib.processes import Processes
from ClamSegLib.progress import Reporter
from ClamSegLib.train import Trainer
from ClamSegLib.training_config import TrainingConfig

_SLICES = 64


def synthetic_trainer(side: int, features: tuple[int, ...], device: str) -> Trainer:
    """A trainer past its warm-up, on 64 random crops of `side` pixels, ready to step."""
    generator = np.random.default_rng(0)
    n = _SLICES
    tiles = np.add.outer(np.arange(side) * 8 // side * 8, np.arange(side) * 8 // side).astype(np.uint8)
    crops = CropSet(
        images=generator.normal(size=(n, side, side)).astype(np.float16),
        organ=np.ones((n, side, side), bool),
        regions=np.broadcast_to(tiles, (n, side, side)),
        lesion=np.full((n, side, side), 255, np.uint8),
        label=np.arange(n, dtype=np.int64) % 2,
        eta=np.full(n, np.nan, np.float32),
        position=np.full(n, 0.5, np.float32),
        patient=np.arange(n, dtype=np.int64) // 4,
        correction=np.zeros(n, bool),
        row=np.arange(n, dtype=np.int64),
        patients=tuple(str(k) for k in range(n // 4)),
    )
    kernels = tuple(3 if level < 3 else 5 for level in range(len(features)))
    config = ModelConfig("timing", image_size=side, network=NetworkConfig(features, kernels))
    training = TrainingConfig(steps=100, batch_pairs=8)
    everything = np.arange(n, dtype=np.int64)
    trainer = Trainer(
        config,
        training,
        crops,
        (everything, everything),
        folder=None,
        state_folder=Path(),
        device=choose_device(device),
        processes=Processes(),
        reporter=Reporter(),
    )
    trainer._new_round()
    trainer.at.step = 20
    return trainer
