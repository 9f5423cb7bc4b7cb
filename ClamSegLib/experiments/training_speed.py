"""A training on random crops, for timing a step: what the crops show does not change how long it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ClamSegLib.datasets.crop_cache import CropSet, record_type
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.device import choose_device
from ClamSegLib.training.distributed import Processes
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.setup import TrainingSetup

_SLICES = 64


def synthetic_learner(
    side: int, features: tuple[int, ...], device: str, processes: Processes | None = None, **training: Any
) -> Learner:
    """A learner past its warm-up, on 64 random crops of `side` pixels, ready to step; one of `processes` under torchrun.

    Args:
        training: options of `TrainingConfig` to change. With `objective='normative'` crops come with random differences
            and targets, as from a normative map.
    """
    generator = np.random.default_rng(0)
    n = _SLICES
    records = np.zeros(n, record_type(side))
    records["image"] = generator.normal(size=(n, side, side))
    records["organ"], records["mask"] = True, 255
    follows = training.get("objective") == "normative"
    differences = generator.normal(size=(n, 2, side, side)).astype(np.float16) if follows else None
    told = generator.integers(0, 256, (n, side, side)).astype(np.uint8) if follows else None
    crops = CropSet(
        records,
        label=np.arange(n, dtype=np.int64) % 2,
        eta=np.full(n, np.nan, np.float32),
        position=np.full(n, 0.5, np.float32),
        patient=np.arange(n, dtype=np.int64) // 4,
        correction=np.zeros(n, bool),
        row=np.arange(n, dtype=np.int64),
        patients=tuple(str(k) for k in range(n // 4)),
        differences=differences,
        told=told,
    )
    kernels = tuple(3 if level < 3 else 5 for level in range(len(features)))
    network = NetworkConfig(features, kernels, in_channels=3 if follows else 1)
    normative = NormativeConfig() if follows else None
    config = ModelConfig("timing", image_size=side, network=network, normative=normative)
    options = TrainingConfig(steps=100, batch_pairs=8, **training)
    everything = np.arange(n, dtype=np.int64)
    setup = TrainingSetup(config, options, crops, (everything, everything))
    learner = Learner(setup, choose_device(device), processes)
    learner.steps_done = 20
    return learner
