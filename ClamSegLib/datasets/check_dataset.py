"""The dataset doctor: what in a labelled folder would spoil a training, with what to do about it.

Every image is decoded once. Findings are 'ok', 'warning' (training runs, its result may mislead) or 'error'
(training is refused).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from ClamSegLib.datasets.check_images import THUMBNAIL, Seen, Way, look_here, read_all, rows_by_path
from ClamSegLib.datasets.examination import Examination
from ClamSegLib.datasets.rows import TRAINING_SPLITS, LabelledFolder, Row
from ClamSegLib.metrics import roc_auc
from ClamSegLib.system.progress import Reporter

_STRONG_BIAS, _SOME_BIAS = 0.80, 0.65
_FEW_PATIENTS = 5


def examine(folder: LabelledFolder, reporter: Reporter | None = None, way: Way = look_here) -> Examination:
    """Examines a labelled folder; reads every image once.

    Args:
        way: who reads the images; this process, or `check_on_cluster.OnCluster`. The findings are the same.
    """
    reporter = reporter or Reporter()
    found = Examination(folder.root.name, [folder.normal_class, *folder.conditions])
    _count(folder, found)
    for warning in folder.warnings:
        found.add("warning", "names", warning)
    seen = read_all(folder, found, reporter, way)
    _check_classes(folder, found)
    _check_duplicates(folder, seen, found)
    _check_position(folder, found)
    _check_shortcuts(folder, seen, found)
    _check_images(seen, found)
    _check_masks(folder, found)
    return found


def _count(folder: LabelledFolder, found: Examination) -> None:
    for row in folder.rows:
        split = found.counts.setdefault(row.split or "all", {})
        name = folder.normal_class if row.label == 0 else folder.conditions[row.label - 1]
        split[name] = split.get(name, 0) + 1
    patients: dict[str, set[str]] = defaultdict(set)
    for row in folder.rows:
        patients[row.split or "all"].add(row.patient_id)
    for place, names in patients.items():
        found.counts[place]["patients"] = len(names)


def _check_classes(folder: LabelledFolder, found: Examination) -> None:
    training = [row for row in folder.rows if row.split in TRAINING_SPLITS]
    labels = {row.label > 0 for row in training}
    if len(labels) < 2:
        found.add("error", "classes", "training rows are of one class only", "add normal and diseased images")
    else:
        balance = np.mean([row.label > 0 for row in training])
        found.add("ok", "classes", f"{balance:.0%} of the training rows are diseased")
    patients = len({row.patient_id for row in training})
    if patients < _FEW_PATIENTS:
        found.add(
            "warning",
            "patients",
            f"only {patients} to learn from",
            "the model will overfit to these patients; add more",
        )
    else:
        found.add("ok", "patients", f"{patients} to learn from")


def _check_duplicates(folder: LabelledFolder, seen: dict[Path, Seen], found: Examination) -> None:
    by_digest: dict[str, list[Row]] = defaultdict(list)
    for path, rows in rows_by_path(folder).items():
        if path in seen and seen[path].spread > 0:
            by_digest[seen[path].digest].append(rows[0])
    copies = [rows for rows in by_digest.values() if len(rows) > 1]
    leaking = [rows for rows in copies if len({r.split for r in rows}) > 1]
    contrary = [rows for rows in copies if len({r.label for r in rows}) > 1]
    if leaking:
        found.add(
            "error",
            "leakage",
            f"{len(leaking)} images stand in two splits, e.g. {leaking[0][0].relative_path}",
            "keep each image in one split",
        )
    elif contrary:
        found.add(
            "error",
            "contrary labels",
            f"{len(contrary)} identical images have different labels, e.g. {contrary[0][0].relative_path}",
            "keep one",
        )
    elif copies:
        found.add(
            "warning",
            "duplicates",
            f"{len(copies)} images are stored twice, e.g. {copies[0][0].relative_path}",
            "remove the copies",
        )
    else:
        found.add("ok", "duplicates", "none")
    _check_near_duplicates(folder, seen, found)


def _check_near_duplicates(folder: LabelledFolder, seen: dict[Path, Seen], found: Examination) -> None:
    """Almost equal pictures of different splits: a patient under two names, most likely."""
    rows = [
        (row, seen[row.image_path]) for row in folder.rows if row.image_path in seen and seen[row.image_path].spread > 0
    ]
    splits = sorted({row.split for row, _ in rows})
    if len(splits) < 2 or len(rows) > 20_000:
        return
    vectors = {s: np.stack([x.thumbnail.ravel() for r, x in rows if r.split == s]) for s in splits}
    names = {s: [r for r, _ in rows if r.split == s] for s in splits}
    near = 0
    example = ""
    for a, first in enumerate(splits):
        for second in splits[a + 1 :]:
            alike = vectors[first] @ vectors[second].T / THUMBNAIL**2
            for i, j in np.argwhere(alike > 0.999):
                if names[first][i].patient_id != names[second][j].patient_id:
                    near += 1
                    example = example or f"{names[first][i].relative_path} and {names[second][j].relative_path}"
    if near:
        found.add(
            "warning",
            "almost equal images",
            f"{near} pairs in different splits, e.g. {example}",
            "check that no patient has two names",
        )


def _bias(score: list[float], label: list[bool]) -> float | None:
    """AUC of a score for the label, either direction."""
    auc = roc_auc(np.asarray(score), np.asarray(label))
    return None if auc is None else max(auc, 1 - auc)


def _check_position(folder: LabelledFolder, found: Examination) -> None:
    """Whether the distance from the middle of the stack alone predicts the label."""
    stacks: dict[str, list[Row]] = defaultdict(list)
    for row in folder.rows:
        if row.slice_index is not None:
            stacks[row.patient_id].append(row)
    distance: list[float] = []
    label: list[bool] = []
    for rows in stacks.values():
        n = max([row.n_slices or 0 for row in rows] + [(row.slice_index or 0) + 1 for row in rows])
        distance += [abs((row.slice_index or 0) / max(1, n - 1) - 0.5) for row in rows]
        label += [row.label > 0 for row in rows]
    auc = _bias(distance, label) if distance else None
    if auc is None:
        return
    words = f"the height of a slice alone predicts its label with AUC {auc:.2f}"
    if auc > _SOME_BIAS:
        found.add(
            "warning",
            "slice position",
            words,
            "training pairs slices of the same height; add normal slices from the middle of the organ",
        )
    else:
        found.add("ok", "slice position", words)


def _check_shortcuts(folder: LabelledFolder, seen: dict[Path, Seen], found: Examination) -> None:
    rows = [row for row in folder.rows if row.image_path in seen]
    label = [row.label > 0 for row in rows]
    scores = {
        "mean brightness": [seen[row.image_path].mean for row in rows],
        "image size": [float(np.prod(seen[row.image_path].shape[1:])) for row in rows],
    }
    for name, score in scores.items():
        auc = _bias(score, label)
        if auc is None:
            continue
        words = f"{name} alone predicts the label with AUC {auc:.2f}"
        severity = "warning" if auc > _SOME_BIAS else "ok"
        advice = "classes may come from different machines or views; balance them" if severity == "warning" else ""
        found.add(severity, name, words, advice)


def _check_images(seen: dict[Path, Seen], found: Examination) -> None:
    for name, values in (
        ("image sizes", Counter(" x ".join(map(str, s.shape[1:])) for s in seen.values())),
        ("value types", Counter(s.kind for s in seen.values())),
        (
            "pixel spacing",
            Counter("unknown" if s.spacing_mm is None else f"{s.spacing_mm[0]:.2f} mm" for s in seen.values()),
        ),
    ):
        listed = ", ".join(f"{value} ({count})" for value, count in values.most_common(4))
        severity = "warning" if name == "value types" and len(values) > 1 else "ok"
        advice = "images of different depth were exported differently" if severity == "warning" else ""
        found.add(severity, name, listed + (" ..." if len(values) > 4 else ""), advice)
    flat = [path.name for path, s in seen.items() if s.spread == 0]
    if flat:
        found.add("warning", "empty images", f"{len(flat)} have one value everywhere, e.g. {flat[0]}", "remove them")


def _check_masks(folder: LabelledFolder, found: Examination) -> None:
    diseased = [row for row in folder.rows if row.label > 0]
    kinds = Counter(row.lesion_mask_kind or "none" for row in diseased)
    organ = sum(row.organ_mask_path is not None for row in folder.rows)
    listed = ", ".join(f"{name} ({count})" for name, count in kinds.most_common())
    found.add("ok", "lesion masks of diseased rows", listed or "none")
    found.add("ok", "organ masks", f"{organ} of {len(folder.rows)} rows; the others use the model's organ step")
