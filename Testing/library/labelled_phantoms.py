"""A small labelled folder of drawn slices: a bright disc as organ, brighter spots in diseased slices, with outlines."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def phantom_slice(
    rng: np.random.Generator, diseased: bool, side: int = 48
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image uint8, organ mask and lesion mask of one slice."""
    y, x = np.mgrid[:side, :side]
    organ = (y - side / 2) ** 2 + (x - side / 2) ** 2 < (0.4 * side) ** 2
    image = 20 + 80 * organ + rng.normal(0, 6, (side, side))
    lesion = np.zeros((side, side), bool)
    if diseased:
        cy, cx = side / 2 + rng.uniform(-0.18, 0.18, 2) * side
        lesion = (y - cy) ** 2 + (x - cx) ** 2 < (0.09 * side) ** 2
        image[lesion] += 90
    return np.clip(image, 0, 255).astype(np.uint8), organ, lesion


def alternating(patient: int, index: int) -> bool:
    """Normal and diseased slices in turns, of the same heights."""
    return (index + patient) % 2 == 0


def write_phantoms(
    root: Path,
    patients: int = 8,
    slices: int = 6,
    *,
    seed: int = 0,
    eta: bool = False,
    draw: Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]] = phantom_slice,
    is_diseased: Callable[[int, int], bool] = alternating,
) -> Path:
    """Form 2: patients p0, p1, ... with the slices that are drawn."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in ("images", "organ", "lesion"):
        (root / name).mkdir(parents=True)
    for patient in range(patients):
        for index in range(slices):
            diseased = is_diseased(patient, index)
            image, organ, lesion = draw(rng, diseased)
            file = f"p{patient}_{index}.png"
            for folder, array in (
                ("images", image),
                ("organ", organ * np.uint8(255)),
                ("lesion", lesion * np.uint8(255)),
            ):
                sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.uint8)), str(root / folder / file))
            rows.append(
                {
                    "image_path": f"images/{file}",
                    "label": int(diseased),
                    "patient_id": f"p{patient}",
                    "split": "train" if patient < patients - 2 else "dev",
                    "slice_index": index,
                    "n_slices": slices,
                    "organ_mask_path": f"organ/{file}",
                    "lesion_mask_path": f"lesion/{file}" if diseased else "",
                    "modality": "MR",
                    **({"eta": 0.9 if diseased else ""} if eta else {}),
                }
            )
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file_handle:
        writer = csv.DictWriter(file_handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return root
