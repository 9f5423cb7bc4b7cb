"""How well the order of doubt brings wrong marks to a reader's eyes first, against size and chance.

    python Testing/benchmark/measure_doubt.py FOLDER --model MODEL --split dev --output doubt.json

The marks of all patients are put in one order: the most doubtful first, or the smallest first. A mark is wrong where it
touches no true lesion (`beside`), or where less than half of it lies in one (`mostly beside`). Marks are the lesions of the
table, in three dimensions, and the connected parts of each slice. Chance is the mean over all orders.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

import ClamSegLib as cs
from ClamSegLib.datasets.cases import read_cases
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.segmentation.lesions import doubt_of

FIRST = (10, 25, 50, 100)


@dataclass(frozen=True)
class Mark:
    """A mark of the model.

    Attributes:
        pixels: its size.
        doubt: mean, 0..1.
        inside: share of it that lies in a true lesion.
    """

    patient: str
    pixels: int
    doubt: float
    inside: float


def marks_of(patient: str, labels: np.ndarray, probability: np.ndarray, truth: np.ndarray) -> list[Mark]:
    """One for each number of `labels`."""
    doubt = doubt_of(probability)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None:
            own = labels[box] == number
            inside = float(truth[box][own].mean())
            found.append(Mark(patient, int(own.sum()), float(doubt[box][own].mean()) / 255, inside))
    return found


def told(marks: list[Mark]) -> dict[str, Any]:
    """Wrong marks among the first ones, and how probably a wrong one comes before a right one."""
    words: dict[str, Any] = {"marks": len(marks)}
    size = np.array([mark.pixels for mark in marks], float)
    doubt = np.array([mark.doubt for mark in marks])
    for name, limit in (("beside", 0.0), ("mostly beside", 0.5)):
        share = np.array([mark.inside for mark in marks])
        wrong = share <= limit if limit == 0 else share < limit
        words[name] = {
            "wrong": int(wrong.sum()),
            "doubt": _order(doubt, wrong),
            "smallest first": _order(-size, wrong),
            "chance": {"first": {n: round(n * float(wrong.mean()), 1) for n in FIRST if n <= len(wrong)}, "auc": 0.5},
        }
    return words


def _order(score: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    order = np.argsort(-score, kind="stable")
    high, low = score[wrong], score[~wrong]
    before = (high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean() if len(high) and len(low) else np.nan
    return {"first": {n: int(wrong[order[:n]].sum()) for n in FIRST if n <= len(order)}, "auc": round(float(before), 3)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    model, folder = cs.load_model(arguments.model), read_labelled_folder(arguments.folder)
    lesions: list[Mark] = []
    parts: list[Mark] = []
    for case in read_cases(folder, [k for k, row in enumerate(folder.rows) if row.split == arguments.split]):
        found = cs.segment(case.volume, model).case
        probability, truth = found.probability.max(axis=0), case.lesion == 1
        lesions += marks_of(case.patient_id, found.components, probability, truth)
        in_slices, _count = ndimage.label(
            found.components > 0, np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])
        )
        parts += marks_of(case.patient_id, in_slices, probability, truth)
    words = {"lesions": told(lesions), "parts of slices": told(parts)}
    print(json.dumps(words, indent=1))
    if arguments.output:
        rows = {"lesions": [asdict(mark) for mark in lesions], "parts of slices": [asdict(mark) for mark in parts]}
        arguments.output.write_text(json.dumps({"summary": words, "marks": rows}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
