"""Networks side by side in rounds, with the machine's own peak in every round, so that ratios hold on a busy machine.

A round runs every contestant once; a ratio is taken within its round, and its median over the rounds is told. FLOPs
are counted, not estimated; a contestant's share of the peak is its arithmetic over that of a matrix product of the same
precision in the same round.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ClamSegLib.engines.build import engine_of_file, written_file
from ClamSegLib.engines.choose import precisions_here
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.torch_folded import ReferenceEngine, TorchEngine
from ClamSegLib.experiments.peers import MONAI, PEERS, PLAIN, peer
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.device import clock_of
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.progress import Reporter

PRODUCT_SIDE = 2048
COPY_BYTES = 256 * 2**20
BFLOAT16, INT8 = "bfloat16", "int8"
_CROPS_FOR_INT8 = 4
Work = Callable[[], Any]


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def rounds(
    works: dict[str, Work],
    repetitions: int,
    wait: Work = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every work in every round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repetitions + 1):
        for name, work in works.items():
            started = clock()
            work()
            wait()
            if number:
                seconds[name].append(clock() - started)
    return seconds


def peak_works(device: torch.device) -> dict[str, Work]:
    """Matrix products and a copy: what the machine can do at best."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, generator=generator).to(device) for _ in range(2))
    source = torch.zeros(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    works: dict[str, Work] = {"product float32": lambda: a @ b, "copy": lambda: target.copy_(source)}
    if BFLOAT16 in precisions_here(device):
        low_a, low_b = a.bfloat16(), b.bfloat16()
        works["product bfloat16"] = lambda: low_a @ low_b
    return works


def peaks_of(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """GFLOP/s of the products and GB/s of the copy, read and written."""
    work = 2 * PRODUCT_SIDE**3 / 1e9
    found = {
        f"{name} GFLOP/s": spread([work / s for s in seconds[name]]) for name in list(seconds) if "product" in name
    }
    return {**found, "copy GB/s": spread([2 * COPY_BYTES / 1e9 / s for s in seconds["copy"]])}


def comparison_config(features: tuple[int, ...], side: int) -> ModelConfig:
    """One branch with kernels of 3, as peers have them."""
    network = NetworkConfig(features=features, kernel_sizes=(3,) * len(features), branches=1)
    odds = (tuple((1.0,) for _ in range(network.heads)),)
    return ModelConfig("comparison", image_size=side, network=network, odds_normal=odds)


def gflop(network: nn.Module, side: int) -> float:
    """Arithmetic of one slice."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, side, side))
    return float(counter.get_total_flops()) / 1e9


class Contest:
    """All contestants of one comparison, built once.

    Args:
        features: of all.
        side: of the crop.
        folder: for converted networks.
    """

    def __init__(self, features: tuple[int, ...], side: int, device: torch.device, folder: Path) -> None:
        self.side, self.device = side, device
        self.config = comparison_config(features, side)
        self.left_out: dict[str, str] = {}
        self.gflop: dict[str, float] = {}
        self.run: dict[str, Callable[[int], Work]] = {}
        for name in PEERS:
            self._add_peer(name, peer(name, features))
        twin = TwinUNet(self.config.network, seed=0).eval()
        depth = self.config.network.depth
        own = gflop(twin, side)
        threads = torch.get_num_threads()
        self._add("ClamSeg as trained", own, ReferenceEngine(twin, self.config, EngineChoice(), device))
        precisions = precisions_here(device)
        if BFLOAT16 not in precisions:
            self.left_out[BFLOAT16] = "slower than float32 on this machine"
        for precision in precisions:
            choice = EngineChoice("torch", precision, threads)
            self._add(f"ClamSeg torch {precision}", own, TorchEngine(twin, self.config, choice, device))
        for level in range(depth - 1, 0, -1):
            pruned = twin.pruned(level)
            engine = TorchEngine(pruned, self.config, EngineChoice("torch", "float32", threads), device)
            self._add(f"ClamSeg torch float32, level {level}", gflop(pruned.to("cpu"), side), engine)
        if device.type == "cpu":
            self._add_converted(twin, folder, threads)
            self._add_int8(twin, folder, threads, own)

    def _add_peer(self, name: str, found: nn.Module | str) -> None:
        if isinstance(found, str):
            self.left_out[name] = found
            return
        self.gflop[name] = gflop(found, self.side)
        placed = found.to(self.device)

        def of(batch: int) -> Work:
            image = torch.randn(batch, 1, self.side, self.side, device=self.device)

            def work() -> None:
                with torch.inference_mode():
                    placed(image)

            return work

        self.run[name] = of

    def _add(self, name: str, arithmetic: float, engine: Engine) -> None:
        self.gflop[name] = arithmetic

        def of(batch: int) -> Work:
            image = torch.randn(batch, 1, self.side, self.side).numpy()
            # As every case runs it; what it keeps is given back before the next contestant.
            return kept_memory()(lambda: engine.run(image))

        self.run[name] = of

    def _add_converted(self, twin: TwinUNet, folder: Path, threads: int) -> None:
        depth = self.config.network.depth
        wanted = [("openvino", precision, depth) for precision in precisions_here(self.device)]
        wanted += [("mnn", "float32", level) for level in range(depth, 0, -1)]
        for kind, precision, level in wanted:
            place = folder / f"{kind}-{precision}-{level}"
            place.mkdir()
            pruned = twin.pruned(level)
            try:
                path = written_file(pruned, self.config, level, kind, place)
                engine = engine_of_file(path, self.config, level, EngineChoice(kind, precision, threads))
            except InputError as error:
                self.left_out[f"ClamSeg {kind}"] = str(error)
                continue
            of_level = f", level {level}" if level < depth else ""
            self._add(f"ClamSeg {kind} {precision}{of_level}", gflop(pruned, self.side), engine)

    def _add_int8(self, twin: TwinUNet, folder: Path, threads: int, arithmetic: float) -> None:
        """The network in eight-bit numbers; ranges from random crops, since nothing here is compared."""
        from ClamSegLib.engines.quantize import Crops, require_quantizing, write_int8

        place = folder / "openvino-int8"
        place.mkdir()
        image = np.random.default_rng(0).standard_normal((_CROPS_FOR_INT8, 1, self.side, self.side), np.float32)
        try:
            require_quantizing()
            crops = Crops(image, np.ones((_CROPS_FOR_INT8, self.side, self.side), bool))
            path = write_int8(twin, self.config, self.config.network.depth, crops, place)
        except ClamSegError as error:
            self.left_out[f"ClamSeg openvino {INT8}"] = str(error)
            return
        choice = EngineChoice("openvino", INT8, threads)
        self._add(
            f"ClamSeg openvino {INT8}", arithmetic, engine_of_file(path, self.config, self.config.network.depth, choice)
        )


def side_by_side(
    features: tuple[int, ...], side: int, device: torch.device, repetitions: int, batch: int, reporter: Reporter
) -> dict[str, Any]:
    """Slices a second, latency, share of the peak of every contestant, and ratios to MONAI."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    words, clock = clock_of(device.type)
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(features, side, device, Path(folder))
        reporter.note(f"{len(contest.run)} networks side by side, {repetitions} rounds")
        works = {name: of(batch) for name, of in contest.run.items()}
        seconds = rounds({**peak_works(device), **works}, repetitions, wait, clock)
        latency = rounds({name: of(1) for name, of in contest.run.items()}, repetitions, wait, clock)
    base = MONAI if MONAI in works else PLAIN
    rows: dict[str, Any] = {}
    for name in works:
        precision = "bfloat16" if name.endswith("bfloat16") else "float32"
        product = 2 * PRODUCT_SIDE**3 / 1e9
        shares = [
            (contest.gflop[name] * batch / own) / (product / best)
            for own, best in zip(seconds[name], seconds[f"product {precision}"], strict=True)
        ]
        rows[name] = {
            "slices_per_second": spread([batch / s for s in seconds[name]]),
            "latency_seconds": spread(latency[name]),
            "times_as_fast": spread([b / s for b, s in zip(seconds[base], seconds[name], strict=True)]),
            "gflop_per_slice": contest.gflop[name],
            "share_of_peak": spread(shares),
        }
    return {
        "features": list(features),
        "image_size": side,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "clock": words,
        "compared_with": base,
        "peak": peaks_of(seconds),
        "networks": rows,
        "left_out": contest.left_out,
    }
