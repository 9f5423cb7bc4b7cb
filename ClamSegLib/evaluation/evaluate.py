"""Figures of a model on a labelled folder, by the very path that `segment` takes, beside its baselines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.datasets.case_warnings import CaseWarnings
from ClamSegLib.datasets.cases import UNKNOWN, Case, read_cases, searched
from ClamSegLib.datasets.crop_cache import heights_of
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.evaluation.baselines import GradCam, intensity_map, normative_map
from ClamSegLib.evaluation.montage import Example, example_of, write_montage
from ClamSegLib.evaluation.reliability import Reliability
from ClamSegLib.evaluation.reliability_picture import write_reliability
from ClamSegLib.evaluation.scoreboard import Scoreboard
from ClamSegLib.imaging.mask_files import read_mask_plane
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import Preparation, normalise, prepare
from ClamSegLib.segmentation.lesions import above_threshold
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.run_network import run_network
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.folder_kind import FolderKind
from ClamSegLib.system.progress import Reporter
from ClamSegLib.system.words import in_cell

# The strongest condition's map, and the disagreement of the branches where there are any.
Maps = Callable[[Preparation], tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]


EVALUATION = FolderKind(
    "an evaluation",
    "metrics.json",
    ("clamseg", "table"),
    ("metrics.json", "cases.csv", "montage.png", "reliability.png"),
)


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate; `split` '' takes all rows, `level` and `slice_smoothing` None do as each model says."""

    split: str = ""
    baselines: bool = False
    device: str = "auto"
    level: int | None = None
    batch_size: int = 8
    seed: int = 0
    slice_smoothing: bool | None = None


@dataclass
class _Method:
    """A row of the table: its model (preparation and threshold), its maps, and what they are worth."""

    board: Scoreboard
    model: LoadedModel
    maps: Maps
    reliability: Reliability | None = None


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
    with reading_apart(), whole_folder(output, EVALUATION, overwrite) as part:
        examples = _run(folder, rows, methods, reporter)
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
        (part / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        _write_cases(part / "cases.csv", folder, methods)
        write_montage(part / "montage.png", examples, models[0].config)
        first = methods[0].reliability
        if first is not None and methods[0].board.name in worth:
            write_reliability(part / "reliability.png", first, methods[0].board.name)
    return metrics


def _reliability(methods: Sequence[_Method]) -> dict[str, Any]:
    """Per model how far its maps can be trusted."""
    told: dict[str, Any] = {}
    for method in methods:
        figures = method.reliability.figures() if method.reliability is not None else None
        if figures is not None:
            told[method.board.name] = figures
    return told


def _methods(models: Sequence[LoadedModel], options: EvaluationOptions) -> list[_Method]:
    wanted = SegmentOptions(
        device=options.device,
        level=options.level,
        batch_size=options.batch_size,
        engine="reference",
        slice_smoothing=options.slice_smoothing,
    )

    def of(model: LoadedModel) -> Maps:
        def maps(preparation: Preparation) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            run = run_network(preparation, model, wanted, with_disagreement=True)
            assert run.disagreement is not None
            return np.asarray(run.probability.max(axis=0)), np.asarray(run.disagreement.max(axis=0))

        return maps

    def alone(maps: Callable[[Preparation], NDArray[np.uint8]]) -> Maps:
        return lambda preparation: (maps(preparation), None)

    methods = [
        _Method(
            Scoreboard(m.config.name, m.config.threshold),
            m,
            of(m),
            Reliability(m.config.threshold) if m.config.task == "lesion" else None,
        )
        for m in models
    ]
    if options.baselines and models[0].config.task == "lesion":
        methods.append(_Method(Scoreboard("intensity threshold", None), models[0], alone(intensity_map)))
        if models[0].normative is not None:
            methods.append(_Method(Scoreboard("normative map, no network", None), models[0], alone(normative_map)))
        methods.append(_Method(Scoreboard("Grad-CAM", None), models[0], alone(GradCam(models[0].twin).maps)))
    return methods


def _run(folder: LabelledFolder, rows: list[int], methods: list[_Method], reporter: Reporter) -> list[Example]:
    examples: list[Example] = []
    done = cases = 0
    plane, warnings = methods[0].model.config.plane, CaseWarnings(reporter)
    for case in read_cases(folder, rows, plane=plane):
        cases += 1
        warnings.about(folder.rows[case.slice_rows[0][1]].relative_path)
        prepared: dict[int, Preparation] = {}
        for number, method in enumerate(methods):
            key, config = id(method.model), method.model.config
            if key not in prepared:
                volume, organ = searched(folder, case, config, warnings)
                prepared[key] = prepare(volume, organ, config, method.model.normative, heights_of(case, organ))
            shown, disagreement = method.maps(prepared[key])
            found = _score_case(folder, case, method, prepared[key], shown, disagreement)
            if number == 0:
                examples += found
        done += len(case.slice_rows)
        reporter.progress(done, max(done, len(rows)), "evaluating slices")
    warnings.tell_rest(cases)
    return examples


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
            boxes, _ = read_mask_plane(row.lesion_mask_path, case.volume.array.shape[1:], row.image_path)
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
                named = (method.board.name, row.relative_path, row.patient_id, row.class_name)
                writer.writerow([*(in_cell(str(word)) for word in named), *texts])
