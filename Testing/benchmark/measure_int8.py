"""A model's int8 network beside the network as trained, on cases neither was made with: masks, accuracy, time.

    OMP_NUM_THREADS=1 python Testing/benchmark/measure_int8.py MODEL FOLDER --split dev --output int8.json

Each case of the labelled folder runs as in `segment`, by the reference and by OpenVINO in int8, in turns. Said is the Dice
of both masks over all slices, of each condition; where the folder has outlines, the Dice of each with these over the
slices that show a lesion; the smallest agreement of a case; and processor seconds with one thread. `--cases` takes the
first so many, for a quick look.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ClamSegLib.datasets.cases import UNKNOWN, read_cases, searched
from ClamSegLib.datasets.crop_cache import heights_of
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.engines.build import open_engine
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.registry import find_model
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.segmentation.maps import CaseMaps
from ClamSegLib.system.progress import Reporter

CPU = torch.device("cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--cases", type=int, default=10**6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model(find_model(arguments.model))
    config, level = model.config, model.config.level_of(None)
    folder = read_labelled_folder(arguments.folder, both_classes=False)
    rows = [k for k, row in enumerate(folder.rows) if row.split == arguments.split]
    choices = {"reference": EngineChoice(), "int8": EngineChoice("openvino", "int8", arguments.threads)}
    engines = {name: open_engine(model, level, CPU, choice) for name, choice in choices.items()}
    conditions = len(config.conditions)
    both, sizes = np.zeros(conditions), np.zeros(conditions)
    truth = {name: np.zeros(2) for name in engines}
    seconds, slices, agreements, changed = dict.fromkeys(engines, 0.0), 0, [], 0
    for number, case in enumerate(read_cases(folder, rows, plane=config.plane)):
        if number == arguments.cases:
            break
        volume, organ = searched(folder, case, config, Reporter())
        preparation = prepare(volume, organ, config, model.normative, heights_of(case, organ))
        smooths = config.slice_smoothing and config.task == "lesion" and not volume.is_picture
        found = {}
        for name, engine in engines.items():
            maps = CaseMaps.empty_for(preparation, Reporter(), smooths)
            for indices in maps.batches(8):
                image = preparation.network_input(indices)
                started_network = time.process_time()
                answer = engine.run(image)
                seconds[name] += time.process_time() - started_network
                maps.take(indices, image, *answer)
            maps.finish(8)
            found[name] = maps.probability > 255 * config.threshold
        own, expected = found["int8"], found["reference"]
        both += (own & expected).sum((1, 2, 3))
        sizes += own.sum((1, 2, 3)) + expected.sum((1, 2, 3))
        agreements.append(min(float((own[k] == expected[k])[organ].mean()) for k in range(conditions)))
        changed += int((own.any((0, 2, 3)) != expected.any((0, 2, 3))).sum())
        slices += volume.array.shape[0]
        if case.lesion is not None and config.task == "lesion":
            drawn = (case.lesion > 0) & (case.lesion != UNKNOWN)
            shows = drawn.any((1, 2))
            for name, masks in found.items():
                marked = masks.any(0)[shows]
                truth[name] += [2 * (marked & drawn[shows]).sum(), marked.sum() + drawn[shows].sum()]
        print(f"{number + 1} cases, {slices} slices", flush=True)
    told: dict[str, Any] = {
        "model": config.name,
        "cases": len(agreements),
        "slices": slices,
        "dice_of_both_masks": [round(float(2 * b / max(s, 1)), 4) for b, s in zip(both, sizes, strict=True)],
        "smallest_agreement_of_a_case": round(min(agreements), 5),
        "slices_marked_by_one_only": changed,
        "dice_with_outlines": {n: round(float(t[0] / t[1]), 4) for n, t in truth.items() if t[1] > 0},
        "processor_ms_a_slice": {name: round(1e3 * s / slices, 2) for name, s in seconds.items()},
    }
    print(json.dumps(told, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
