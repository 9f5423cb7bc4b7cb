"""Figures of a model on a labelled folder, by the very path that `segment` takes, beside its baselines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.datasets.cases import UNKNOWN, Case, cleaned, mask_plane, read_cases
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.early_exit import cost_of_levels
from ClamSegLib.evaluation.baselines import GradCam, intensity_map, values_map
from ClamSegLib.evaluation.montage import Example, example_of, write_montage
from ClamSegLib.evaluation.reliability import Reliability, holding_back
from ClamSegLib.evaluation.reliability_picture import write_reliability
from ClamSegLib.evaluation.scoreboard import Scoreboard
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import Preparation, normalise, prepare
from ClamSegLib.organ.find_organ import find_organ
from ClamSegLib.segmentation.lesions import above_threshold
from ClamSegLib.segmentation.run_network import BY_NEED, run_network
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.device import choose_device, clock_of
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

# The strongest condition's map, and the disagreement of the branches where there are any.
Maps = Callable[[Preparation], tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate; `split` '' takes all rows, `neighbours` None does as each model says."""

    split: str = ""
    baselines: bool = False
    device: str = "auto"
    level: int | str | None = None
    batch_size: int = 8
    seed: int = 0
    neighbours: bool | None = None


@dataclass
class _Method:
    """A row of the table: its model (preparation and threshold), its maps, and what they are worth."""

    board: Scoreboard
    model: LoadedModel
    maps: Maps
    reliability: Reliability | None = None
    seconds: float = 0.0
    by_level: dict[int, int] = field(default_factory=dict)


