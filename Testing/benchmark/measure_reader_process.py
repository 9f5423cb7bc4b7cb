"""What reading in a process of its own costs a batch: `segment` with it and without, alternating in one run.

    OMP_NUM_THREADS=1 python Testing/benchmark/measure_reader_process.py --rounds 7

Each run is a process of its own, from its start to its end: one scan and a batch of ten, of 12 slices of 256 x 256, level 1 of a
small model. Seconds on the clock, and of processor time with that of the reading process.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "Testing" / "library")]
# Its names in the two files that read while they segment.
WITHOUT = """
import contextlib
from ClamSegLib.imaging import reader_process
from ClamSegLib.segmentation import batch_of_cases
nothing = lambda at_once=True: contextlib.nullcontext()
reader_process.reading_apart = batch_of_cases.reading_apart = nothing
"""
RUN = "import sys; from ClamSegLib.cli import main; raise SystemExit(main(sys.argv[1:]))"


def seconds_of(words: list[str], apart: bool) -> tuple[float, float]:
    """On the clock, and of processor time."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    program = RUN if apart else WITHOUT + RUN
    subprocess.run([sys.executable, "-c", program, *words], env=environment, check=True, capture_output=True)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints a line for one scan and a line for a batch."""
    from tiny_model import tiny_model

    from ClamSegLib.imaging.read_write import write_volume
    from ClamSegLib.imaging.volume import Volume

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny_model(folder / "tiny")
        scans = []
        for number in range(10):
            values = np.random.default_rng(number).integers(0, 900, (12, 256, 256)).astype(np.int16)
            scans.append(folder / f"scan{number}.nii.gz")
            write_volume(values, Volume(values, (1.0, 1.0, 4.0)), scans[-1])
        print("| cases | without, s | apart, s | difference, s | of processor time, s |\n|---|---|---|---|---|")
        for count in (1, 10):
            words = ["segment", *map(str, scans[:count]), "--model", str(model), "--output", str(folder / "out")]
            words += ["--device", "cpu", "--level", "1", "--engine", "reference", "--progress", "none", "--overwrite"]
            pairs = [(seconds_of(words, False), seconds_of(words, True)) for _ in range(arguments.rounds + 1)][1:]
            without, apart = (statistics.median(pair[k][0] for pair in pairs) for k in (0, 1))
            costs = (statistics.median(pair[1][k] - pair[0][k] for pair in pairs) for k in (0, 1))
            print(
                f"| {count} | {without:.2f} | {apart:.2f} | {' | '.join(f'{cost:+.2f}' for cost in costs)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
