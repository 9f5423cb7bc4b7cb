"""Makes the folder that `xray-pneumonia` is judged on: the distinct dev images with a radiologist's box.

    python docs/research/xray/box_folder.py nih_cxr_pneumonia nih_cxr_rsna_boxes box_folder
    clamseg evaluate box_folder --model MODEL --baselines --output judged

Boxes are those of BBox_List_2017 and of the RSNA challenge, which is for evaluation only; where an image has both, their
union. Images without a box are not in it: opacity against all others is `clamseg evaluate nih_cxr_rsna_boxes --split dev`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nih", type=Path)
    parser.add_argument("rsna", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    boxes: dict[bytes, np.ndarray] = {}
    patients: dict[bytes, str] = {}
    for root in (arguments.nih, arguments.rsna):
        with (root / "labels.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["split"] == "dev" and row["lesion_mask_path"]:
                    image = np.asarray(Image.open(root / row["image_path"]).convert("L")).tobytes()
                    box = np.asarray(Image.open(root / row["lesion_mask_path"])) > 0
                    boxes[image] = boxes.get(image, False) | box
                    patients.setdefault(image, row["patient_id"])
    for name in ("images", "boxes"):
        (arguments.output / name).mkdir(parents=True)
    with (arguments.output / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["image_path", "label", "patient_id", "split", "lesion_mask_path", "lesion_mask_kind", "modality"]
        )
        for number, (image, box) in enumerate(boxes.items()):
            values = np.frombuffer(image, np.uint8).reshape(box.shape)
            Image.fromarray(values).save(arguments.output / "images" / f"{number}.png")
            Image.fromarray(box.astype(np.uint8) * 255).save(arguments.output / "boxes" / f"{number}.png")
            table.writerow([f"images/{number}.png", 1, patients[image], "dev", f"boxes/{number}.png", "box", "CR_CXR"])
    print(f"{len(boxes)} images of {len(set(patients.values()))} patients")


if __name__ == "__main__":
    main()
