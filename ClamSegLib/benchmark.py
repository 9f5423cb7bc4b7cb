"""Speed and memory of this machine: the whole way of a chest CT, the network per level, peers where installed.

Every figure is a median with its smallest and largest value; the number of threads stands beside it. The case is a
real chest CT interpolated in plane to 512 x 512 and along the stack to the number of slices asked for, which the
result says: times are those of such a scan, its picture means nothing.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.config import NetworkConfig
from ClamSegLib.progress import Reporter
from ClamSegLib.volume import Volume


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured; `quick` takes one repetition of a small case, to see that it runs."""

    device: str = "cpu"
    model: str = "ct-infection"
    case: Path | None = None
    side: int = 512
    slices: int = 133
    repetitions: int = 3
    quick: bool = False


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


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


def run_benchmark(options: BenchmarkOptions, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """Measures everything and writes benchmark.json, benchmark.png into `folder`.

    Raises:
        InputError: the model or case cannot be used.
    """
    import torch

    if options.quick:
        options = replace(options, side=128, slices=12, repetitions=1)
    result: dict[str, Any] = {
        "clamseg": __version__,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": options.device,
        },
    }
    reporter.progress(0, 5, "import")
    result["import_seconds"] = import_seconds(options.repetitions)
    reporter.progress(1, 5, "whole case")
    result["case"] = whole_case(options, folder)
    reporter.progress(2, 5, "network per level")
    result["network"] = network_per_level(options)
    reporter.progress(3, 5, "peers")
    result["peers"] = peers(options)
    reporter.progress(4, 5, "training step")
    result["training"] = training_share(options)
    reporter.progress(5, 5, "done")
    (folder / "benchmark.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    _plot(result, folder / "benchmark.png")
    return result


def import_seconds(repetitions: int) -> dict[str, float]:
    """Seconds that `import ClamSegLib.cli` adds to a bare Python start, in processes of their own."""

    def start(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    home = str(Path(__file__).resolve().parent.parent)
    code = f"import sys; sys.path.insert(0, {home!r}); import ClamSegLib.cli as c; c.make_parser()"
    start(code)
    return spread([start(code) - start("pass") for _ in range(max(3, repetitions))])


def whole_case(options: BenchmarkOptions, folder: Path) -> dict[str, Any]:
    """Segments the enlarged CT in a process of its own and reads its report: seconds per stage, peak memory."""
    from ClamSegLib.resources import resources_folder
    from ClamSegLib.volume_files import read_volume, write_volume

    source = options.case or resources_folder() / "Samples" / "ct_chest.nrrd"
    volume = enlarged(read_volume(source), options.side, options.slices)
    scan = folder / "scan.nrrd"
    write_volume(volume.array, volume, scan)
    command = [sys.executable, "-m", "ClamSegLib", "segment", str(scan), "--model", options.model, "--device", options.device,
               "--output", str(folder / "result"), "--overwrite", "--progress", "none"]  # fmt: skip
    runs: list[dict[str, Any]] = []
    walls: list[float] = []
    home = str(Path(__file__).resolve().parent.parent)
    # The child finds this library although relative paths, of the model or the output, are the caller's.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
    for _ in range(1 if options.quick else min(options.repetitions, 3)):
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - started)
        runs.append(json.loads((folder / "result" / "scan" / "report.json").read_text(encoding="utf-8")))
    stages = sorted({name for run in runs for name in run["seconds"]})
    outside = [sum(v for name, v in run["seconds"].items() if name != "network") for run in runs]
    scan.unlink()
    return {
        "case": f"{source.name}, interpolated to {options.side} x {options.side} x {options.slices}",
        "wall_seconds": spread(walls),
        "seconds": {name: spread([run["seconds"][name] for run in runs]) for name in stages},
        "outside_network_seconds": spread(outside),
        "peak_memory_mb": spread([run["peak_memory_mb"] or 0.0 for run in runs]),
    }


def network_per_level(options: BenchmarkOptions) -> dict[str, Any]:
    """Slices a second and latency of one slice, per level, of the model's network at its image size."""
    import torch

    from ClamSegLib.checkpoint import load_model
    from ClamSegLib.device import choose_device
    from ClamSegLib.registry import find_model

    model = load_model(find_model(options.model))
    device = choose_device(options.device)
    figures: dict[str, Any] = {"model": options.model, "image_size": model.config.image_size}
    for level in range(1, model.config.network.depth + 1):
        clam = model.clam.pruned(level).eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        figures[f"level {level}"] = {
            "slices_per_second": _rate(clam, model.config.image_size, 8, device, options.repetitions),
            "latency_seconds": repeated(_pass(clam, model.config.image_size, 1, device), options.repetitions),
        }
    return figures


def _pass(network: Any, side: int, batch: int, device: Any) -> Callable[[], None]:
    import torch

    image = torch.randn(batch, 1, side, side, device=device).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.inference_mode():
            network(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return work


def _rate(network: Any, side: int, batch: int, device: Any, repetitions: int) -> dict[str, float]:
    seconds = repeated(_pass(network, side, batch, device), repetitions)
    return {
        "median": batch / seconds["median"],
        "min": batch / seconds["max"],
        "max": batch / seconds["min"],
        "n": seconds["n"],
    }


def peers(options: BenchmarkOptions) -> dict[str, Any]:
    """One shell against MONAI's UNet++ at the same features, kernels of 3 and 256 pixels (64 when quick)."""
    import torch

    from ClamSegLib.device import choose_device
    from ClamSegLib.unetplusplus import UNetPlusPlus

    device, side = choose_device(options.device), 64 if options.quick else 256
    features = (8, 8, 16, 16, 32) if options.quick else (32, 64, 128, 256, 512)
    own = UNetPlusPlus(NetworkConfig(features=features, kernel_sizes=(3,) * 5)).eval()
    own = own.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found: dict[str, Any] = {
        "features": list(features),
        "image_size": side,
        "ClamSeg": _rate(own, side, 2, device, options.repetitions),
    }
    try:
        from monai.networks.nets import BasicUNetPlusPlus
    except ImportError:
        found["MONAI"] = "not installed"
        return found
    other = (
        BasicUNetPlusPlus(spatial_dims=2, in_channels=1, out_channels=2, features=(*features, features[0]))
        .eval()
        .to(device)
    )
    found["MONAI"] = _rate(other, side, 2, device, options.repetitions)
    found["ratio"] = found["ClamSeg"]["median"] / found["MONAI"]["median"]
    return found


def training_share(options: BenchmarkOptions) -> dict[str, Any]:
    """Seconds of a training step and the share that drawing, augmenting and mixing its batch takes."""
    import torch

    from ClamSegLib.benchmark_training import synthetic_trainer

    side = 64 if options.quick else 256
    features = (8, 16, 32) if options.quick else (16, 32, 64, 128, 256)
    trainer = synthetic_trainer(side, features, options.device)
    generator = torch.Generator().manual_seed(0)
    drawing = repeated(lambda: trainer.maker.draw(trainer.training.batch_pairs, generator), options.repetitions)
    step = repeated(trainer._step, options.repetitions)
    return {
        "image_size": side,
        "features": list(features),
        "batch_pairs": trainer.training.batch_pairs,
        "step_seconds": step,
        "data_seconds": drawing,
        "data_share": drawing["median"] / step["median"],
    }


def _plot(result: dict[str, Any], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    stages = result["case"]["seconds"]
    left.barh(list(stages), [stages[name]["median"] for name in stages], color="#0072B2")
    left.set_title(result["case"]["case"], fontsize=9)
    left.set_xlabel("seconds")
    levels = [name for name in result["network"] if name.startswith("level")]
    rates = [result["network"][name]["slices_per_second"]["median"] for name in levels]
    right.bar(levels, rates, color="#D55E00")
    right.set_title(f"{result['network']['model']}, {result['network']['image_size']} px", fontsize=9)
    right.set_ylabel("slices a second, both shells")
    figure.savefig(path, dpi=110)
