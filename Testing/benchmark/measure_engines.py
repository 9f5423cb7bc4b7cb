"""Engines side by side on the shipped models and their own crops, in rounds, and what `auto` chooses for each.

    OMP_NUM_THREADS=1 python Testing/benchmark/measure_engines.py --rounds 7

Each engine converts into a folder of its own, so that the user's choices stay as they are. One thread, so processor time is the time of the work, whoever else uses the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time

import numpy as np
import torch

from ClamSegLib.engines import choose
from ClamSegLib.engines.build import open_engine
from ClamSegLib.engines.choose import SAMPLE_SLICES, Work, choose_engine
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.registry import find_model
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.segmentation.inspection import inspect
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.paths import resources_folder

SAMPLES = {
    "ct-lung-lesion": "ct_chest.nrrd",
    "mr-flair-glioma": "mr_flair_brain.nii.gz",
}
ENGINES = (
    ("reference", "float32"),
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("mnn", "float32"),
)
CPU = torch.device("cpu")
BATCH = 8


def work_of(model: LoadedModel, sample: str, level: int) -> Work:
    """The shipped sample, for which `auto` may take any engine."""
    options = SegmentOptions(device="cpu")
    found = inspect(read_volume(resources_folder() / "Samples" / sample), model, options)
    choose._LITTLE_WORK_GFLOP = 0.0
    return Work(prepare(found.turned, found.organ.mask, model.config), model, level, CPU, "auto")


def in_rounds(engines: dict[str, Engine], image: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Processor milliseconds a slice in every round, after one that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            started = time.process_time()
            engine.run(image)
            if number:
                found[name].append((time.process_time() - started) / len(image) * 1e3)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, kept_memory():
        os.environ["CLAMSEG_CACHE"] = folder
        for name, sample in SAMPLES.items():
            model = load_model(find_model(name))
            for level in range(1, model.config.network.heads + 1):
                work = work_of(model, sample, level)
                chosen = choose_engine(work)
                sys.stdout.write(
                    f"{name}, level {level}: auto takes {chosen.engine.choice.describe()}, agreement {chosen.agreement:.6f}\n"
                )
                image = work.sample()[0][np.arange(BATCH) % SAMPLE_SLICES]
                engines = {
                    f"{kind} {precision}": open_engine(model, level, CPU, EngineChoice(kind, precision, 1, BATCH))
                    for kind, precision in ENGINES
                }
                seconds = in_rounds(engines, image, rounds)
                base = seconds["reference float32"]
                for engine, values in seconds.items():
                    times = [b / s for b, s in zip(base, values, strict=True)]
                    sys.stdout.write(
                        f"  {engine}: {statistics.median(values):.2f} ms ({min(values):.2f} to {max(values):.2f}), "
                        f"{statistics.median(times):.2f} times ({min(times):.2f} to {max(times):.2f})\n"
                    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
