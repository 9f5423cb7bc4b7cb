"""`clamseg benchmark`: speed and memory of this machine, with peers where they are installed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ClamSegLib.system.progress import Reporter

NAME = "benchmark"
HELP = "measure speed and memory: a chest CT from file to result, networks side by side, training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `benchmark`."""
    parser.add_argument("--output", type=Path, default=Path("clamseg-benchmark"), help="folder for JSON and table")
    parser.add_argument("--model", default="ct-lung-lesion", help="CT model to measure")
    parser.add_argument("--case", type=Path, help="chest CT to enlarge (default: the shipped sample)")
    parser.add_argument("--slices", type=int, default=133, help="slices of the enlarged CT")
    parser.add_argument("--long-slices", type=int, default=400, help="of a second, longer CT; 0: none")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    parser.add_argument("--networks-only", action="store_true", help="only the networks side by side")
    parser.add_argument("--quick", action="store_true", help="a small case, once: only to see that it runs")
    parser.add_argument("--overwrite", action="store_true")


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Measures and prints; exit code 0."""
    from ClamSegLib.experiments.benchmark import BENCHMARK, BenchmarkOptions, run_benchmark
    from ClamSegLib.model.registry import find_model
    from ClamSegLib.system.atomic_output import whole_folder
    from ClamSegLib.system.device import choose_device, take_threads
    from ClamSegLib.system.errors import InputError

    take_threads(arguments.threads)
    choose_device(arguments.device)
    find_model(arguments.model)
    if arguments.repetitions < 1 or arguments.slices < 2:
        raise InputError("--repetitions must be at least 1 and --slices at least 2.")
    options = BenchmarkOptions(
        device=arguments.device,
        model=arguments.model,
        case=arguments.case,
        slices=arguments.slices,
        long_slices=arguments.long_slices,
        repetitions=arguments.repetitions,
        quick=arguments.quick,
        networks_only=arguments.networks_only,
    )
    with whole_folder(arguments.output, BENCHMARK, arguments.overwrite) as part:
        result = run_benchmark(options, part, reporter)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return 0
