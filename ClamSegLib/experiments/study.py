"""A study: the rows of a file trained and judged one after another, each finished one a JSON file, resumable.

Every training is `run_training`, every figure comes from `evaluate`; nothing is computed here.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ClamSegLib import __version__
from ClamSegLib.datasets.rows import LabelledFolder
from ClamSegLib.evaluation.evaluate import evaluate
from ClamSegLib.evaluation.judge import EvaluationOptions
from ClamSegLib.experiments.study_file import CHOICE, Study, StudyRow, with_choice
from ClamSegLib.experiments.study_patients import with_corrections, with_groups, with_left_out
from ClamSegLib.experiments.study_refit import refitted_model
from ClamSegLib.experiments.study_table import write_tables
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.config_json import from_json
from ClamSegLib.model.model_folder import CONFIG, RUN
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.atomic_output import put_back, whole_file, whole_folder
from ClamSegLib.system.disk import take_along
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.folder_kind import FolderKind
from ClamSegLib.system.process import running_training
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.request import TrainingRequest
from ClamSegLib.training.run import run_training
from ClamSegLib.training.run_folder import STATE_FOLDER
from ClamSegLib.training.setup import fine_tuning_config, new_model_config, objective_of

ROWS, RUNS = "rows", "runs"
# In the folder of a run: the settings it was begun with. Of one that is to replace another: no row's name begins with a dot.
MARK, _ANEW = "row.json", "-anew"
_RUN = FolderKind("a run", CONFIG, ("weights_sha256", "network"), ("*",))
# Keys of rows that earlier versions wrote.
_FORMERLY = {"shows": "description", "judged_on": "eval_split", "learns_from": "train_group"}


@dataclass(frozen=True)
class StudyRequest:
    """What the user asked for.

    Attributes:
        folder: the labelled data.
        output: gets rows/NAME.json, the table, and runs/NAME with the models (kept out of git).
        names: rows to run; empty for all.
        overwrite: run rows again that are finished.
    """

    study: Study
    folder: LabelledFolder
    output: Path
    device: torch.device
    names: tuple[str, ...] = ()
    overwrite: bool = False
    command: tuple[str, ...] = ()


def run_study(request: StudyRequest, reporter: Reporter) -> list[ClamSegError]:
    """Runs the rows that are missing, in the order of the file, and writes the table after each.

    Returns:
        The errors of rows that could not be run; the others are done.

    Raises:
        InputError: a name that is no row.
        OutputError: the output cannot be written.
    """
    study = request.study
    wanted = [study.row(name) for name in request.names] or list(study.rows)
    _ignore_models(request.output / RUNS)
    errors: list[ClamSegError] = []
    again = set() if not request.overwrite else {row.name for row in wanted}
    for number, row in enumerate(wanted, 1):
        reporter.note(f"row {number} of {len(wanted)}: {row.name}")
        try:
            if row.name not in again and _is_done(request, row):
                continue
            _run_row(request, row, reporter, anew=row.name in again)
            reporter.done(row=row.name)
        except ClamSegError as error:
            reporter.error(f"row {row.name}: {error}", row=row.name)
            errors.append(error)
        write_tables(study, finished_rows(request.output, study.rows), request.output)
    write_tables(study, finished_rows(request.output, study.rows), request.output)
    return errors


def finished_rows(output: Path, rows: Sequence[StudyRow]) -> list[dict[str, Any]]:
    """What the files of finished rows hold, in the order of the study."""
    paths = [output / ROWS / f"{row.name}.json" for row in rows]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    return [{_FORMERLY.get(key, key): value for key, value in row.items()} for row in found]


def _ignore_models(runs: Path) -> None:
    """Weights are large and can be made again: git leaves the folder out."""
    with whole_file(runs / ".gitignore") as path:
        path.write_text("*\n", encoding="utf-8")


def _is_done(request: StudyRequest, row: StudyRow) -> bool:
    path = request.output / ROWS / f"{row.name}.json"
    if not path.is_file():
        return False
    before = json.loads(path.read_text(encoding="utf-8"))
    if before.get("fingerprint") != request.study.fingerprint(row):
        raise InputError(
            f"{path.name} was run with other settings than the file has now; give the row a new name, "
            "or run it again with --overwrite."
        )
    return True


def _run_row(request: StudyRequest, row: StudyRow, reporter: Reporter, *, anew: bool) -> None:
    """Trains (or goes on, or takes the finished model) and judges one row."""
    study = request.study
    trained = study.trained(row)
    folder = _folder_of(request, trained)
    started = time.monotonic()
    model = _trained_model(request, trained, folder, reporter, anew=anew and not row.of)
    trained_s = time.monotonic() - started
    if row.refit:
        initial = _start_of(request, trained, reporter)
        output = request.output / RUNS / row.name
        model = refitted_model(model, initial, folder, output, request.device, reporter)
    if row.head_weights:
        model = replace(model, config=replace(model.config, head_weights=row.head_weights))
    if not row.volume_evidence:
        model = replace(model, config=replace(model.config, volume_evidence=None))
    # What asks the whole volume does so as the model says; else slice by slice, so that rows can be compared.
    smooths = row.slice_smoothing or (None if model.config.volume_evidence else False)
    options = EvaluationOptions(
        row.eval_split,
        row.baselines,
        str(request.device),
        row.level or model.config.network.heads,
        slice_smoothing=smooths,
    )
    judged = request.output / RUNS / trained.name / f"judged-{row.name}"
    metrics = evaluate(folder, [model], options, judged, reporter, overwrite=True)
    run = json.loads((model.folder / RUN).read_text(encoding="utf-8"))
    finished = {
        "name": row.name,
        "description": row.description,
        "of": row.of,
        "fingerprint": study.fingerprint(row),
        "model": trained.model,
        "training": trained.training,
        "eval_split": row.eval_split,
        "level": row.level,
        "head_weights": list(row.head_weights),
        "seed": run["training"]["seed"],
        "supervision": run["training"]["supervision"],
        "criterion": run["validation"]["criterion"],
        "validation": run["validation"],
        "best_step": run["best_step"],
        "figures": metrics["table"][0],
        "baselines": metrics["table"][1:],
        "patients": metrics["patients"],
        "date": datetime.now(UTC).date().isoformat(),
        "minutes": {"training": round(trained_s / 60, 2), "all": round((time.monotonic() - started) / 60, 2)},
        "command": list(request.command),
        "versions": {"clamseg": __version__, "torch": torch.__version__, "device": str(request.device)},
    }
    told = {"start": trained.start, "train_group": trained.train_group, "corrected": trained.corrected}
    finished |= told if trained.train_group or trained.start or trained.corrected else {}
    finished |= {"tuned_eta": run["training"]["eta"]} if trained.tune_eta else {}
    finished |= {"slice_smoothing": True} if row.slice_smoothing else {}
    finished |= {"volume_evidence": True} if model.config.volume_evidence else {}
    finished |= {"refit": True} if row.refit else {}
    with whole_file(request.output / ROWS / f"{row.name}.json") as path:
        path.write_text(json.dumps(finished, indent=1) + "\n", encoding="utf-8")


def _folder_of(request: StudyRequest, trained: StudyRow) -> LabelledFolder:
    """The data as the row's training may see them, and with the splits that it is judged on."""
    study, folder = request.study, request.folder
    if trained.left_out:
        folder = with_left_out(folder, trained.left_out)
    elif study.groups:
        folder = with_groups(folder, study.groups, trained.train_group, study.choice_seed)
    elif trained.eval_split == CHOICE:
        folder = with_choice(folder, study.choice_patients, study.choice_seed)
    if trained.corrected:
        training = from_json(TrainingConfig, study.recipe(trained).training, f"row {trained.name}, training")
        folder = with_corrections(folder, trained.corrected, training, study.choice_seed)
    return folder


