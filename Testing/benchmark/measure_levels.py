"""Processor seconds of a network at each level and by need: measure_levels.py MODEL DATA [--split dev] [--rounds 3] [--default-network]

With all that a case needs around it (crops, sharpening, pasting), one thread, for every engine that is installed, over
the cases of a labelled folder. Processor time hardly depends on what else the machine does. With --default-network an
untrained network of the default size stands in the model's place; as many slices leave at each level as left the model.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ClamSegLib.datasets.cases import read_cases
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.early_exit import doubt
from ClamSegLib.engines.candidates import engines_to_try, precisions_here
from ClamSegLib.imaging.volume import canonical
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.config import NetworkConfig
from ClamSegLib.model.twin import TwinUNet, decode
from ClamSegLib.organ.crop_and_normalise import Preparation, prepare
from ClamSegLib.organ.find_organ import find_organ
from ClamSegLib.segmentation.run_network import BY_NEED, run_network
from ClamSegLib.system.errors import ClamSegError

CPU = torch.device("cpu")


def preparations(model, data: Path, split: str, most: int) -> list[Preparation]:
    folder = read_labelled_folder(data)
    rows = [n for n, row in enumerate(folder.rows) if row.split == split]
    found = []
    for case in read_cases(folder, rows, plane=model.config.plane):
        volume = canonical(case.volume, model.config.plane)[0]
        organ = case.organ_mask
        if organ is None or not organ.any():
            organ = find_organ(volume, model.config.organ, intensity=model.config.intensity).mask
        found.append(prepare(volume, organ, model.config))
        if len(found) == most:
            break
    return found


def default_network(model: LoadedModel, cases: list[Preparation]) -> LoadedModel:
    """Random weights of the default size, whose slices leave in the shares of the model's held-out slices."""
    network = NetworkConfig()
    odds = tuple(tuple((1.0,) for _ in range(network.heads)) for _ in range(network.branches))
    config = replace(model.config, network=network, image_size=256, odds_normal=odds, head_weights=(), level_scales=())
    config = replace(config, early_exits=(), weights_sha256="untrained network of the default size")
    twin = TwinUNet(network, seed=0).eval()
    exits, stayed = [], 1.0
    for leaves in model.config.early_exits:
        share = leaves.share_leaving / stayed
        doubts = []
        for case in cases:
            image, organ = (of(np.arange(case.n_slices)) for of in (case.network_input, case.organ_input))
            with torch.inference_mode():
                found = decode(twin.pruned(leaves.level)(torch.from_numpy(image)), config)[0].numpy()
            doubts.append(doubt(found, image, organ, config))
        limit = 1.0 if share > 0.999 else float(np.quantile(np.concatenate(doubts), share, method="lower"))
        exits.append(replace(leaves, undecided=limit))
        stayed -= leaves.share_leaving
    return LoadedModel(replace(config, early_exits=tuple(exits)), twin, model.folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["reference", "torch", "openvino", "mnn"])
    parser.add_argument("--default-network", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.model)
    if arguments.default_network:
        model = replace(model, config=replace(model.config, image_size=256))
    cases = preparations(model, arguments.data, arguments.split, arguments.cases)
    if arguments.default_network:
        model = default_network(load_model(arguments.model), cases)
    slices = sum(case.n_slices for case in cases)
    levels = [*range(1, model.config.network.heads + 1), BY_NEED]
    sys.stdout.write(
        f"{slices} slices, exits {[leaves.level for leaves in model.config.early_exits]}, {precisions_here(CPU)}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLAMSEG_CACHE"] = folder
        for engine in arguments.engines:
            try:
                engines_to_try(engine, CPU)
            except ClamSegError as error:
                sys.stdout.write(f"{engine}: {error}\n")
                continue
            seconds: dict[int | str, list[float]] = {level: [] for level in levels}
            left: dict[int, int] = {}
            for number in range(arguments.rounds + 1):
                for level in levels:
                    started = time.process_time()
                    runs = [
                        run_network(case, model, device="cpu", level=level, engine=engine, cases_ahead=100)
                        for case in cases
                    ]
                    if number:  # engines were chosen and built in the first
                        seconds[level].append(time.process_time() - started)
                    if level == BY_NEED:
                        left = {key: sum(run.slices_by_level.get(key, 0) for run in runs) for key in levels[:-1]}
            base = seconds[levels[-2]]
            sys.stdout.write(f"{engine}, {runs[0].engine['precision']}; by need slices left at {left}\n")
            for level, own in seconds.items():
                times = [a / b for a, b in zip(base, own, strict=True)]
                sys.stdout.write(
                    f"  {level}: {statistics.median(own) / slices * 1e3:.2f} ms a slice, {statistics.median(times):.2f} "
                    f"times ({min(times):.2f} to {max(times):.2f})\n"
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
