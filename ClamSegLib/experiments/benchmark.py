"""Speed and memory of this machine: the whole way of a chest CT, the network per level, peers where installed.

Every figure is a median with its smallest and largest value; the number of threads stands beside it. The case is a
real chest CT interpolated in plane to 512 x 512 and along the stack to the number of slices asked for, which the
result says: times are those of such a scan, its picture means nothing.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.engines.cache import versions_of_engines
from ClamSegLib.experiments.benchmark_picture import draw, table
from ClamSegLib.experiments.peers import DeepestHead
from ClamSegLib.experiments.speed_side_by_side import rounds, spread
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.progress import Reporter


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured; `quick` takes one repetition of a small case, to see that it runs."""

    device: str = "cpu"
    model: str = "ct-infection"
    case: Path | None = None
    side: int = 512
    slices: int = 133
    long_slices: int = 400
    repetitions: int = 3
    quick: bool = False
    networks_only: bool = False


def repeated(work: Callable[[], Any], repetitions: int) -> dict[str, float]:
    """Seconds of `work`, after one run that is not counted."""
    work()
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return spread(seconds)


def enlarged(volume: Volume, side: int, slices: int) -> Volume:
    """The volume interpolated linearly to (slices, side, side); for measuring only."""
    from scipy.ndimage import zoom

    old = volume.array.shape
    factors = (slices / old[0], side / old[1], side / old[2])
    array = zoom(volume.array, factors, order=1)
    x, y, z = volume.spacing_mm
    return replace(volume, array=array, spacing_mm=(x / factors[2], y / factors[1], z / factors[0]))


