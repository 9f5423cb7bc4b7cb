"""What comparing with normal tissue costs a case: the network's channels, and weighing the map of the whole volume beside it.

    python Testing/benchmark/measure_normal_tissue.py --model ct-lung-lesion --sample ct_chest.nrrd --runs 5

A shipped sample enlarged to 512 x 512 x 133, reference engine, one thread. Processor seconds of the run with the fewest, so
that other work on the machine hardly counts, and their shares of the case without reading and writing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

import ClamSegLib as cs
from ClamSegLib.experiments.benchmark import enlarged
from ClamSegLib.model.normative_map import NormativeMap
from ClamSegLib.segmentation import maps
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume
from ClamSegLib.system.paths import resources_folder


def counted(owner: Any, name: str, seconds: Counter[str]) -> None:
    """Adds the processor seconds of a function to its name."""
    inner: Callable[..., Any] = getattr(owner, name)

    def outer(*arguments: Any, **options: Any) -> Any:
        begun = time.process_time()
        try:
            return inner(*arguments, **options)
        finally:
            seconds[name] += time.process_time() - begun

    setattr(owner, name, outer)


def main() -> None:
    """Prints seconds and shares as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ct-lung-lesion")
    parser.add_argument("--sample", default="ct_chest.nrrd")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seconds: Counter[str] = Counter()
    counted(NormativeMap, "channels", seconds)
    counted(maps, "evidence_of", seconds)
    counted(maps, "weigh_together", seconds)
    scan = enlarged(cs.read_volume(resources_folder() / "Samples" / arguments.sample), 512, 133)
    model = cs.load_model(arguments.model)
    runs: list[dict[str, float]] = []
    for _ in range(arguments.runs):
        seconds.clear()
        begun = time.process_time()
        segment_volume(scan, model, SegmentOptions(engine="reference", device="cpu"))
        runs.append({"case": time.process_time() - begun, **seconds})
    best = min(runs, key=lambda run: run["case"])
    print(json.dumps({name: {"s": round(s, 3), "share": round(s / best["case"], 3)} for name, s in best.items()}))


if __name__ == "__main__":
    main()
