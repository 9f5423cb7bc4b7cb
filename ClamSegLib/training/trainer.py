"""The training loop: step, judge without masks, keep the best, resume after a kill. Process 0 validates and writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.checkpoint_state import load_training_state, save_training_state
from ClamSegLib.training.fit_calibration import validate_told
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.preview import write_preview
from ClamSegLib.training.run_folder import PREVIEW, STATE, TrainingFolder
from ClamSegLib.training.validation import recalibrated, validate

_STEPS_TO_MEASURE = 8
_STEPS_PER_PROGRESS, _STEPS_PER_METRIC = 10, 50


@dataclass
class Progress:
    """Where a training stands; everything but tensors that a resumed training needs.

    Attributes:
        best: figures and odds_normal of the best validation so far.
        rows: of metrics.csv.
    """

    step: int = 0
    best_criterion: float = -1e9
    best_step: int = -1
    best: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Runs a training.

    Args:
        learner: what learns.
        folder: entered TrainingFolder of process 0, None on others.
        state_folder: where the state for `resume` lies.
        reporter: is told progress and figures.
    """

    def __init__(self, learner: Learner, folder: TrainingFolder | None, state_folder: Path, reporter: Reporter) -> None:
        self.learner, self.folder, self.reporter = learner, folder, reporter
        self.at = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self._state = state_folder / STATE
        self._since_row: list[dict[str, float]] = []

    @kept_memory()
    def run(self, resume: bool) -> bool:
        """Trains to the last step or until a stop is asked for.

        Returns:
            Whether the training ran to its end (False: stopped; the best so far is kept).
        """
        if resume and self._state.is_file():
            self._restore()
        learner, t, stopped = self.learner, self.learner.setup.training, False
        while learner.steps_done < t.steps and not stopped:
            parts = learner.step()
            step, is_last = learner.steps_done, learner.steps_done == t.steps
            self._since_row.append(parts)
            if step % _STEPS_PER_PROGRESS == 0 or is_last:
                self._tell(parts)
                stopped = self._stop_requested()
            if step % t.validate_every == 0 or is_last or stopped:
                self._add_row()
                self._validate()
                self._save()
        return not stopped

    def best_model(self) -> TwinUNet:
        """The best network so far, in evaluation mode on the CPU (process 0)."""
        twin = TwinUNet(self.learner.setup.config.network)
        twin.load_state_dict(self.best_weights)
        return twin.eval()

    def _stop_requested(self) -> bool:
        """Process 0 reads the folder, all processes do as it says."""
        asked = self.folder is not None and self.folder.stop_requested()
        return bool(self.learner.processes.agree(float(asked)))

    def _tell(self, parts: dict[str, float]) -> None:
        step = self.learner.steps_done
        self.reporter.progress(step, self.learner.setup.training.steps, "training")
        if step % _STEPS_PER_METRIC == 0:
            self.reporter.metric(step=step, **{name: round(value, 4) for name, value in parts.items()})

    def _add_row(self) -> None:
        """A row of metrics.csv: the mean of each term since the row before."""
        row: dict[str, Any] = {"step": self.learner.steps_done}
        for name in dict.fromkeys(name for parts in self._since_row for name in parts):
            row[name] = round(float(np.mean([parts[name] for parts in self._since_row if name in parts])), 6)
        self._since_row = []
        self.at.rows.append(row)

    def _validate(self) -> None:
        """Judges the averaged weights and keeps them when they are the best so far (process 0)."""
        if self.folder is None:
            return
        learner, at = self.learner, self.at
        training, step = learner.setup.training, learner.steps_done
        twin = recalibrated(learner.averaged(), learner.source, training, step)
        judge = validate_told if training.follows_normative_map else validate
        found = judge(twin, learner.held_out, training)
        at.rows[-1].update(found.figures)
        told = {name: round(value, 4) for name, value in at.rows[-1].items() if isinstance(value, float)}
        self.reporter.metric(step=step, **told)
        if found.figures["criterion"] > at.best_criterion:
            at.best_criterion, at.best_step = found.figures["criterion"], step
            at.best = {"figures": found.figures, "odds_normal": found.odds_normal.tolist()}
            self.best_weights = {name: value.detach().cpu().clone() for name, value in twin.state_dict().items()}
        self.folder.rows = at.rows
        self.folder.write_metrics()
        preview = self.folder.folder / PREVIEW
        write_preview(preview, twin, learner.held_out, found.odds_normal)
        self.reporter.preview(path=str(preview), step=step)

    def _save(self) -> None:
        if self.folder is not None:
            self.at.step = self.learner.steps_done
            save_training_state(self._state, {**self.learner.tensors(), "best": self.best_weights}, vars(self.at))

    def _restore(self) -> None:
        groups, values = load_training_state(self._state)
        self.at = Progress(**values)
        self.learner.restore(groups, self.at.step)
        self.best_weights = groups.get("best", {})
        self.reporter.note(f"going on from step {self.at.step}")


@kept_memory()
def measure_steps(make_learner: Callable[[int], Learner], minutes: float) -> int:
    """Steps that fit into `minutes`, from the measured time of the first steps of a throw-away learner."""
    learner = make_learner(10**6)
    learner.step()  # the first step compiles and allocates
    started = time.monotonic()
    for _ in range(_STEPS_TO_MEASURE):
        learner.step()
    seconds = (time.monotonic() - started) / _STEPS_TO_MEASURE
    # A fifth of the time goes to validations.
    return max(20, int(learner.processes.agree(float(int(0.8 * minutes * 60 / seconds)))))
