"""How much of what the left-out lung models mark is thin in every slice, as a fold of the lung would be.

    python docs/research/study/chest-ct/thin_marks.py chest_ct chest-ct cap002 normal001 LIDC-IDRI-0001 cap001 P001

`chest_ct` is the labelled folder of `docs/starters/ct_folder.py`, `chest-ct` the output of the study with its runs, or
the folder of one model for all patients. Nothing is random.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from ClamSegLib.datasets.case_warnings import CaseWarnings
from ClamSegLib.datasets.cases import read_cases, searched
from ClamSegLib.datasets.crop_cache import heights_of
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.segmentation.lesions import above_threshold
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.run_network import run_network
from ClamSegLib.system.progress import Reporter

LARGEST_RADIUS_PX = 2  # to the nearest pixel that is not marked: three pixels wide


def main() -> None:
    """Prints per patient the marks, their pixels, how many are thin, and the marked share of normal lung with and without them."""
    torch.set_num_threads(1)
    folder = read_labelled_folder(Path(sys.argv[1]), normal_class="normal")
    for patient in sys.argv[3:]:
        own = dataclasses.replace(folder, rows=tuple(row for row in folder.rows if row.patient_id == patient))
        left_out = Path(sys.argv[2]) / "runs" / f"without-{patient}"
        model = load_model(left_out if left_out.is_dir() else Path(sys.argv[2]))
        with reading_apart():
            case = next(read_cases(own, range(len(own.rows)), plane=model.config.plane))
            volume, organ = searched(own, case, model.config, CaseWarnings(Reporter()))
            ready = prepare(volume, organ, model.config, model.normative, heights_of(case, organ))
            run = run_network(ready, model, SegmentOptions(device="cpu", engine="reference"))
        marked = above_threshold(run.probability.max(axis=0), model.config.threshold) & ready.mask
        normal = [k for k, number in case.slice_rows if own.rows[number].label == 0]
        parts, count = ndimage.label(marked, np.ones((3, 3, 3)))
        thin = np.zeros(count + 1, bool)
        for number, place in enumerate(ndimage.find_objects(parts), 1):
            radii = [ndimage.distance_transform_edt(np.pad(plane == number, 1)).max() for plane in parts[place]]
            thin[number] = max(radii) <= LARGEST_RADIUS_PX
        dropped, lung = thin[parts], ready.mask[normal].sum()
        print(
            f"{patient}: {count} marks, {marked.sum()} px; thin {thin.sum()} marks, {dropped.sum()} px; normal lung marked "
            f"{marked[normal].sum() / lung:.4f}, without thin {(marked & ~dropped)[normal].sum() / lung:.4f}"
        )


if __name__ == "__main__":
    main()
