"""How well clicks outline lesions: simulated ones on true lesions, against simpler rules, by Dice and processor time.

    python Testing/benchmark/measure_clicks.py lgg_flair FOLDER --split dev --model DIR --output clicks.json

The first click lies at the innermost voxel of a true lesion, or at a random inner one (--seed); every further one at the
innermost voxel of the largest part that is still wrong. A lesion that is missed altogether counts 0.
With `--against` an earlier output the differences are told with intervals of 95 % (drawn again by patient, 2000 times);
`--constant near_click._WIDTH=3` tries another value of a constant of ClamSegLib.outlining.
`lgg_flair` is judged slice by slice, `open_ms_flair` and `lidc_ct` (FOLDER/volumes) in three dimensions.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

import ClamSegLib as cs
from ClamSegLib.datasets.cases import read_cases
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.experiments.study_file import CHOICE, with_choice
from ClamSegLib.imaging.volume import box_of, canonical
from ClamSegLib.outlining.outline import Click, outline
from ClamSegLib.outlining.tissue import Tissue, tissue_of

CLICKS = 3
REST = "rest"  # the training patients that are not in CHOICE
LEAST_PX, LEAST_ML = 50, 0.03
RULES = ("clicks", "clicks, image only", "share of height", "confidence connected", "mask at the threshold")


@dataclass(frozen=True)
class Scene:
    """What one click sees: a slice or a volume.

    Attributes:
        probability: uint8.
        lesions: each a bool mask.
    """

    name: str
    tissue: Tissue
    plain: Tissue
    probability: np.ndarray
    threshold: float
    lesions: list[np.ndarray]


def scenes_of_slices(folder: Path, split: str, model: Any) -> Iterator[Scene]:
    """The diseased slices of a labelled folder."""
    rows = read_labelled_folder(folder)
    if split in (CHOICE, REST):
        rows = with_choice(rows, 15, 0)
    split = "train" if split == REST else split
    chosen = [k for k, row in enumerate(rows.rows) if row.split == split]
    for case in read_cases(rows, chosen):
        found = cs.segment(case.volume, model)
        volume, probability = found.case.canonical_volume, found.case.probability.max(axis=0)
        organ, spacing = found.case.organ.mask, None
        told = tissue_of(volume.array, spacing, organ, probability)
        plain = tissue_of(volume.array, spacing, organ, None)
        for k in np.flatnonzero((case.lesion == 1).any(axis=(1, 2))):
            lesions = parts(case.lesion[k : k + 1] == 1, LEAST_PX)
            one = [replace(t, array=t.array[k : k + 1], organ=organ[k : k + 1]) for t in (told, plain)]
            if lesions:
                yield Scene(f"{case.patient_id} {k}", *one, probability[k : k + 1], found.case.threshold, lesions)


def scenes_of_volumes(folder: Path, patients: list[str], model: Any, least_ml: float) -> Iterator[Scene]:
    """The volumes of a folder with their lesions."""
    for path in sorted((folder / "volumes").glob("*_lesion.nii.gz")):
        patient = path.name.removesuffix("_lesion.nii.gz")
        if patients and patient not in patients:
            continue
        scan = next(
            p for p in path.parent.glob(f"{patient}_*.nii.gz") if p.name.endswith(("_flair.nii.gz", "_ct.nii.gz"))
        )
        found = cs.segment(cs.read_volume(scan), model)
        volume, probability = found.case.canonical_volume, found.case.probability.max(axis=0)
        truth = canonical(cs.read_volume(path))[0].array > 0
        mm = volume.spacing_mm[::-1]
        organ = found.case.organ.mask
        tissues = [tissue_of(volume.array, mm, organ, p) for p in (probability, None)]
        yield Scene(patient, *tissues, probability, found.case.threshold, parts(truth, least_ml / volume.voxel_ml))


def parts(mask: np.ndarray, least: float) -> list[np.ndarray]:
    """The connected parts of a mask with enough voxels."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return [labels == n for n in range(1, count + 1) if sizes[n] >= least]


def depth_mm(mask: np.ndarray, spacing: Any) -> np.ndarray:
    """Distance of every voxel from the border; what lies beside a scan counts as border, above and below a single slice nothing does."""
    beside = [(1, 1) if size > 1 else (0, 0) for size in mask.shape]
    deep = ndimage.distance_transform_edt(np.pad(mask, beside), sampling=spacing)
    return deep[tuple(slice(before, deep.shape[axis] - after) for axis, (before, after) in enumerate(beside))]


