"""A training on random crops, for timing a step: what the crops show does not change how long it takes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from ClamSegLib.datasets.crop_cache import CropSet, record_type
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.device import choose_device
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.training.distributed import Processes
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.setup import TrainingSetup

_SLICES = 64


def synthetic_learner(side: int, features: tuple[int, ...], device: str, processes: Processes | None = None) -> Learner:
    """A learner past its warm-up, on 64 random crops of `side` pixels, ready to step."""
    generator = np.random.default_rng(0)
    n = _SLICES
    tiles = np.add.outer(np.arange(side) * 8 // side * 8, np.arange(side) * 8 // side).astype(np.uint8)
    records = np.zeros(n, record_type(side))
    records["image"] = generator.normal(size=(n, side, side))
    records["organ"], records["regions"], records["mask"] = True, tiles, 255
    crops = CropSet(
        records,
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
    setup = TrainingSetup(config, training, crops, (everything, everything))
    learner = Learner(setup, choose_device(device), processes)
    learner.steps_done = 20
    return learner


def seconds_under_torchrun(side: int, features: tuple[int, ...], steps: int, count: int) -> dict[str, Any]:
    """Seconds of a step of 8 pairs, shared by `count` processes: on the clock and of the processors together."""
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    given = json.dumps([side, list(features), steps])
    command = [*launcher, "-m", "ClamSegLib.experiments.training_speed", given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    # One process in some dozens is aborted by gloo's own threads after it told its figures; those count.
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        told = [line for line in done.stderr.splitlines() if "Error: " in line]
        why = told[-1].strip() if told else f"code {done.returncode}"
        raise ClamSegError(f"Training with {count} processes could not be timed ({why}); see torchrun's own words.")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def print_steps(given: str) -> None:
    """Takes some steps under torchrun; process 0 prints what they took as JSON."""
    side, features, steps = json.loads(given)
    torch.set_num_threads(1)
    processes = Processes.join()
    learner = synthetic_learner(side, tuple(features), "cpu", processes)
    walls: list[float] = []
    with kept_memory():
        learner.step()
        used = time.process_time()
        for _ in range(steps):
            started = time.perf_counter()
            learner.step()
            walls.append(time.perf_counter() - started)
    processor = torch.tensor([(time.process_time() - used) / steps], dtype=torch.float64)
    if processes.count > 1:
        distributed.all_reduce(processor)
    if processes.rank == 0:
        pairs = learner.setup.training.batch_pairs
        told = {"step_seconds": statistics.median(walls), "processor_seconds": float(processor)}
        told["slices_per_second"] = 2 * pairs / told["step_seconds"]
        sys.stdout.write(json.dumps(told) + "\n")
    if processes.count > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    print_steps(sys.argv[1])
