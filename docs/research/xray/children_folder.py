"""Makes the folder of a new hospital: 20 normal and 20 diseased children to learn from, all of dev to judge on.

    python docs/research/xray/children_folder.py pneumonia_child_cxr children_folder --seed 0

One image a child, drawn at random from the training rows. Nothing made from it is shipped.
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
from pathlib import Path


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--children", type=int, default=20, help="of each class")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with (arguments.data / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if row["split"] == "dev"]
    draw = random.Random(arguments.seed)
    for label in ("0", "1"):
        of_child = {row["patient_id"]: row for row in rows if row["split"] == "train" and row["label"] == label}
        chosen += draw.sample(sorted(of_child.values(), key=lambda row: row["patient_id"]), arguments.children)
    for path in filter(None, (row[name] for row in chosen for name in ("image_path", "organ_mask_path"))):
        (arguments.output / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(arguments.data / path, arguments.output / path)
    with (arguments.output / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(chosen)
    print(f"{2 * arguments.children} children to learn from, {len(chosen) - 2 * arguments.children} images to judge on")


if __name__ == "__main__":
    main()
