"""Seconds from the last step of a training to its model's configuration: what is fitted on held-out slices.

    OMP_NUM_THREADS=2 PYTHONPATH=. python Testing/benchmark/measure_finish.py --slices 500 --side 128
    OMP_NUM_THREADS=2 PYTHONPATH=CHECKOUT_OF_b5e771f python Testing/benchmark/measure_finish.py --slices 500 --side 128

The second line measures commit b5e771f, which walked the held-out slices four times and sharpened maps. Slices are drawn, the network has
random weights: neither changes how long it takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

SLICES_PER_PATIENT = 25


def drawn(slices: int, side: int) -> dict[str, np.ndarray]:
    """Stacks of discs on noise, every second patient normal."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side - 0.5
    organ = np.broadcast_to(x**2 + y**2 < 0.16, (slices, side, side))
    patient = np.arange(slices) // SLICES_PER_PATIENT
    label = patient % 2
    lesion = (x - 0.1) ** 2 + y**2 < 0.006
    image = rng.normal(0, 0.5, (slices, side, side)) + 3 * lesion * label[:, None, None]
    return {
        "images": image.astype(np.float16),
        "organ": np.array(organ),
        "regions": np.broadcast_to((np.arange(side) // 8).astype(np.uint8), (slices, side, side)).copy(),
        "lesion": np.full((slices, side, side), 255, np.uint8),
        "label": label.astype(np.int64),
        "eta": np.full(slices, np.nan, np.float32),
        "position": (np.arange(slices) % SLICES_PER_PATIENT / (SLICES_PER_PATIENT - 1)).astype(np.float32),
        "patient": patient.astype(np.int64),
        "correction": np.zeros(slices, bool),
        "row": np.arange(slices, dtype=np.int64),
    }


def here(arrays: dict[str, np.ndarray], split: Any, features: tuple[int, ...], device: torch.device) -> Any:
    """The end of a training as this version has it, ready to be timed."""
    from ClamSegLib.datasets.crop_cache import CropSet, record_type
    from ClamSegLib.model.config import ModelConfig, NetworkConfig
    from ClamSegLib.objective.training_config import TrainingConfig
    from ClamSegLib.system.progress import Reporter
    from ClamSegLib.training.finish import finished_config
    from ClamSegLib.training.learner import Learner
    from ClamSegLib.training.setup import TrainingSetup
    from ClamSegLib.training.validation import recalibrated, validate

    network = NetworkConfig(features, (3,) * len(features))
    n, side = arrays["images"].shape[:2]
    records = np.zeros(n, record_type(side))
    for name, source in (("image", "images"), ("organ", "organ"), ("mask", "lesion")):
        records[name] = arrays[source]
    small = {name: arrays[name] for name in ("label", "eta", "position", "patient", "correction", "row")}
    crops = CropSet(records, **small, patients=tuple(map(str, np.unique(arrays["patient"]))))
    training = TrainingConfig()
    learner = Learner(
        TrainingSetup(ModelConfig("timed", image_size=side, network=network), training, crops, split), device
    )
    twin = recalibrated(learner.averaged(), learner.source, training, 0)
    odds = validate(twin, learner.held_out, training).odds_normal
    config = replace(learner.setup.config, odds_normal=tuple(tuple(map(tuple, branch)) for branch in odds.tolist()))
    return lambda: finished_config(learner, twin, config, Reporter())


def at_b5e771f(arrays: dict[str, np.ndarray], split: Any, features: tuple[int, ...], device: torch.device) -> Any:
    """The same in commit b5e771f, whose files lie in one folder."""
    from ClamSegLib.config import ModelConfig, NetworkConfig
    from ClamSegLib.corrected_threshold import threshold_of_corrections
    from ClamSegLib.crops import CropSet
    from ClamSegLib.held_out import early_exits_of, level_scales_of, neighbours_of
    from ClamSegLib.processes import Processes
    from ClamSegLib.progress import Reporter
    from ClamSegLib.train import Trainer
    from ClamSegLib.training_batches import CropSource
    from ClamSegLib.training_config import TrainingConfig
    from ClamSegLib.validation import recalibrated, validate

    network = NetworkConfig(features, (3,) * len(features))
    side = arrays["images"].shape[1]
    crops = CropSet(**arrays, patients=tuple(map(str, np.unique(arrays["patient"]))))
    trainer = Trainer(
        ModelConfig("timed", image_size=side, network=network), TrainingConfig(), crops, split, folder=None, state_folder=Path(),
        device=device, processes=Processes(), reporter=Reporter(),
    )  # fmt: skip
    trainer._new_round()
    clam = recalibrated(trainer.clam, trainer.source, trainer.training, 0, 0)
    odds = validate(clam, trainer.held_out, trainer.training, trainer.head_weights).odds_normal
    trainer.best_weights = {name: value.cpu() for name, value in clam.state_dict().items()}
    trainer.at.best = {"odds_normal": odds.tolist()}

    def finish() -> Any:
        config = replace(
            trainer.config,
            odds_normal=tuple(tuple(map(tuple, branch)) for branch in odds.tolist()),
            head_weights=tuple(float(w) for w in trainer.head_weights),
            refinement=trainer.best_decoding()[3],
        )
        best = trainer.best_model()
        source = CropSource(crops, split[0], trainer.training, 2, torch.device("cpu"))
        config = replace(config, neighbours=neighbours_of(trainer, best, config))
        config = replace(config, threshold=threshold_of_corrections(best, source, config))
        config = replace(config, level_scales=level_scales_of(trainer, best, config))
        return replace(config, early_exits=early_exits_of(trainer, best, config))

    return finish


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=500, help="held-out slices; as many again are learned from")
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--features", default="8,16,32,64", help="channels per level; those of the shipped models")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    arrays = drawn(2 * arguments.slices, arguments.side)
    split = np.split(np.arange(2 * arguments.slices), 2)
    ready = at_b5e771f if importlib.util.find_spec("ClamSegLib.train") else here
    features = tuple(map(int, arguments.features.split(",")))
    finish = ready(arrays, (split[0], split[1]), features, torch.device(arguments.device))
    started, used = time.perf_counter(), time.process_time()
    finish()
    told = {"version": ready.__name__, "wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - used}
    sys.stdout.write(json.dumps(vars(arguments) | told) + "\n")


if __name__ == "__main__":
    main()
