"""A whole training: from the labelled folder to the model folder, with everything that makes it repeatable."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.model.checkpoint import load_model, parameter_count, save_model
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.distributed import Processes
from ClamSegLib.training.fit_threshold import threshold_of_corrections
from ClamSegLib.training.held_out import neighbours_of
from ClamSegLib.training.run_folder import TrainingFolder
from ClamSegLib.training.setup import TrainingSetup, prepare_training
from ClamSegLib.training.trainer import Trainer, measure_steps
from ClamSegLib.training.tune_eta import tune_eta

STATE_FOLDER = "state"
REQUEST = "request.json"


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asked for, complete: the same request with `resume` goes on where a kill left off.

    Attributes:
        initial_model: folder of the model to fine-tune, or None.
        about: words for the card: 'data', 'licence' and 'limits', each may be missing.
        tune: find eta by short trainings first.
    """

    folder: LabelledFolder
    config: ModelConfig
    training: TrainingConfig
    output: Path
    device: torch.device
    initial_model: Path | None = None
    resume: bool = False
    about: dict[str, str] | None = None
    command: tuple[str, ...] = ()
    tensorboard: bool = False
    tune: bool = False


def _initial_weights(request: TrainingRequest) -> dict[str, Tensor] | None:
    if request.initial_model is None:
        return None
    return dict(load_model(request.initial_model).twin.state_dict())


def _same_as_before(request: TrainingRequest, state_folder: Path) -> dict[str, Any]:
    """Writes the request on a first start; on --resume refuses one that differs from the first."""
    described = {
        "data": str(request.folder.root.resolve()),
        "model": to_json(replace(request.config, name="")),
        "training": to_json(request.training) | ({"eta": "tune"} if request.tune else {}),
        "initial": str(request.initial_model or ""),
    }
    described = json.loads(json.dumps(described))
    path = state_folder / REQUEST
    if request.resume and path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key in described if before.get(key) != described[key]]
        if changed:
            raise InputError(
                f"--resume must repeat the options of the first start, but {', '.join(changed)} differ; "
                "repeat the first command with --resume added, or start anew with another --output."
            )
        return dict(before)
    with whole_file(path) as part:
        part.write_text(json.dumps(described, indent=1), encoding="utf-8")
    return dict(described)


def _with_tuned_eta(
    request: TrainingRequest, setup: TrainingSetup, processes: Processes, reporter: Reporter
) -> TrainingSetup:
    if not request.tune:
        return setup
    eta = processes.agree(tune_eta(setup, request.output, request.device, reporter))
    return replace(setup, training=replace(setup.training, eta=eta))


