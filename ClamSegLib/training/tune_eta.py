"""`--eta tune`: short trainings with different eta, compared by the mask-free criterion, the best one kept.

Optuna keeps every finished trial in `eta.journal` in the output folder, so tuning resumes, and several
workers may share the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.run_folder import STATE_FOLDER, STOP, TrainingFolder
from ClamSegLib.training.setup import TrainingSetup
from ClamSegLib.training.trainer import Trainer

TRIALS = 6
_LOW, _HIGH = 0.1, 1.0


def tune_eta(
    setup: TrainingSetup, output: Path, device: torch.device, reporter: Reporter, trials: int = TRIALS
) -> float:
    """The eta whose short training (a quarter of the steps) has the best criterion without masks.

    Args:
        setup: of the training eta is wanted for.
        output: its folder; a `stop` file there ends the tuning with the best so far.
        trials: finished trials in total, over all workers and resumed runs.

    Returns:
        eta in 0.1..1.

    Raises:
        InputError: Optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise InputError(
            "--eta tune needs Optuna; install it with pip install 'clamseg[tune]', or give a number."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = output / "tune"
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="eta",
        direction="maximize",
        load_if_exists=True,
        storage=JournalStorage(JournalFileBackend(str(folder / "eta.journal"))),
        sampler=optuna.samplers.TPESampler(seed=setup.training.seed, n_startup_trials=3),
    )

    def criterion(trial: Any) -> float:
        eta = trial.suggest_float("eta", _LOW, _HIGH)
        steps = max(20, (setup.training.steps or 400) // 4)
        training = replace(setup.training, eta=eta, steps=steps, minutes=0.0, validate_every=steps)
        with TrainingFolder(folder / f"trial-{trial.number}", resume=False, steered_by=output) as own:
            (own.folder / STATE_FOLDER).mkdir(exist_ok=True)
            learner = Learner(replace(setup, training=training), device)
            trainer = Trainer(learner, own, own.folder / STATE_FOLDER, Reporter())
            trainer.run(resume=False)
        return trainer.at.best_criterion

    def finished() -> int:
        return sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials)

    while finished() < trials:
        reporter.progress(finished(), trials, "tuning eta")
        study.optimize(criterion, n_trials=1)
        if (output / STOP).exists():
            break
    eta = float(study.best_params["eta"])
    reporter.note(f"eta {eta:.2f} has the best criterion of {finished()} trials ({study.best_value:.3f})")
    return eta
