"""What the smallest area of marks in pictures changes: `python Testing/benchmark/measure_specks.py DATA MODEL [--split dev]`.

DATA is a folder with labels.csv (`image_path`, `split`, and `lesion_mask_path` where outlines are known). Every image is segmented
as a picture of its own, once; marks are then counted with all of them listed and with those below the model's
`minimum_network_pixels` left out. Not a test: nothing is asserted.
"""

from __future__ import annotations

import argparse
import csv
import json
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

import ClamSegLib as cs
from ClamSegLib.segmentation.lesions import lesion_mask
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume, smallest_px
from ClamSegLib.system.errors import InputError


def main() -> int:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--split", default="dev")
    arguments = parser.parse_args()
    model = cs.load_model(arguments.model)
    with (arguments.data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == arguments.split]
    outlined = any(row["lesion_mask_path"] for row in rows)
    options = SegmentOptions(device="cpu", minimum_area_px=0.0)
    told = {
        name: {"marks": 0, "most_in_one": 0, "pictures_with_marks": 0, "both": 0, "marked": 0, "true": 0}
        for name in ("all", "listed")
    }
    refused, dropped_px, dropped_true, limits = 0, 0, 0, []
    for row in rows:
        try:
            result = segment_volume(cs.read_volume(arguments.data / row["image_path"]), model, options)
        except InputError:  # an empty slice
            refused += 1
            continue
        truth = np.zeros(result.labels.shape, bool)
        if row["lesion_mask_path"]:
            truth[0] = np.asarray(Image.open(arguments.data / row["lesion_mask_path"]).convert("L")) > 127
        least = smallest_px(result.preparation, SegmentOptions())
        limits.append(least)
        found = {"all": result.components}
        found["listed"] = lesion_mask(result.probability, result.threshold, result.canonical_volume, 0.0, least)[1]
        for name, parts in found.items():
            count, marks = told[name], int(parts.max())
            count["marks"] += marks
            count["most_in_one"] = max(count["most_in_one"], marks)
            count["pictures_with_marks"] += marks > 0
            count["both"] += int(np.count_nonzero(truth & (parts > 0)))
            count["marked"] += int(np.count_nonzero(parts))
            count["true"] += int(np.count_nonzero(truth))
        gone = (found["all"] > 0) & (found["listed"] == 0)
        dropped_px += int(np.count_nonzero(gone))
        dropped_true += len(np.unique(found["all"][gone & truth]))
    for count in told.values():
        both, size = count.pop("both"), count.pop("marked") + count.pop("true")
        if outlined:
            count["pixel_dice"] = round(2 * both / size, 5)
    said = {
        "date": date.today().isoformat(), "pictures": len(rows) - refused, "refused": refused,
        "limit_px": [min(limits), max(limits)], **told, "dropped_px": dropped_px,
    }  # fmt: skip
    print(json.dumps(said | ({"dropped_marks_in_a_true_lesion": dropped_true} if outlined else {}), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
