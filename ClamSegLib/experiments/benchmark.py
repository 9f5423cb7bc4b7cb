"""Speed and memory of this machine: the whole way of a chest CT, peers where installed, a training step.

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
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.engines.cache import versions_of_engines
from ClamSegLib.experiments.benchmark_table import table
from ClamSegLib.experiments.speed_side_by_side import spread
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.folder_kind import FolderKind
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.progress import Reporter

BENCHMARK = FolderKind(
    "a benchmark",
    "benchmark.json",
    ("clamseg", "machine"),
    ("benchmark.json", "benchmark.md", "scan.nrrd", "result"),
)


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured; `quick` takes one repetition of a small case, to see that it runs."""

    device: str = "cpu"
    model: str = "ct-lung-lesion"
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
    """Measures everything and writes benchmark.json and benchmark.md into `folder`.

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
    reporter.progress(0, 4, "import")
    result["import_seconds"] = import_seconds(options.repetitions)
    reporter.progress(1, 4, "whole case")
    result["case"] = whole_case(options, options.slices, folder)
    if options.long_slices and not options.quick:
        result["long_case"] = whole_case(options, options.long_slices, folder)
    reporter.progress(2, 4, "peers")
    result["peers"] = peers(options, reporter)
    reporter.progress(3, 4, "training step")
    result["training"] = training_share(options)
    reporter.progress(4, 4, "done")
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


def peers(options: BenchmarkOptions, reporter: Reporter) -> dict[str, Any]:
    """One branch against other UNet++ at the same features, kernels of 3 and 256 pixels (64 when quick)."""
    from ClamSegLib.experiments.speed_side_by_side import side_by_side
    from ClamSegLib.system.device import choose_device

    side = 64 if options.quick else 256
    features = (8, 8, 16, 16, 32) if options.quick else (32, 64, 128, 256, 512)
    return side_by_side(features, side, choose_device(options.device), options.repetitions, 2, reporter)


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