def processor_name() -> str:
    """The processor as the system calls it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def run_benchmark(options: BenchmarkOptions, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Measures everything and writes benchmark.json, benchmark.md and benchmark.png into `folder`.

    Raises:
        InputError: the model or case cannot be used.
    """
    import torch

    if options.quick:
        options = replace(options, side=128, slices=12, repetitions=1)
    result: dict[str, Any] = {
        "clamseg": __version__,
        "machine": {
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "engines": versions_of_engines(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": options.device,
        },
    }
    if options.networks_only:
        result["peers"] = peers(options, reporter)
        return _written(result, folder, table(result))
    reporter.progress(0, 6, "import")
    result["import_seconds"] = import_seconds(options.repetitions)
    reporter.progress(1, 6, "whole case")
    result["case"] = whole_case(options, options.slices, folder)
    if options.long_slices and not options.quick:
        result["long_case"] = whole_case(options, options.long_slices, folder)
    reporter.progress(2, 6, "network per level")
    result["network"] = network_per_level(options)
    reporter.progress(3, 6, "slice loop")
    result["slice_loop"] = against_slice_loop(options)
    reporter.progress(4, 6, "peers")
    result["peers"] = peers(options, reporter)
    reporter.progress(5, 6, "training step")
    result["training"] = training_share(options)
    result["training_scaling"] = training_scaling(options)
    reporter.progress(6, 6, "done")
    draw(result, folder / "benchmark.png")
    return _written(result, folder, table(result))


def _written(result: dict[str, Any], folder: Path, words: str) -> dict[str, Any]:
    (folder / "benchmark.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    (folder / "benchmark.md").write_text(words, encoding="utf-8")
    return result


def import_seconds(repetitions: int) -> dict[str, float]:
    """Seconds that `import ClamSegLib.cli` adds to a bare Python start, in processes of their own."""

    def start(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    home = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {home!r}); import ClamSegLib.cli as c; c.make_parser()"
    start(code)
    return spread([start(code) - start("pass") for _ in range(max(3, repetitions))])


def _source(options: BenchmarkOptions) -> Path:
    from ClamSegLib.system.paths import resources_folder

    return options.case or resources_folder() / "Samples" / "ct_chest.nrrd"


def _case_of(options: BenchmarkOptions, slices: int) -> Volume:
    from ClamSegLib.imaging.read_write import read_volume

    return enlarged(read_volume(_source(options)), options.side, slices)


def whole_case(options: BenchmarkOptions, slices: int, folder: Path) -> dict[str, Any]:
    """Segments the enlarged CT in a process of its own and reads its report: seconds per stage, peak memory."""
    from ClamSegLib.imaging.read_write import write_volume

    source = _source(options)
    volume = _case_of(options, slices)
    scan = folder / "scan.nrrd"
    write_volume(volume.array, volume, scan)
    command = [sys.executable, "-m", "ClamSegLib", "segment", str(scan), "--model", options.model, "--device", options.device,
               "--output", str(folder / "result"), "--overwrite", "--progress", "none"]  # fmt: skip
    runs: list[dict[str, Any]] = []
    walls: list[float] = []
    home = str(Path(__file__).resolve().parents[2])
    # The child finds this library although relative paths, of the model or the output, are the caller's.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
    for _ in range(1 if options.quick else min(options.repetitions, 3)):
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - started)
        runs.append(json.loads((folder / "result" / "scan" / "report.json").read_text(encoding="utf-8")))
    stages = sorted({name for run in runs for name in run["seconds"]})
    outside = [sum(v for name, v in run["seconds"].items() if name != "network") for run in runs]
    shares = [run["seconds"]["network"] / sum(run["seconds"].values()) for run in runs]
    scan.unlink()
    return {
        "case": f"{source.name}, interpolated to {options.side} x {options.side} x {slices}",
        "wall_seconds": spread(walls),
        "seconds": {name: spread([run["seconds"][name] for run in runs]) for name in stages},
        "outside_network_seconds": spread(outside),
        "network_share": spread(shares),
        "engines": [run["engine"] for run in runs],
        "peak_memory_mb": spread([run["peak_memory_mb"] or 0.0 for run in runs]),
    }


def network_per_level(options: BenchmarkOptions) -> dict[str, Any]:
    """Slices a second and latency of one slice per level and engine, of the model's network with all its branches."""
    import torch

    from ClamSegLib.engines.build import open_engine
    from ClamSegLib.engines.choose import precisions_here
    from ClamSegLib.engines.engine import EngineChoice
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.registry import find_model
    from ClamSegLib.system.device import choose_device

    model = load_model(find_model(options.model))
    device, side = choose_device(options.device), model.config.image_size
    figures: dict[str, Any] = {"model": options.model, "image_size": side}
    threads = torch.get_num_threads()
    choices = {"as trained": EngineChoice()}
    choices |= {
        f"torch {precision}": EngineChoice("torch", precision, threads) for precision in precisions_here(device)
    }
    for level in range(1, model.config.network.heads + 1):
        engines = {name: open_engine(model, level, device, choice) for name, choice in choices.items()}
        images = {batch: torch.randn(batch, 1, side, side).numpy() for batch in (8, 1)}
        many, one = (
            rounds({n: partial(e.run, images[b]) for n, e in engines.items()}, options.repetitions) for b in (8, 1)
        )
        figures[f"level {level}"] = {
            name: {
                "slices_per_second": spread([8 / s for s in many[name]]),
                "latency_seconds": spread(one[name]),
                "times_as_fast": spread([a / b for a, b in zip(many["as trained"], many[name], strict=True)]),
            }
            for name in choices
        }
    return figures


def against_slice_loop(options: BenchmarkOptions) -> dict[str, Any]:
    """Crop, network and paste of the case, ours against a loop that crops, resizes and pastes every slice by itself."""
    import numpy as np
    from torch import nn

    from ClamSegLib.experiments.peers import slice_loop
    from ClamSegLib.imaging.volume import canonical
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.config import IntensityConfig
    from ClamSegLib.model.registry import find_model
    from ClamSegLib.organ.crop_and_normalise import prepare
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.run_network import run_network

    model = load_model(find_model(options.model))
    volume = canonical(_case_of(options, options.slices), model.config.plane)[0]
    everything = np.ones(volume.array.shape, bool)
    # Both run one branch's worth of the same network: the loop the first, ours all of them.
    branch: nn.Module = DeepestHead(model.twin.branches[0])
    window = IntensityConfig("window_hu", -1000.0, 400.0)

    def ours() -> None:
        run_network(prepare(volume, everything, model.config, model.normative), model, SegmentOptions(device="cpu"))

    def loop() -> None:
        slice_loop(volume.array, branch, model.config.image_size, window.low, window.high)

    seconds = rounds({"ClamSeg, all branches": ours, "slice loop, one branch": loop}, options.repetitions)
    ratio = [b / a for a, b in zip(seconds["ClamSeg, all branches"], seconds["slice loop, one branch"], strict=True)]
    return {**{name: spread(values) for name, values in seconds.items()}, "times_as_fast": spread(ratio)}


def peers(options: BenchmarkOptions, reporter: Reporter) -> dict[str, Any]:
    """One branch against other UNet++ at the same features, kernels of 3 and 256 pixels (64 when quick)."""
    from ClamSegLib.experiments.memory_by_network import network_memory_mb
    from ClamSegLib.experiments.speed_side_by_side import profile, side_by_side
    from ClamSegLib.system.device import choose_device

    side = 64 if options.quick else 256
    features = (8, 8, 16, 16, 32) if options.quick else (32, 64, 128, 256, 512)
    found = side_by_side(features, side, choose_device(options.device), options.repetitions, 2, reporter)
    found["memory_mb"] = network_memory_mb(features, side, 2)
    found["profile"] = profile(features, side, 2)
    return found


def training_scaling(options: BenchmarkOptions) -> dict[str, Any]:
    """Slices a second of a training under torchrun with 1 and 2 processes of one thread each, at half the image's side."""
    from ClamSegLib.experiments.training_speed import seconds_under_torchrun

    side = 32 if options.quick else 128
    features = (4, 8, 8) if options.quick else (16, 32, 64, 128, 256)
    steps = 1 if options.quick else options.repetitions
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    runs = {count: seconds_under_torchrun(side, features, steps, count) for count in (1, 2)}
    return {"image_size": side, "features": list(features), "load_before": load, "processes": runs}


def training_share(options: BenchmarkOptions) -> dict[str, Any]:
    """Seconds of a training step and the share that drawing, augmenting and mixing its batch takes."""
    import torch

    from ClamSegLib.experiments.training_speed import synthetic_learner

    side = 64 if options.quick else 256
    features = (8, 16, 32) if options.quick else (16, 32, 64, 128, 256)
    learner = synthetic_learner(side, features, options.device)
    pairs = learner.setup.training.batch_pairs
    generator = torch.Generator().manual_seed(0)
    drawing = repeated(lambda: learner.batches.draw(pairs, generator), options.repetitions)
    with kept_memory():
        step = repeated(learner.step, options.repetitions)
    return {
        "image_size": side,
        "features": list(features),
        "batch_pairs": pairs,
        "step_seconds": step,
        "slices_per_second": spread([2 * pairs / s for s in (step["min"], step["median"], step["max"])]),
        "data_seconds": drawing,
        "data_share": drawing["median"] / step["median"],
    }
