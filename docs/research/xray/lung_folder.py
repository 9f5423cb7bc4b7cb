"""Makes the labelled folder that `xray-lungs` learns from: covid_cxr_lungs, only images that anybody may use.

    python docs/research/xray/lung_folder.py covid_cxr_lungs lung_folder --copies 7

Training images are 58 square X-rays of one source. Others come in letter boxes, cut close to the lungs, over- or
under-exposed; so every training image is written once as it is and several times changed in such a way, all as
images of the same patient. Images of dev are copied as they are, also those under CC BY-NC-SA, which only judge
(`clamseg evaluate MODEL lung_folder --split dev`; `--only "image_license=CC BY [0-9].*"` keeps the CC BY ones).
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np
from PIL import Image

FREE = re.compile(r"CC BY [0-9.]+")
SIDE = 256


def changed(image: np.ndarray, lungs: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One X-ray as another machine or archive might give it.

    Args:
        image: (256, 256) uint8.
        lungs: (256, 256) bool.

    Returns:
        Both in the same way cut or put into a frame; the values of the image on another curve.
    """
    darkest, brightest = np.percentile(image, (1, 99))
    values = np.clip((image.astype(np.float32) - darkest) / max(1.0, brightest - darkest), 0, 1)
    values = values ** np.exp(random.uniform(-0.5, 0.5))
    low, high = random.uniform(-0.15, 0.1), random.uniform(0.8, 1.15)
    if random.random() < 0.4:  # brighter towards the belly, as where the exposure follows the lungs
        values = values + random.uniform(0, 0.4) * np.linspace(0, 1, SIDE)[:, None] ** 2
    values = np.clip((values - low) / (high - low), 0, 1)
    rows, columns = np.flatnonzero(lungs.any(1)), np.flatnonzero(lungs.any(0))
    # Cut anywhere between the lungs (with a little less than nothing around them) and the edge of the image.
    top, bottom = random.uniform(0, max(1, rows[0] - 4)), random.uniform(min(SIDE - 1, rows[-1] + 6), SIDE)
    left, right = random.uniform(0, max(1, columns[0] - 4)), random.uniform(min(SIDE - 1, columns[-1] + 6), SIDE)
    box = (left, top, right, bottom)
    height, width = SIDE, SIDE
    if random.random() < 0.5:  # in a frame: the picture takes 45 to 100 % of a side
        height, width = (round(SIDE * random.uniform(0.45, 1)) for _ in range(2))
    row, column = (round(random.uniform(0, SIDE - side)) for side in (height, width))
    frame = random.choice([0.0, 0.0, 0.0, 1.0]) * np.ones((SIDE, SIDE), np.float32)
    mask = np.zeros((SIDE, SIDE), bool)
    place = slice(row, row + height), slice(column, column + width)
    size = (width, height)
    frame[place] = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR, box=box))
    as_grey = Image.fromarray(lungs.astype(np.float32))
    mask[place] = np.asarray(as_grey.resize(size, Image.Resampling.BILINEAR, box=box)) > 0.5
    return np.round(np.clip(frame, 0, 1) * 255).astype(np.uint8), mask


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--copies", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    for name in ("images", "organ_masks"):
        (arguments.output / name).mkdir(parents=True)
    with (arguments.data / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    written = []
    for row in rows:
        if row["split"] == "train" and not FREE.fullmatch(row["image_license"]):
            continue
        image = np.asarray(Image.open(arguments.data / row["image_path"]).convert("L"))
        lungs = np.asarray(Image.open(arguments.data / row["organ_mask_path"])) > 0
        pairs = [(image, lungs)]
        if row["split"] == "train":
            pairs += [changed(image, lungs, random) for _ in range(arguments.copies)]
        for number, (values, mask) in enumerate(pairs):
            name = f"{row['image_id']}_{number}"
            paths = {"image_path": f"images/{name}.png", "organ_mask_path": f"organ_masks/{name}.png"}
            Image.fromarray(values).save(arguments.output / paths["image_path"])
            Image.fromarray(mask.astype(np.uint8) * 255).save(arguments.output / paths["organ_mask_path"])
            written.append({**row, **paths, "image_id": name})
    with (arguments.output / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(written)
    print(f"{len(written)} images")


if __name__ == "__main__":
    main()
