"""A whole case from the scan to its files: time, memory and masks, against another checkout, and how both grow.

    git worktree add ../before b5e771f
    OMP_NUM_THREADS=2 python Testing/benchmark/measure_case.py --before ../before --rounds 3
    OMP_NUM_THREADS=2 python Testing/benchmark/measure_case.py --growth --output docs/research/growth.json

The case is the shipped chest CT enlarged to 512 x 512 x SLICES, as `benchmark` enlarges it. Each run is a process of its own
(`clamseg segment`); its wall and processor time are what the system counted, of it and what it started, its largest memory is its own, as its
report tells.
With `--before` the model is that checkout's ct-infection in both, `--engine reference`, in turns; a further row is the
engine that this checkout takes by itself. With `--growth` this checkout's own ct-lung-lesion runs 50 to 800 slices with one thread
and two; `--plot FILE.png` draws what was written.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ClamSegLib.experiments.benchmark import enlarged
from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.system.paths import resources_folder

HERE = Path(__file__).resolve().parents[2]
GROWTH_SLICES, GROWTH_THREADS = (50, 100, 200, 400, 800), (1, 2)


def scan_of(slices: int, folder: Path) -> Path:
    volume = enlarged(read_volume(resources_folder() / "Samples" / "ct_chest.nrrd"), 512, slices)
    path = folder / f"scan{slices}.nrrd"
    write_volume(volume.array, volume, path)
    return path


def run(checkout: Path, scan: Path, model: str, folder: Path, engine: str, threads: int) -> dict[str, Any]:
    """One process; masks lie in `folder` after."""
    words = [sys.executable, "-m", "ClamSegLib", "segment", str(scan), "--model", model, "--device", "cpu", "--engine", engine,
             "--threads", str(threads), "--output", str(folder), "--overwrite", "--progress", "none"]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout.resolve()),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(threads),
    }
    started = time.perf_counter()
    child = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {child.returncode}")
    wall = time.perf_counter() - started
    report = json.loads((folder / scan.stem / "report.json").read_text(encoding="utf-8"))
    return {
        "wall_s": wall,
        "processor_s": used.ru_utime + used.ru_stime,
        "own_memory_mb": report["peak_memory_mb"],
        "stages": report["seconds"],
        "engine": report["engine"] if isinstance(report["engine"], str) else report["engine"]["engine"],
    }


def mask_of(folder: Path, scan: Path) -> np.ndarray:
    """Voxels of any segment, organ and lesions; segments that overlap lie in layers of the file."""
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / scan.stem / "segmentation.seg.nrrd")))
    return stored > 0 if stored.ndim == 3 else (stored > 0).any(axis=-1)


def beside(arguments: argparse.Namespace, place: Path) -> dict[str, Any]:
    model = str((arguments.before / "Resources" / "Models" / "ct-infection").resolve())
    kinds = {
        "before, reference": (arguments.before, model, "reference"),
        "here, reference": (HERE, model, "reference"),
        "here, by itself": (HERE, model, "auto"),
        "here, ct-lung-lesion": (HERE, str(HERE / "Resources" / "Models" / "ct-lung-lesion"), "auto"),
    }
    result: dict[str, Any] = {}
    for slices in arguments.slices:
        scan = scan_of(slices, place)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
        for number in range(arguments.rounds):
            for name, (checkout, own, engine) in kinds.items():
                runs[name].append(
                    run(
                        checkout,
                        scan,
                        own,
                        place / name.split(",")[0] / engine / Path(own).name,
                        engine,
                        arguments.threads,
                    )
                )
                told = runs[name][-1]
                print(f"{slices} slices, round {number + 1}, {name}: {told['wall_s']:.1f} s, {told['processor_s']:.1f} s of processor, "
                      f"{told['own_memory_mb']:.0f} MB, {told['engine']}", flush=True)  # fmt: skip
        masks = {n: mask_of(place / n.split(",")[0] / e / Path(m).name, scan) for n, (_, m, e) in kinds.items()}
        first = masks["before, reference"]
        alike = {n: float(2 * (a & first).sum() / max(1, a.sum() + first.sum())) for n, a in masks.items()}
        lesions = {n: int(a.sum()) for n, a in masks.items()}
        result[str(slices)] = {"runs": runs, "dice_with_before": alike, "marked_voxels": lesions}
        print(
            "| | wall, of before | processor, of before | s | memory, MB | Dice with before |\n|---|---|---|---|---|---|"
        )
        for name, own in runs.items():
            ratios = {
                key: statistics.median([a[key] / b[key] for a, b in zip(own, runs["before, reference"], strict=True)])
                for key in ("wall_s", "processor_s")
            }
            seconds, memory = (statistics.median([each[key] for each in own]) for key in ("wall_s", "own_memory_mb"))
            print(f"| {name} | {ratios['wall_s']:.0%} | {ratios['processor_s']:.0%} | {seconds:.1f} | {memory:.0f} | {alike[name]:.4f} |", flush=True)  # fmt: skip
        scan.unlink()
    return result


def growth(arguments: argparse.Namespace, place: Path) -> dict[str, Any]:
    model = str(HERE / "Resources" / "Models" / "ct-lung-lesion")
    rows: list[dict[str, Any]] = []
    for slices in arguments.slices:
        scan = scan_of(slices, place)
        for threads in GROWTH_THREADS:
            runs = [run(HERE, scan, model, place / "growth", "reference", threads) for _ in range(arguments.rounds)]
            best = {key: min(each[key] for each in runs) for key in ("wall_s", "processor_s", "own_memory_mb")}
            rows.append({"slices": slices, "threads": threads, **best})
            print(json.dumps(rows[-1]), flush=True)
        scan.unlink()
    return {"rows": rows}


def draw(told: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, key, words in zip(
        axes, ("wall_s", "own_memory_mb"), ("seconds, whole process", "largest memory, MB"), strict=True
    ):
        for threads, colour in zip(GROWTH_THREADS, ("#0072B2", "#D55E00"), strict=True):
            rows = [row for row in told["rows"] if row["threads"] == threads]
            x, y = (np.array([row[name] for row in rows], float) for name in ("slices", key))
            slope, offset = np.polyfit(x, y, 1)
            off = float(np.max(np.abs(y - slope * x - offset) / y))
            words_of_line = f"{threads} thread{'s' if threads > 1 else ''}: {offset:.3g} + {slope:.3g} a slice, off by {off:.0%} at most"
            axis.plot(
                x, y, "os"[threads - 1], color=colour, fillstyle="full" if threads == 1 else "none", label=words_of_line
            )
            axis.plot(x, slope * x + offset, "-", color=colour, linewidth=1)
        axis.set_xlabel("slices of 512 x 512")
        axis.set_ylabel(words)
        axis.set_ylim(0, 1.3 * axis.get_ylim()[1])
        axis.legend(frameon=False, loc="upper left", fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout to compare with")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--slices", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    if arguments.plot and arguments.output and not arguments.growth and arguments.before is None:
        draw(json.loads(arguments.output.read_text(encoding="utf-8")), arguments.plot)
        return 0
    arguments.slices = arguments.slices or (GROWTH_SLICES if arguments.growth else (133, 400))
    with tempfile.TemporaryDirectory() as place:
        told = growth(arguments, Path(place)) if arguments.growth else beside(arguments, Path(place))
    if arguments.output:
        arguments.output.write_text(json.dumps(told, indent=1), encoding="utf-8")
    if arguments.plot:
        draw(told, arguments.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
