"""Processor seconds of every stage of a chest CT: python Testing/benchmark/measure_stages.py [--rounds 3] [--engine torch]

The case is the shipped chest CT enlarged to 512 x 512 x 133. Processor time of one thread hardly depends on what else
the machine does, so that two versions of ClamSeg can be compared on a busy one: run the script with PYTHONPATH at
either. `worker` is what the panel waits for: arrays without pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import ClamSegLib
from ClamSegLib.experiments.benchmark import enlarged
from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.config import NetworkConfig
from ClamSegLib.model.registry import find_model
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.segmentation import inspection
from ClamSegLib.segmentation import segment_volume as inference
from ClamSegLib.segmentation.drawing_process import draw_here
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.pictured_case import pictured
from ClamSegLib.segmentation.report import write_case
from ClamSegLib.system.paths import resources_folder
from ClamSegLib.system.progress import Stopwatch


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


class ProcessorWatch(Stopwatch):
    """In place of the stopwatch of `inference`."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started


def untrained(model: LoadedModel) -> LoadedModel:
    """The model with random weights of the default size: what its maps show does not change how long they take."""
    network = NetworkConfig()
    odds = tuple(tuple((1.0,) for _ in range(network.heads)) for _ in range(network.branches))
    config = replace(
        model.config,
        network=network,
        image_size=256,
        odds_normal=odds,
        head_weights=(),
    )
    config = replace(config, weights_sha256="untrained network of the default size")
    return LoadedModel(config, TwinUNet(network, seed=0).eval(), model.folder)


def one_round(scan: Path, model: Any, options: Any, folder: Path) -> tuple[dict[str, float], str]:
    """Seconds by stage, and a digest of maps, organ, lesion numbers and table."""
    read, volume = seconds_of(lambda: read_volume(scan))
    result = inference.segment_volume(volume, model, options)
    stages = {"read": read, **result.seconds}
    stages["network"] += stages.pop("engine")
    written = {"worker": {"arrays": True, "pictures": False}, "write": {"pictures": False}}
    for name, how in written.items():
        stages[name], _ = seconds_of(lambda how=how: write_case(result, folder / "case", overwrite=True, **how))
    stages["pictures"], _ = seconds_of(lambda: draw_here(pictured(result, "case"), folder))
    digest = hashlib.sha256()
    for array in (result.probability, result.labels, result.components, result.organ.mask):
        digest.update(array.tobytes())
    digest.update((folder / "case" / "lesions.csv").read_bytes())
    return stages, digest.hexdigest()[:12]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ct-lung-lesion")
    parser.add_argument("--default-network", action="store_true", help="untrained, of the default size, in its place")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--threshold", type=float, default=0.2, help="low, so that there are lesions to measure")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    inference.Stopwatch = inspection.Stopwatch = ProcessorWatch
    options = SegmentOptions(
        device="cpu", engine=arguments.engine, threshold=arguments.threshold, minimum_volume_ml=0.001
    )
    loading, model = seconds_of(lambda: load_model(find_model(arguments.model)))
    if arguments.default_network:
        model = untrained(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        volume = enlarged(read_volume(resources_folder() / "Samples" / "ct_chest.nrrd"), 512, 133)
        write_volume(volume.array, volume, folder / "scan.nrrd")
        rounds = [one_round(folder / "scan.nrrd", model, options, folder) for _ in range(arguments.rounds)]
    stages = {stage: round(min(found[stage] for found, _ in rounds), 3) for stage in rounds[0][0]}
    outside = sum(value for stage, value in stages.items() if stage not in ("network", "worker"))
    told = {
        "library": str(Path(ClamSegLib.__file__).parent),
        "digest": rounds[0][1],
        "load the model": round(loading, 3),
    }
    sys.stdout.write(json.dumps({**told, **stages, "outside the network": round(outside, 3)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