def _steps(request: TrainingRequest, setup: TrainingSetup, processes: Processes, state_folder: Path) -> TrainingConfig:
    """The training with its number of steps: as asked, as remembered, or as measured for `minutes`."""
    training = setup.training
    if training.minutes == 0:
        return training
    remembered = state_folder / "steps.json"
    if request.resume and remembered.is_file():
        return replace(training, steps=int(json.loads(remembered.read_text(encoding="utf-8"))))

    def throw_away(steps: int) -> Trainer:
        return Trainer(
            setup.config,
            replace(training, steps=steps),
            setup.crops,
            setup.split,
            folder=None,
            state_folder=state_folder,
            device=request.device,
            processes=processes,
            reporter=Reporter(),
        )

    whole_rounds = 1.0 if training.rounds == 1 else training.rounds - 1 + training.first_round_share
    steps = measure_steps(throw_away, training.minutes, whole_rounds)
    if processes.rank == 0:
        with whole_file(remembered) as part:
            part.write_text(json.dumps(steps), encoding="utf-8")
    return replace(training, steps=steps, validate_every=min(training.validate_every, max(10, steps // 5)))


def run_training(request: TrainingRequest, reporter: Reporter) -> Path:
    """Trains and writes the model folder; a stop request or an interrupt keeps the best so far.

    Returns:
        The model folder, `request.output`.

    Raises:
        InputError: data or options that cannot be trained with.
        OutputError: the folder cannot be written.
    """
    processes = Processes.join()
    state_folder = request.output / STATE_FOLDER
    if processes.rank > 0:
        distributed.barrier()  # process 0 fills the cache of crops first
        setup = prepare_training(request.folder, request.config, request.training, Reporter())
        setup = _with_tuned_eta(request, setup, processes, Reporter())
        training = _steps(request, setup, processes, state_folder)
        _trainer(request, setup, training, None, processes, Reporter()).run(request.resume)
        distributed.barrier()
        return request.output
    with TrainingFolder(request.output, request.resume, tensorboard=request.tensorboard) as folder:
        told = folder.reporter(reporter)
        state_folder.mkdir(exist_ok=True)
        try:
            _same_as_before(request, state_folder)
            setup = prepare_training(request.folder, request.config, request.training, told)
        except InputError:
            folder.forget_refused()
            raise
        if processes.count > 1:
            distributed.barrier()
        setup = _with_tuned_eta(request, setup, processes, told)
        training = _steps(request, setup, processes, state_folder)
        told.note(
            f"{training.rounds} round(s), {training.all_steps} steps, {parameter_count(setup.config):,} parameters"
        )
        trainer = _trainer(request, setup, training, folder, processes, told)
        try:
            finished = trainer.run(request.resume)
        except KeyboardInterrupt:
            trainer.reporter.warning("Interrupted; go on with --resume.")
            raise
        _write_model(request, setup, trainer, finished)
        if processes.count > 1:
            distributed.barrier()
        if finished:
            shutil.rmtree(state_folder, ignore_errors=True)
        told.done(folder=str(request.output), finished=finished, criterion=trainer.at.best_criterion)
    return request.output


def _trainer(
    request: TrainingRequest,
    setup: TrainingSetup,
    training: TrainingConfig,
    folder: TrainingFolder | None,
    processes: Processes,
    reporter: Reporter,
) -> Trainer:
    return Trainer(
        setup.config,
        training,
        setup.crops,
        setup.split,
        folder=folder,
        state_folder=request.output / STATE_FOLDER,
        device=request.device,
        processes=processes,
        reporter=reporter,
        initial=_initial_weights(request),
    )


def _write_model(request: TrainingRequest, setup: TrainingSetup, trainer: Trainer, finished: bool) -> None:
    best = trainer.at.best
    config = replace(
        setup.config,
        odds_normal=tuple(tuple(tuple(head) for head in branch) for branch in best["odds_normal"]),
        head_weights=tuple(float(w) for w in trainer.head_weights),
        refinement=trainer.best_decoding()[3],
        licence=(request.about or {}).get("licence", setup.config.licence),
    )
    twin = trainer.best_model()
    smooths, threshold = neighbours_of(trainer, twin, config), _threshold(trainer, twin, config)
    config = replace(config, slice_smoothing=smooths, threshold=threshold)
    run = {
        "clamseg": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": str(request.device),
        "date": datetime.now(UTC).date().isoformat(),
        "command": list(request.command),
        "training": to_json(trainer.training),
        "counts": setup.counts,
        "finished": finished,
        "best_step": trainer.at.best_step,
        "best_round": trainer.at.best_round,
        "round": trainer.at.round,
        "validation": best["figures"],
        "initial_model": request.initial_model.name if request.initial_model else None,
    }
    save_model(request.output, config, twin.state_dict(), _card(request, setup, config, run), run)


def _threshold(trainer: Trainer, twin: TwinUNet, config: ModelConfig) -> float:
    classes = config.network.classes
    source = CropSource(trainer.crops, trainer.split[0], trainer.training, classes, torch.device("cpu"))
    return threshold_of_corrections(twin, source, config)


def _card(request: TrainingRequest, setup: TrainingSetup, config: ModelConfig, run: dict[str, Any]) -> str:
    about = request.about or {}
    figures = "\n".join(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in run["validation"].items())
    counts = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in setup.counts.items())
    kind = " ".join(word for word in (config.modality, config.sequence) if word)
    where = "X-rays" if config.modality == "XR" else f"{config.plane} {kind} slices"
    held_out = not np.array_equal(setup.split[0], setup.split[1])
    shown = (
        "held-out patients of the training data" if held_out else "the training slices themselves, for lack of patients"
    )
    judged = (
        "against organ masks"
        if config.task == "organ"
        else "against lesion masks"
        if request.training.supervision == "masks"
        else "without any lesion mask"
    )
    return f"""# {config.name}

{RESEARCH_ONLY}

Outlines {", ".join(c.name for c in config.conditions)} in {where} ({config.body_part}); task {config.task}; learned from {"organ masks" if config.task == "organ" else "image labels" if request.training.supervision == "labels" else "lesion masks"}.

- Data: {about.get("data", request.folder.root.name)}
- Licence: {about.get("licence", "not stated by the person who trained it")}
- Network: {config.network.branches} UNet++ branch(s), features {list(config.network.features)}, kernels {list(config.network.kernel_sizes)}, {parameter_count(config):,} parameters, {config.image_size} x {config.image_size} pixels
- Starting model: {run["initial_model"] or "none"}
- Command: `{shlex.join(run["command"]) or "library call"}`, seed {request.training.seed}, {run["date"]}

| data | |
|---|---|
{counts}

Figures on {shown}, {judged} (they chose the model, so they are optimistic):

| figure | |
|---|---|
{figures}

Limits: {about.get("limits", "not tested outside the data named above.")}
"""