def innermost(mask: np.ndarray, spacing: Any) -> tuple[int, ...]:
    """The voxel farthest from the border."""
    deep = depth_mm(mask, spacing)
    return tuple(int(v) for v in np.unravel_index(int(deep.argmax()), deep.shape))


def inner(mask: np.ndarray, spacing: Any, rng: np.random.Generator) -> tuple[int, ...]:
    """A random voxel off the border where there are such."""
    off = np.argwhere(depth_mm(mask, spacing) > 1.01 * min(spacing))
    return tuple(int(v) for v in (off if len(off) else np.argwhere(mask))[rng.integers(len(off) or int(mask.sum()))])


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks."""
    return 2 * int((a & b).sum()) / max(1, int(a.sum()) + int(b.sum()))


def clicked(tissue: Tissue, truth: np.ndarray, first: tuple[int, ...], times: list[float]) -> list[float]:
    """Dice after 1, 2 and 3 clicks; a click outside the organ outlines nothing."""
    clicks, told = [Click(first)], []
    if not tissue.is_inside(first):
        return [0.0] * CLICKS
    while True:
        start = time.process_time()
        found = outline(tissue, clicks).whole(truth.shape)
        times.append(time.process_time() - start)
        told.append(dice(found, truth))
        if len(told) == CLICKS:
            return told
        differs = box_of(truth ^ found)
        if differs is None:
            continue
        theirs, ours = truth[differs], found[differs]
        missed = theirs & ~ours if tissue.organ is None else theirs & ~ours & tissue.organ[differs]
        wrong = [(part, adds) for mask, adds in ((missed, True), (ours & ~theirs, False)) for part in parts(mask, 1)]
        if wrong:
            part, adds = max(wrong, key=lambda each: int(each[0].sum()))
            k, j, i = innermost(part, tissue.spacing_mm)
            clicks.append(Click((k + differs[0].start, j + differs[1].start, i + differs[2].start), adds))


def by_share(tissue: Tissue, first: tuple[int, ...], share: float = 0.6) -> np.ndarray:
    """The component above a share of the click's height over normal tissue (METHOD: the floor to beat)."""
    values = smoothed(tissue)
    above = values - tissue.centre > share * (values[first] - tissue.centre)
    if not above[first]:
        return np.zeros(above.shape, bool)
    labels, _ = ndimage.label(above)
    return labels == labels[first]


_last: list[Any] = [None, None]


def smoothed(tissue: Tissue) -> np.ndarray:
    """The scan smoothed by its finest voxel; kept for the next click on it."""
    if _last[0] is not tissue.array:
        _last[:] = tissue.array, ndimage.gaussian_filter(tissue.array.astype(np.float32), _px(tissue))
    return _last[1]


def _px(tissue: Tissue) -> list[float]:
    return [
        min(tissue.spacing_mm) / mm if size > 1 else 0.0
        for mm, size in zip(tissue.spacing_mm, tissue.array.shape, strict=True)
    ]


def by_confidence(tissue: Tissue, first: tuple[int, ...]) -> np.ndarray:
    """SimpleITK's growth by value."""
    values = smoothed(tissue)
    seed = [int(v) for v in first[::-1]]
    grown = sitk.ConfidenceConnected(sitk.GetImageFromArray(values), [seed], 1, 2.5, 1, 1)
    return sitk.GetArrayFromImage(grown) > 0


def by_threshold(scene: Scene, first: tuple[int, ...]) -> np.ndarray:
    """The model's own lesion at the click."""
    above = scene.probability > scene.threshold * 255
    labels, _ = ndimage.label(above, np.ones((3, 3, 3)))
    return (labels == labels[first]) & above[first]


def judge(
    scene: Scene, rng: np.random.Generator, rows: list[dict[str, Any]], times: list[float], most: int = 0
) -> None:
    """A row for each lesion, of `most` drawn ones where that is not 0, and place of the first click."""
    chosen = scene.lesions
    if 0 < most < len(chosen):
        chosen = [chosen[n] for n in sorted(rng.choice(len(chosen), most, replace=False))]
    for truth in chosen:
        for place, first in (
            ("centre", innermost(truth, scene.tissue.spacing_mm)), ("random", inner(truth, scene.tissue.spacing_mm, rng)),
        ):  # fmt: skip
            row: dict[str, Any] = {"scene": scene.name, "voxels": int(truth.sum()), "place": place}
            row["clicks"] = clicked(scene.tissue, truth, first, times)
            row["clicks, image only"] = clicked(scene.plain, truth, first, [])
            row["share of height"] = dice(by_share(scene.tissue, first), truth)
            row["confidence connected"] = dice(by_confidence(scene.tissue, first), truth)
            row["mask at the threshold"] = dice(by_threshold(scene, first), truth)
            rows.append(row)