def _trained_model(
    request: StudyRequest, row: StudyRow, folder: LabelledFolder, reporter: Reporter, *, anew: bool
) -> LoadedModel:
    """The model of a row with a training of its own; a killed training goes on, a finished one is taken.

    A training that is to replace a finished one runs beside it, and takes its place when it is finished itself.
    """
    output = request.output / RUNS / row.name
    put_back(output.parent)
    wanted = {"training": request.study.training_fingerprint(row)}
    if _is_finished(output):
        if not anew and _mark_of(output) == wanted:
            return load_model(output)
        replaced, output = output, output.with_name(f".{row.name}{_ANEW}")
        _train(request, row, folder, output, wanted, reporter)
        # A kill from here on leaves a row to judge, not figures of another model than the one that is there.
        (request.output / ROWS / f"{row.name}.json").unlink(missing_ok=True)
        with whole_folder(replaced, _RUN, overwrite=True) as part:
            take_along(output, part, ())
        shutil.rmtree(output, ignore_errors=True)
        return load_model(replaced)
    _train(request, row, folder, output, wanted, reporter)
    return load_model(output)


def _is_finished(output: Path) -> bool:
    return _RUN.is_at(output) and not (output / STATE_FOLDER).exists()


def _mark_of(output: Path) -> dict[str, Any] | None:
    """What a run was begun with; None where that cannot be read."""
    try:
        told = json.loads((output / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _train(
    request: StudyRequest,
    row: StudyRow,
    folder: LabelledFolder,
    output: Path,
    wanted: dict[str, Any],
    reporter: Reporter,
) -> None:
    """Trains a row into `output`, or goes on with what was begun there with the same settings."""
    recipe = request.study.recipe(row)
    if _is_finished(output) and _mark_of(output) == wanted:
        return
    if _mark_of(output) != wanted:
        if running_training(output) is not None:
            raise InputError(
                f"Another study trains row {row.name} at this moment; wait for it, or choose another output."
            )
        shutil.rmtree(output, ignore_errors=True)
        with whole_file(output / MARK) as path:
            path.write_text(json.dumps(wanted), encoding="utf-8")
    training = from_json(TrainingConfig, recipe.training, f"row {row.name}, training")
    initial = _start_of(request, row, reporter)
    features = recipe.model.get("network", {}).get("features")
    if initial is not None:
        config = fine_tuning_config(initial.config, folder, row.name, training.task)
        training = objective_of(initial.config, training, reporter)
    else:
        config = new_model_config(
            folder, row.name, "", recipe.model, training.task, tuple(features) if features else None, training.objective
        )
    run_training(
        TrainingRequest(
            folder, config, training, output, request.device, initial.folder if initial is not None else None,
            (output / STATE_FOLDER).exists(), command=request.command, tune=row.tune_eta,
        ),
        reporter,
    )  # fmt: skip


def _start_of(request: StudyRequest, row: StudyRow, reporter: Reporter) -> LoadedModel | None:
    """The model that the row fine-tunes, trained first where it is not there."""
    if not row.start:
        return None
    start = request.study.row(row.start)
    return _trained_model(request, start, _folder_of(request, start), reporter, anew=False)
