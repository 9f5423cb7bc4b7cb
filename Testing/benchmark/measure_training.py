"""Seconds of training for each slice that a branch sees, forward and backward, against another checkout, in turns.

    git worktree add ../before b5e771f
    OMP_NUM_THREADS=2 python Testing/benchmark/measure_training.py --before ../before --rounds 3

Random crops of 128 px, twin of features 16..256, 8 pairs. Each turn is a process of its own, on the clock; of its steps the
first is not counted. Rows: the other checkout as it trains there (objective `clam` at b5e771f), this one with objective
normative in float32, and in bfloat16 where the processor is faster with it (`"mixed_precision": "bf16"`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from ClamSegLib.system.device import is_bfloat16_fast

HERE = Path(__file__).resolve().parents[2]
CHILD = """
import json, sys, time
import torch
side, steps, precision = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
features = (16, 32, 64, 128, 256)
seen = [0]
def count(module, given):
    seen[0] += len(given[0])
try:
    from ClamSegLib.experiments.training_speed import synthetic_learner
    from ClamSegLib.system.malloc_tuning import kept_memory
    learner = synthetic_learner(side, features, "cpu", objective="normative", mixed_precision=precision)
    step, branches = learner.step, learner.twin.branches
except ImportError:
    from ClamSegLib.benchmark_training import synthetic_trainer
    from ClamSegLib.memory_reuse import kept_memory
    trainer = synthetic_trainer(side, features, "cpu")
    step, branches = trainer._step, trainer.clam.shells
for branch in branches:
    branch.register_forward_pre_hook(count)
with kept_memory():
    step()
    seen[0], started = 0, time.perf_counter()
    for _ in range(steps):
        step()
    seconds = time.perf_counter() - started
print(json.dumps({"seconds_a_slice": seconds / seen[0], "seconds_a_step": seconds / steps, "slices_a_step": seen[0] / steps}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    kinds = {"before": (arguments.before, "auto"), "float32": (HERE, "off")}
    if is_bfloat16_fast("cpu"):
        kinds["bfloat16"] = (HERE, "bf16")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for number in range(arguments.rounds):
        for name, (place, precision) in kinds.items():
            words = [sys.executable, "-c", CHILD, str(arguments.side), str(arguments.steps), precision]
            environment = {**os.environ, "PYTHONPATH": str(place.resolve())}
            told = subprocess.run(words, check=True, capture_output=True, text=True, env=environment, cwd=place).stdout
            found[name].append(json.loads(told.splitlines()[-1]))
            print(number + 1, name, json.dumps(found[name][-1]), flush=True)
    base = [each["seconds_a_slice"] for each in found["before"]]
    print("| | ms a slice | of the other checkout | slices a step | s a step |\n|---|---|---|---|---|")
    for name, runs in found.items():
        own = [each["seconds_a_slice"] for each in runs]
        shares = [a / b for a, b in zip(own, base, strict=True)]
        print(
            f"| {name} | {1e3 * statistics.median(own):.1f} ({1e3 * min(own):.1f} to {1e3 * max(own):.1f}) "
            f"| {statistics.median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%}) | {runs[0]['slices_a_step']:.0f} "
            f"| {statistics.median([each['seconds_a_step'] for each in runs]):.2f} |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
