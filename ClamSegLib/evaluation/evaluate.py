"""Figures of a model on a labelled folder, by the very path that `segment` takes, beside its baselines."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.datasets.case_warnings import CaseWarnings
from ClamSegLib.datasets.cases import group_rows
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.datasets.rows_json import part_of
from ClamSegLib.evaluation.judge import EvaluationOptions, Found, Judge, Judged
from ClamSegLib.evaluation.montage import Example, chosen_examples, write_montage
from ClamSegLib.evaluation.reliability_picture import write_reliability
from ClamSegLib.evaluation.scoreboard import Scoreboard
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.folder_kind import FolderKind
from ClamSegLib.system.outcome import Outcome
from ClamSegLib.system.progress import Reporter
from ClamSegLib.system.words import in_cell

EVALUATION = FolderKind(
    "an evaluation",
    "metrics.json",
    ("clamseg", "table"),
    ("metrics.json", "cases.csv", "montage.png", "reliability.png"),
)
# Rows that could not be judged, by number, and why.
NotJudged = dict[int, str]


class Way(Protocol):
    """Who judges the parts of a folder: this process, or the workers of a cluster."""

    def judged(self, parts: Sequence[LabelledFolder], judge: Judge, warnings: CaseWarnings, found: Found) -> None:
        """Judges the parts and calls `found` with each, in their order."""

    def pictured(self, rows: list[tuple[str, list[Example]]]) -> list[tuple[str, list[Example]]]:
        """The chosen examples with their pictures."""


class Here:
    """In this process, one part after the other."""

    def judged(self, parts: Sequence[LabelledFolder], judge: Judge, warnings: CaseWarnings, found: Found) -> None:
        """As `Way` says."""
        total, done = sum(len(part.rows) for part in parts), 0
        with reading_apart():
            for place, part in enumerate(parts):
                judged = judge.judge(part, warnings)
                done += len(judged.boards[0].slices)
                warnings.progress(done, max(done, total), "evaluating slices")
                found(place, judged)

    def pictured(self, rows: list[tuple[str, list[Example]]]) -> list[tuple[str, list[Example]]]:
        """They have them."""
        return rows


def evaluate(
    folder: LabelledFolder,
    models: Sequence[LoadedModel],
    options: EvaluationOptions,
    output: Path,
    reporter: Reporter | None = None,
    *,
    overwrite: bool = False,
    way: Way | None = None,
) -> dict[str, Any]:
    """Evaluates models and baselines and writes metrics.json, cases.csv and pictures.

    Args:
        folder: the labelled folder.
        models: the first is the one evaluated, others are compared in the same table.
        options: split, baselines, device.
        output: becomes visible when complete.
        way: who judges; None for this process. The figures are the same.

    Returns:
        What metrics.json holds.

    Raises:
        InputError: no rows in the split, models of different tasks, or an image that cannot be read.
        ClamSegError: nothing could be judged.
    """
    reporter = reporter or Reporter()
    rows = [n for n, row in enumerate(folder.rows) if not options.split or row.split == options.split]
    if not rows:
        splits = ", ".join(sorted({row.split or "(none)" for row in folder.rows}))
        raise InputError(f"No row has the split '{options.split}'; there are {splits}.")
    if len({m.config.task for m in models}) > 1:
        raise InputError("Organ and lesion models cannot stand in one table; compare models of the same task.")
    way = way or Here()
    with whole_folder(output, EVALUATION, overwrite) as part:
        judged, lost = _judged(folder, rows, Judge(models, options), way, reporter)
        boards, worth = judged.boards, _reliability(judged)
        metrics = {
            "notice": RESEARCH_ONLY,
            "clamseg": __version__,
            "data": folder.root.name,
            "split": options.split or "all",
            "rows": len(rows),
            "patients": len({folder.rows[n].patient_id for n in rows}),
            "seed": options.seed,
            "table": [board.figures(options.seed) for board in boards],
            "worst_patients": boards[0].worst_patients(),
            "reliability": worth,
            "not_judged": [{"image": folder.rows[n].relative_path, "why": why} for n, why in lost.items()],
        }
        (part / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        _write_cases(part / "cases.csv", folder, boards, lost)
        write_montage(part / "montage.png", way.pictured(chosen_examples(judged.examples)), models[0].config)
        first = judged.reliabilities[0]
        if first is not None and boards[0].name in worth:
            write_reliability(part / "reliability.png", first, boards[0].name)
    return metrics


def _judged(
    folder: LabelledFolder, rows: Sequence[int], judge: Judge, way: Way, reporter: Reporter
) -> tuple[Judged, NotJudged]:
    groups = [group.numbers for group in group_rows(folder, rows)]
    warnings, all_, lost = CaseWarnings(reporter), judge.nothing(), NotJudged()
    parts = [part_of(folder, numbers) for numbers in groups]

    def found(place: int, told: Judged | Outcome) -> None:
        if isinstance(told, Judged):
            all_.add(told, groups[place], place)
        else:
            lost.update(dict.fromkeys(groups[place], told.words))

    way.judged(parts, judge, warnings, found)
    warnings.tell_rest(all_.cases)
    if not all_.cases:
        raise ClamSegError(f"Nothing could be judged: {next(iter(lost.values()))}")
    return all_, lost


def _reliability(judged: Judged) -> dict[str, Any]:
    """Per model how far its maps can be trusted."""
    told: dict[str, Any] = {}
    for board, reliability in zip(judged.boards, judged.reliabilities, strict=True):
        figures = reliability.figures() if reliability is not None else None
        if figures is not None:
            told[board.name] = figures
    return told


def _write_cases(path: Path, folder: LabelledFolder, boards: Sequence[Scoreboard], lost: NotJudged) -> None:
    names = ("score", "dice", "false_positive_area", "hd95", "pointing", "box_iou", "energy_in_box")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "image", "patient", "class", *names, "problem"])
        for board in boards:
            for figures in board.slices:
                values = [getattr(figures, name) for name in names]
                texts = ["" if v is None else int(v) if isinstance(v, bool) else f"{v:.4f}" for v in values]
                writer.writerow([*_named(board, folder, figures.row), *texts, ""])
            for number, why in lost.items():
                writer.writerow([*_named(board, folder, number), *[""] * len(names), in_cell(why)])


def _named(board: Scoreboard, folder: LabelledFolder, number: int) -> list[str]:
    row = folder.rows[number]
    return [in_cell(str(word)) for word in (board.name, row.relative_path, row.patient_id, row.class_name)]
