"""Memory of one pass of the network of `benchmark` (one branch, 32..512, kernels of 3, 256 px), engine by engine.

    OMP_NUM_THREADS=1 python Testing/benchmark/measure_pass_memory.py

Each engine has a process of its own, which opens it, notes its memory, and runs two slices, one after the other where it runs them so. Said
are megabytes that the pass added at its largest, and what opening added. Linux only: the largest memory is set back
by /proc/self/clear_refs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from ClamSegLib.engines.build import engine_of_file, written_file
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.engines.quantize import Crops, write_int8
from ClamSegLib.engines.torch_folded import ReferenceEngine, TorchEngine
from ClamSegLib.experiments.peers import MONAI, peer
from ClamSegLib.experiments.speed_side_by_side import comparison_config
from ClamSegLib.model.twin import TwinUNet

FEATURES, SIDE, BATCH = (32, 64, 128, 256, 512), 256, 2
KINDS = (
    "monai float32",
    "reference float32",
    "torch float32",
    "mnn float32",
    "openvino float32",
    "openvino bfloat16",
    "openvino int8",
)
CONVERTED = {"mnn float32": "mnn", "openvino float32": "openvino", "openvino bfloat16": "openvino"}


def memory_mb(which: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{which}:"))


def measured(kind: str, folder: Path) -> dict[str, float]:
    """In this process: what opening and one pass add."""
    config = comparison_config(FEATURES, SIDE)
    level, (name, precision) = config.network.depth, kind.split()
    image = np.random.default_rng(0).standard_normal((BATCH, 1, SIDE, SIDE), np.float32)
    if kind in CONVERTED or precision == "int8":
        path = (
            folder
            / kind.replace(" ", "-")
            / {"mnn": "model.mnn"}.get(name, "int8.xml" if precision == "int8" else "model.xml")
        )
        torch.zeros(1) @ torch.zeros(1)
        before = memory_mb("VmRSS")
        engine = engine_of_file(path, config, level, EngineChoice(name, precision, 1))
    elif name == "monai":
        before = memory_mb("VmRSS")
        network = peer(MONAI, FEATURES)
        assert not isinstance(network, str), network
    else:
        before = memory_mb("VmRSS")
        kinds = {"reference": ReferenceEngine, "torch": TorchEngine}
        engine = kinds[name](
            TwinUNet(config.network, seed=0).eval(), config, EngineChoice(name, precision), torch.device("cpu")
        )
    opened = memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if name == "monai":
        with torch.inference_mode():
            network(torch.from_numpy(image))
    else:
        engine.run(image)
    return {"opening_mb": opened - before, "pass_mb": memory_mb("VmHWM") - opened}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.kind:
        print(json.dumps(measured(arguments.kind, arguments.folder)))
        return 0
    config = comparison_config(FEATURES, SIDE)
    twin, level = TwinUNet(config.network, seed=0).eval(), config.network.depth
    with tempfile.TemporaryDirectory() as place:
        for kind in arguments.kinds:
            folder = Path(place) / kind.replace(" ", "-")
            folder.mkdir()
            if kind in CONVERTED:
                written_file(twin, config, level, CONVERTED[kind], folder)
            elif kind == "openvino int8":
                image = np.random.default_rng(0).standard_normal((4, 1, SIDE, SIDE), np.float32)
                write_int8(twin, config, level, Crops(image, np.ones((4, SIDE, SIDE), bool)), folder)
            words = [sys.executable, __file__, "--kind", kind, "--folder", place]
            told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            print(f"| {kind} | {told['pass_mb']:.0f} | {told['opening_mb']:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
