"""A whole training: from the labelled folder to the model folder, with everything that makes it repeatable."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ClamSegLib.model.checkpoint import LoadedModel, load_model, parameter_count
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError, OutputError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.distributed import Processes
from ClamSegLib.training.finish import write_model
from ClamSegLib.training.finish_int8 import quantize_where_it_helps
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.request import TrainingRequest
from ClamSegLib.training.run_folder import STATE, STATE_FOLDER, TrainingFolder
from ClamSegLib.training.setup import TrainingSetup, prepare_training
from ClamSegLib.training.trainer import Trainer, measure_steps
from ClamSegLib.training.tune_eta import tune_eta

__all__ = ["STATE_FOLDER", "TrainingRequest", "run_training"]


def run_training(request: TrainingRequest, reporter: Reporter) -> Path:
    """Trains and writes the model folder; a stop request or an interrupt keeps the best so far.

    Returns:
        The model folder, `request.output`.

    Raises:
        InputError: data or options that cannot be trained with.
        OutputError: the folder cannot be written.
    """
    processes = Processes.join()
    if processes.rank > 0:
        processes.wait()  # process 0 fills the cache of crops first
        setup = _prepared(request, Reporter())
        learner = _learner(request, setup, processes, Reporter())
        Trainer(learner, None, request.state_folder, Reporter()).run(request.resume)
        processes.wait()
        return request.output
    with TrainingFolder(request.output, request.resume, tensorboard=request.tensorboard) as folder:
        told = folder.reporter(reporter)
        try:
            request.keep_or_compare()
            setup = _prepared(request, told)
        except (InputError, OutputError):
            folder.forget_refused()
            raise
        processes.wait()
        learner = _learner(request, setup, processes, told)
        told.note(f"{learner.setup.training.steps} steps, {parameter_count(setup.config):,} parameters")
        trainer = Trainer(learner, folder, request.state_folder, told)
        try:
            finished = trainer.run(request.resume)
            write_model(request, trainer, finished)
            if request.quantize:
                quantize_where_it_helps(request.output, trainer.learner, told)
        except KeyboardInterrupt:
            told.warning("Interrupted; go on with --resume.")
            raise
        except OutputError as error:
            begun = (request.state_folder / STATE).is_file()
            raise OutputError(f"{error} The training goes on with --resume." if begun else str(error)) from error
        processes.wait()
        if finished:
            shutil.rmtree(request.state_folder, ignore_errors=True)
        told.done(folder=str(request.output), finished=finished, criterion=trainer.at.best_criterion)
    return request.output


def _prepared(request: TrainingRequest, reporter: Reporter) -> TrainingSetup:
    initial = _initial_model(request)
    known = None if initial is None else initial.normative
    return prepare_training(request.folder, request.config, request.training, reporter, known)


def _learner(request: TrainingRequest, setup: TrainingSetup, processes: Processes, reporter: Reporter) -> Learner:
    """What will learn, with eta and the number of steps decided."""
    if request.tune:
        eta = processes.agree(tune_eta(setup, request.output, request.device, reporter))
        setup = replace(setup, training=replace(setup.training, eta=eta))
    setup = _with_steps(request, setup, processes)
    return Learner(setup, request.device, processes, _initial_weights(request))


def _initial_weights(request: TrainingRequest) -> dict[str, Tensor] | None:
    initial = _initial_model(request)
    return None if initial is None else dict(initial.twin.state_dict())


def _initial_model(request: TrainingRequest) -> LoadedModel | None:
    return None if request.initial_model is None else load_model(request.initial_model)


def _with_steps(request: TrainingRequest, setup: TrainingSetup, processes: Processes) -> TrainingSetup:
    """The setup with its number of steps: as asked, as remembered, or as measured for `minutes`."""
    training, remembered = setup.training, request.state_folder / "steps.json"
    if training.minutes == 0:
        return setup

    def throw_away(steps: int) -> Learner:
        return Learner(replace(setup, training=replace(training, steps=steps)), request.device, processes)

    if request.resume and remembered.is_file():
        steps = int(json.loads(remembered.read_text(encoding="utf-8")))
    else:
        steps = measure_steps(throw_away, training.minutes)
        if processes.rank == 0:
            with whole_file(remembered) as part:
                part.write_text(json.dumps(steps), encoding="utf-8")
    validate_every = min(training.validate_every, max(10, steps // 5))
    return replace(setup, training=replace(training, steps=steps, validate_every=validate_every))