def summary(rows: list[dict[str, Any]], times: list[float]) -> dict[str, Any]:
    """Means by place of the first click; after 1, 2, 3 clicks for ours."""
    told: dict[str, Any] = {"lesions": len(rows) // 2}
    for place in ("centre", "random"):
        own = [row for row in rows if row["place"] == place]
        told[place] = {rule: np.round(np.mean([row[rule] for row in own], axis=0), 3).tolist() for rule in RULES}
    told["processor ms a proposal, median and most"] = [
        round(1000 * float(np.quantile(times, q)), 1) for q in (0.5, 1.0)
    ]
    return told


def against(rows: list[dict[str, Any]], earlier: list[dict[str, Any]], rule: str) -> dict[str, Any]:
    """By place of the first click and for 1, 2, 3 clicks: mean gain over the same clicks before, and its interval."""
    told: dict[str, Any] = {}
    for place in ("centre", "random"):
        new, old = ([row for row in each if row["place"] == place] for each in (rows, earlier))
        if [(r["scene"], r["voxels"]) for r in new] != [(r["scene"], r["voxels"]) for r in old]:
            raise SystemExit(
                "The earlier output is of other lesions: use the same set, split, --every, --most and --seed."
            )
        gain = np.array([row[rule] for row in new]) - np.array([row[rule] for row in old])
        whose = np.unique([row["scene"].split()[0] for row in new], return_inverse=True)[1]
        sums = np.array([gain[whose == n].sum(axis=0) for n in range(whose.max() + 1)])
        drawn = np.random.default_rng(0).integers(len(sums), size=(2000, len(sums)))
        means = sums[drawn].sum(axis=1) / np.bincount(whose)[drawn].sum(axis=1)[:, None]
        low, high = np.quantile(means, (0.025, 0.975), axis=0)
        told[place] = [[round(float(v), 3) for v in each] for each in zip(gain.mean(axis=0), low, high, strict=True)]
    return told


def set_constant(text: str) -> None:
    """Another value of a constant of ClamSegLib.outlining: `module.NAME=value`, a number or a tuple."""
    name, value = text.split("=")
    module, constant = name.split(".")
    found = importlib.import_module(f"ClamSegLib.outlining.{module}")
    if not hasattr(found, constant):
        raise SystemExit(f"{module} has no constant {constant}.")
    setattr(found, constant, ast.literal_eval(value))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("lgg_flair", "open_ms_flair", "lidc_ct"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument(
        "--split", default="dev", help=f"of lgg_flair; {CHOICE}: 15 training patients, {REST}: the others"
    )
    parser.add_argument("--patients", nargs="*", default=[], help="of the others; default: all")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th slice or volume")
    parser.add_argument(
        "--most", type=int, default=0, help="only so many lesions of each scan, drawn by the seed; 0: all"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--against", type=Path, help="an earlier output of the same lesions")
    parser.add_argument("--constant", action="append", default=[], help="module.NAME=value")
    arguments = parser.parse_args()
    for text in arguments.constant:
        set_constant(text)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    model, rng = cs.load_model(arguments.model), np.random.default_rng(arguments.seed)
    if arguments.set == "lgg_flair":
        scenes = scenes_of_slices(arguments.folder, arguments.split, model)
    else:
        least = LEAST_ML if arguments.set == "open_ms_flair" else 0.0
        scenes = scenes_of_volumes(arguments.folder, arguments.patients, model, least)
    rows: list[dict[str, Any]] = []
    times: list[float] = []
    for n, scene in enumerate(scenes):
        if n % arguments.every == 0:
            judge(scene, rng, rows, times, arguments.most)
    told = summary(rows, times)
    if arguments.against:
        earlier = json.loads(arguments.against.read_text(encoding="utf-8"))["rows"]
        told["gain, low, high"] = {rule: against(rows, earlier, rule) for rule in RULES[:2]}
    print(json.dumps(told, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps({"summary": told, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
