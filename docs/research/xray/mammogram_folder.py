"""Copies mias_mammo with all breasts facing one way, so that a place means the same in every image (an experiment).

    python docs/research/xray/mammogram_folder.py mias_mammo mammogram_folder

An image whose breast lies in the right half is mirrored, with its masks. Nothing made from these films is shipped.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

PATHS = ("image_path", "lesion_mask_path", "organ_mask_path")


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    with (arguments.data / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    mirrored = 0
    for row in rows:
        breast = np.asarray(Image.open(arguments.data / row["organ_mask_path"])) > 0
        mirror = np.flatnonzero(breast.any(0)).mean() > breast.shape[1] / 2
        mirrored += mirror
        for path in filter(None, (row[name] for name in PATHS)):
            (arguments.output / path).parent.mkdir(parents=True, exist_ok=True)
            values = np.asarray(Image.open(arguments.data / path))
            Image.fromarray(np.ascontiguousarray(values[:, ::-1] if mirror else values)).save(arguments.output / path)
    with (arguments.output / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    print(f"{len(rows)} images, {mirrored} mirrored")


if __name__ == "__main__":
    main()