def evaluate(
    folder: LabelledFolder,
    models: Sequence[LoadedModel],
    options: EvaluationOptions,
    output: Path,
    reporter: Reporter | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Evaluates models and baselines and writes metrics.json, cases.csv and pictures.

    Args:
        folder: the labelled folder.
        models: the first is the one evaluated, others are compared in the same table.
        options: split, baselines, device.
        output: becomes visible when complete.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: no rows in the split, models of different tasks, or an image that cannot be read.
    """
    reporter = reporter or Reporter()
    rows = [n for n, row in enumerate(folder.rows) if not options.split or row.split == options.split]
    if not rows:
        splits = ", ".join(sorted({row.split or "(none)" for row in folder.rows}))
        raise InputError(f"No row has the split '{options.split}'; there are {splits}.")
    if len({m.config.task for m in models}) > 1:
        raise InputError("Organ and lesion models cannot stand in one table; compare models of the same task.")
    methods = _methods(models, options)
    with whole_folder(output, overwrite) as part:
        examples = _run(folder, rows, methods, options, reporter)
        table = [m.board.figures(options.seed) for m in methods]
        worth = _reliability(methods)
        metrics = {
            "notice": RESEARCH_ONLY,
            "clamseg": __version__,
            "data": folder.root.name,
            "split": options.split or "all",
            "rows": len(rows),
            "patients": len({folder.rows[n].patient_id for n in rows}),
            "seed": options.seed,
            "table": table,
            "worst_patients": methods[0].board.worst_patients(),
            "reliability": worth,
        }
        if options.level == BY_NEED:
            metrics["level_auto"] = _gain_and_loss(methods, models)
        (part / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        _write_cases(part / "cases.csv", folder, methods)
        write_montage(part / "montage.png", examples, models[0].config)
        first = methods[0].reliability
        if first is not None and methods[0].board.name in worth:
            write_reliability(part / "reliability.png", first, methods[0].board.name)
    return metrics


def _gain_and_loss(methods: Sequence[_Method], models: Sequence[LoadedModel]) -> dict[str, Any]:
    """Per model what `--level auto` saves of the network's time and loses of the mean Dice over lesion slices."""
    told: dict[str, Any] = {}
    by_name = {method.board.name: method for method in methods}
    for model in models:
        whole, early = by_name[model.config.name], by_name.get(f"{model.config.name}, level auto")
        if early is None:
            told[model.config.name] = "every slice at the deepest level: the model holds no early_exits"
            continue
        pairs = [
            (a.dice, b.dice)
            for a, b in zip(whole.board.slices, early.board.slices, strict=True)
            if a.dice is not None and b.dice is not None
        ]
        told[model.config.name] = {
            "times_as_fast": whole.seconds / early.seconds if early.seconds else None,
            "dice_loss": float(np.mean([a - b for a, b in pairs])) if pairs else None,
            "lesion_slices": len(pairs),
            "slices_by_level": early.by_level,
            "times_less_arithmetic": _times_less(model, early.by_level),
            "seconds": {"deepest": whole.seconds, "auto": early.seconds},
        }
    return told


def _times_less(model: LoadedModel, by_level: dict[int, int]) -> float:
    """The arithmetic of the deepest level over the mean of the levels where slices left."""
    costs, _ = cost_of_levels(model.config)
    slices = sum(by_level.values())
    return slices / sum(count * costs[level - 1] for level, count in by_level.items())


def _reliability(methods: Sequence[_Method]) -> dict[str, Any]:
    """Per model what its maps are worth, and what holding back the marks of low slices would do."""
    told: dict[str, Any] = {}
    for method in methods:
        figures = method.reliability.figures() if method.reliability is not None else None
        if figures is not None:
            told[method.board.name] = figures | {"holding_back": holding_back(method.board.slices)}
    return told


def _methods(models: Sequence[LoadedModel], options: EvaluationOptions) -> list[_Method]:
    def of(model: LoadedModel, level: int | str | None, by_level: dict[int, int]) -> Maps:
        def maps(preparation: Preparation) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            run = run_network(
                preparation,
                model,
                device=options.device,
                level=level,
                batch_size=options.batch_size,
                neighbours=options.neighbours,
            )
            for reached, count in run.slices_by_level.items():
                by_level[reached] = by_level.get(reached, 0) + count
            return np.asarray(run.probability.max(axis=0)), np.asarray(run.disagreement.max(axis=0))

        return maps

    def alone(maps: Callable[[Preparation], NDArray[np.uint8]]) -> Maps:
        return lambda preparation: (maps(preparation), None)

    def judged(name: str, model: LoadedModel, level: int | str | None) -> _Method:
        threshold, is_lesion = model.config.threshold, model.config.task == "lesion"
        by_level: dict[int, int] = {}
        return _Method(
            Scoreboard(name, threshold),
            model,
            of(model, level, by_level),
            Reliability(threshold) if is_lesion else None,
            by_level=by_level,
        )

    fixed = None if options.level == BY_NEED else options.level
    methods = [judged(m.config.name, m, fixed) for m in models]
    if options.level == BY_NEED:
        methods += [judged(f"{m.config.name}, level auto", m, BY_NEED) for m in models if m.config.early_exits]
    if options.baselines and models[0].config.task == "lesion":
        methods.append(_Method(Scoreboard("intensity threshold", None), models[0], alone(intensity_map)))
        if models[0].config.refinement is not None:
            for name, by_height in (("values alone", False), ("values alone, by height", True)):
                maps = partial(values_map, by_height=by_height)
                methods.append(_Method(Scoreboard(name, None), models[0], alone(maps)))
        methods.append(_Method(Scoreboard("Grad-CAM", None), models[0], alone(GradCam(models[0].twin).maps)))
    return methods


def _run(
    folder: LabelledFolder, rows: list[int], methods: list[_Method], options: EvaluationOptions, reporter: Reporter
) -> list[Example]:
    _, clock = clock_of(choose_device(options.device).type)
    examples: list[Example] = []
    done = 0
    plane = methods[0].model.config.plane
    for case in read_cases(folder, rows, plane=plane):
        volume = cleaned(folder, case, reporter)
        prepared: dict[int, Preparation] = {}
        for number, method in enumerate(methods):
            key = id(method.model)
            if key not in prepared:
                prepared[key] = _prepared(case, volume, method.model, reporter)
            started = clock()
            shown, disagreement = method.maps(prepared[key])
            method.seconds += clock() - started
            found = _score_case(folder, case, method, prepared[key], shown, disagreement)
            if number == 0:
                examples += found
        done += len(case.slice_rows)
        reporter.progress(done, max(done, len(rows)), "evaluating slices")
    return examples


def _prepared(case: Case, volume: Volume, model: LoadedModel, reporter: Reporter) -> Preparation:
    config = model.config
    if config.task == "organ":
        organ = np.ones(volume.array.shape, bool)
    elif case.organ_mask is not None and case.organ_mask.any():
        organ = case.organ_mask
    else:
        organ = find_organ(volume, config.organ, reporter=reporter, intensity=config.intensity).mask
    return prepare(volume, organ, config)


def _score_case(
    folder: LabelledFolder,
    case: Case,
    method: _Method,
    preparation: Preparation,
    shown: NDArray[np.uint8],
    disagreement: NDArray[np.uint8] | None,
) -> list[Example]:
    board, examples = method.board, []
    board.spacing_known = case.volume.spacing_known
    is_organ = method.model.config.task == "organ"
    # Boxed organs count pixels inside the crop; the organ itself is the support of lesion figures.
    references = _references(case, is_organ)
    for k, number in case.slice_rows:
        row = folder.rows[number]
        reference = references[k]
        boxes = None
        if row.lesion_mask_kind == "box" and row.lesion_mask_path is not None and case.volume.is_picture:
            boxes = mask_plane(row.lesion_mask_path, case.volume.array.shape[1:], row.image_path)
        figures = board.add_slice(
            shown[k],
            preparation.mask[k],
            reference,
            boxes,
            patient=case.patient_id,
            row=number,
            diseased=row.label > 0,
            pixel_mm=case.volume.pixel_mm if case.volume.spacing_known else (1.0, 1.0),
        )
        if method.reliability is not None and disagreement is not None:
            method.reliability.add_slice(
                shown[k],
                disagreement[k],
                preparation.mask[k],
                reference,
                patient=case.patient_id,
                diseased=row.label > 0,
                dice=figures.dice,
            )
        grey, inside = normalise(case.volume.array[k], preparation.scale), np.where(preparation.mask[k], shown[k], 0)
        found = above_threshold(inside, board.threshold or 0.5)
        example = example_of(figures, row.relative_path, grey, inside, found, reference, boxes)
        examples += [] if example is None else [example]
    used = [k for k, _ in case.slice_rows if references[k] is not None]
    if len(used) == len(case.slice_rows) and board.threshold is not None and len(used) > 1:
        found = above_threshold(shown[used], board.threshold) & preparation.mask[used]
        board.add_volume(case.patient_id, found, np.stack([r for r in (references[k] for k in used) if r is not None]))
    return examples


def _references(case: Case, is_organ: bool) -> list[NDArray[np.bool_] | None]:
    """Outline per slice of the stack, None where unknown."""
    if is_organ:
        masks = case.organ_mask
        return [None] * case.volume.array.shape[0] if masks is None else [np.asarray(m) for m in masks]
    lesion = case.lesion
    if lesion is None:
        return [None] * case.volume.array.shape[0]
    return [None if (plane == UNKNOWN).all() else np.asarray((plane > 0) & (plane != UNKNOWN)) for plane in lesion]


def _write_cases(path: Path, folder: LabelledFolder, methods: list[_Method]) -> None:
    names = ("score", "dice", "false_positive_area", "hd95", "pointing", "box_iou", "energy_in_box")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "image", "patient", "class", *names])
        for method in methods:
            for figures in method.board.slices:
                row = folder.rows[figures.row]
                values = [getattr(figures, name) for name in names]
                texts = ["" if v is None else int(v) if isinstance(v, bool) else f"{v:.4f}" for v in values]
                writer.writerow([method.board.name, row.relative_path, row.patient_id, row.class_name, *texts])
