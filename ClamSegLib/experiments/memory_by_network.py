"""Memory that one pass of each network takes, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import torch

from ClamSegLib.engines.build import engine_of_file, written_file
from ClamSegLib.engines.choose import precisions_here
from ClamSegLib.engines.conversion import FILES
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.torch_folded import TorchEngine
from ClamSegLib.experiments.peers import MONAI, PLAIN, SMP_SAME, peer
from ClamSegLib.experiments.speed_side_by_side import MNN_FLOAT32, Work, comparison_config
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.errors import InputError

_LOADED = ", with the loaded network"


def network_memory_mb(features: tuple[int, ...], side: int, batch: int) -> dict[str, float]:
    """Memory that one pass adds to a process with the network built, per kind, each in a process of its own.

    For MNN, which arranges the weights anew when it loads them, also with what loading adds.
    """
    found: dict[str, float] = {}
    home = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
    kinds = [MONAI, SMP_SAME, PLAIN]
    kinds += [f"ClamSeg torch {precision}" for precision in precisions_here(torch.device("cpu"))]
    with tempfile.TemporaryDirectory() as folder:
        config = comparison_config(features, side)
        with suppress(InputError):  # MNN is not installed
            written_file(TwinUNet(config.network, seed=0).eval(), config, config.network.depth, "mnn", Path(folder))
            kinds.append(MNN_FLOAT32)
        for kind in kinds:
            given = json.dumps([kind, list(features), side, batch, folder])
            code = f"from ClamSegLib.experiments.memory_by_network import print_memory; print_memory({given!r})"
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found |= json.loads(done.stdout)
    return found


def print_memory(given: str) -> None:
    """Prints, as JSON, by how many MB one pass raises the peak memory of this process; nothing where it cannot be said."""
    from ClamSegLib.system.memory import peak_memory_mb

    kind, features, side, batch, folder = json.loads(given)
    image = torch.randn(batch, 1, side, side)
    empty = peak_memory_mb()
    work: Work
    if kind.startswith("ClamSeg"):
        engine = _engine_of(kind, tuple(features), side, Path(folder))
        work = lambda: engine.run(image.numpy())  # noqa: E731 - one of two
    else:
        found = peer(kind, features)
        if isinstance(found, str):
            sys.stdout.write("{}\n")
            return
        work = lambda: found.network(image)  # noqa: E731
    before = peak_memory_mb()
    with torch.inference_mode():
        work()
    after = peak_memory_mb()
    told = {}
    if empty is not None and before is not None and after is not None:
        told[kind] = round(after - before, 1)
        if kind == MNN_FLOAT32:
            told[kind + _LOADED] = round(after - empty, 1)
    sys.stdout.write(json.dumps(told) + "\n")


def _engine_of(kind: str, features: tuple[int, ...], side: int, folder: Path) -> Engine:
    config = comparison_config(features, side)
    if kind == MNN_FLOAT32:
        return engine_of_file(folder / FILES["mnn"], config, config.network.depth, EngineChoice("mnn", threads=1))
    choice = EngineChoice("torch", kind.rpartition(" ")[2])
    return TorchEngine(TwinUNet(config.network, seed=0).eval(), config, choice, torch.device("cpu"))
