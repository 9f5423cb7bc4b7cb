"""The training loop: both branches on every step, judged without masks, resumable, one file to read.

`torchrun` starts it unchanged on several processes: each computes its own shards of the batch, the gradients
are averaged, and process 0 validates and writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from ClamSegLib.datasets.crop_cache import CropSet
from ClamSegLib.model.config import ModelConfig, RefinementConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import BatchMaker, CropSource
from ClamSegLib.objective.objective import Objective
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.checkpoint_state import (
    load_training_state,
    optimizer_tensors,
    restore_optimizer,
    save_training_state,
)
from ClamSegLib.training.distributed import Processes
from ClamSegLib.training.preview import write_preview
from ClamSegLib.training.run_folder import PREVIEW, TrainingFolder
from ClamSegLib.training.self_training import measure_refinement, write_teacher_maps
from ClamSegLib.training.training_step import head_weights_of, learning_rate_factor, shard_gradient
from ClamSegLib.training.validation import Validation, recalibrated, validate

STATE = "state.safetensors"
TEACHER = "teacher-{}.npy"
_STEPS_TO_MEASURE = 8


@dataclass
class Progress:
    """Where a training stands; everything but tensors that a resumed training needs."""

    round: int = 0
    step: int = 0
    steps: int = 0
    best_criterion: float = -1e9
    best_step: int = -1
    best_round: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    teacher_cut: float = 0.5
    odds_normal: list[Any] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False


class Trainer:
    """Runs all rounds of a training.

    Args:
        config: of the model to make (odds and hash are filled in at the end).
        training: with `steps` > 0 once `measure_steps` has run.
        crops: of training and validation slices.
        split: places in `crops` of training and of validation.
        folder: entered TrainingFolder of process 0, None on others.
        initial: weights to start every round from (fine-tuning), or None.
    """

    def __init__(
        self,
        config: ModelConfig,
        training: TrainingConfig,
        crops: CropSet,
        split: tuple[NDArray[np.int64], NDArray[np.int64]],
        *,
        folder: TrainingFolder | None,
        state_folder: Path,
        device: torch.device,
        processes: Processes,
        reporter: Reporter,
        initial: dict[str, Tensor] | None = None,
    ) -> None:
        self.config, self.training, self.crops, self.split = config, training, crops, split
        self.folder, self.state_folder, self.device = folder, state_folder, device
        self.processes, self.reporter, self.initial = processes, reporter, initial
        self.head_weights = head_weights_of(config.network.heads)
        self.at = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self._since_row: list[dict[str, float]] = []
        shards = processes.count * training.shards_per_process
        if training.batch_pairs % shards or training.batch_pairs // shards < 2:
            raise InputError(
                f"batch_pairs {training.batch_pairs} cannot be shared by {shards} shards; use a multiple of {shards}, at least {2 * shards}."
            )

    # -- one round ---------------------------------------------------------------------------------------

    def _new_round(self) -> None:
        """Fresh networks, averages, optimiser and batches of round `self.at.round`."""
        number = self.at.round
        t = self.of_round = self.training.of_round(number)
        teacher_path = self.state_folder / TEACHER.format(number)
        teacher = np.load(teacher_path, mmap_mode="r", allow_pickle=False) if number > 0 else None
        classes = self.config.network.classes
        self.source = CropSource(self.crops, self.split[0], t, classes, self.device, teacher, self.at.teacher_cut)
        self.held_out = CropSource(self.crops, self.split[1], t, classes, self.device)
        self.maker = BatchMaker(self.source, t, self.config.network.branches)
        self.twin = TwinUNet(self.config.network, seed=t.seed + 1000 * number)
        if self.initial is not None:
            self.twin.load_state_dict(self.initial)
        self.twin.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.processes.count > 1 and self.device.type == "cuda":
            self.twin = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.twin)  # type: ignore[no-untyped-call]
        self.parameters = list(self.twin.parameters())
        self.average = {name: value.detach().clone() for name, value in self.twin.state_dict().items()}
        # Fused: one pass over each weight and its moments, six times as fast as torch's own loop on a CPU.
        self.optimizer = torch.optim.AdamW(self.parameters, lr=t.learning_rate, weight_decay=t.weight_decay, fused=True)
        self.objective = Objective(t, torch.from_numpy(self.head_weights).float().to(self.device))

    def _step(self) -> dict[str, float]:
        t, at = self.of_round, self.at
        self.twin.train()
        for group in self.optimizer.param_groups:
            group["lr"] = t.learning_rate * learning_rate_factor(at.step / t.steps, t.warmup_share)
        self.optimizer.zero_grad(set_to_none=True)
        shards = self.processes.count * t.shards_per_process
        parts: dict[str, float] = {}
        for own in range(t.shards_per_process):
            shard = self.processes.rank * t.shards_per_process + own
            found = shard_gradient(self.twin, self.maker, self.objective, t, (at.round, at.step, shard, shards))
            parts = {name: parts.get(name, 0.0) + value / t.shards_per_process for name, value in found.items()}
        self.processes.average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        at.step += 1
        self._update_average()
        return parts

    def _update_average(self) -> None:
        # Early on the average would remember the random start: let it follow faster.
        decay = min(self.training.ema_decay, (1 + self.at.step) / (10 + self.at.step))
        state = self.twin.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.average[n] for n in moving], [state[n] for n in moving], 1 - decay)
            for name in state.keys() - moving:
                self.average[name].copy_(state[name])

    def _validate(self) -> None:
        """Judges the averaged weights and keeps them when they are the best so far (process 0)."""
        if self.folder is None:
            return
        t, at = self.training, self.at
        twin = TwinUNet(self.config.network).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        twin.load_state_dict(self.average)
        twin = recalibrated(twin, self.source, t, at.round, at.step)
        found = validate(twin, self.held_out, t, self.head_weights)
        at.odds_normal = found.odds_normal.tolist()
        at.rows[-1].update(found.figures)
        told = {name: round(value, 4) for name, value in at.rows[-1].items() if isinstance(value, float)}
        self.reporter.metric(round=at.round, step=at.step, **told)
        # A later round replaces the best of those before it only where it is better: retraining can also harm.
        if found.figures["criterion"] > at.best_criterion:
            at.best_criterion, at.best_step, at.best_round = found.figures["criterion"], at.step, at.round
            at.best = _kept(found)
            self.best_weights = {name: value.detach().cpu().clone() for name, value in twin.state_dict().items()}
        self.folder.rows = at.rows
        self.folder.write_metrics()
        preview = self.folder.folder / PREVIEW
        write_preview(preview, twin, self.held_out, found.odds_normal, self.head_weights)
        self.reporter.preview(path=str(preview), round=at.round, step=at.step)

    def _share_odds(self) -> None:
        """Gives process 0's odds to all processes and to the objective (term 5)."""
        network = self.config.network
        if self.training.task != "lesion" or not self.training.weight_cross:
            return
        shape = (network.branches, network.heads, network.classes - 1)
        known = self.processes.agree(float(self.at.odds_normal is not None))
        if known:
            odds = torch.zeros(shape) if self.at.odds_normal is None else torch.tensor(self.at.odds_normal)
            self.objective.odds_normal = self.processes.agree_on(odds.float().to(self.device))

    # -- all rounds --------------------------------------------------------------------------------------

    @kept_memory()
    def run(self, resume: bool) -> bool:
        """Trains until the last round is done or a stop is asked for.

        Returns:
            Whether the training ran to its end (False: stopped; the best so far is kept).
        """
        self._new_round_or_resume(resume)
        at = self.at
        while not at.finished:
            t, started, stopped = self.of_round, time.monotonic(), False
            while at.step < t.steps and not stopped:
                parts = self._step()
                self._since_row.append(parts)
                if at.step % 10 == 0 or at.step == t.steps:
                    self._tell(parts, started)
                    stopped = bool(
                        self.processes.agree(float(self.folder is not None and self.folder.stop_requested()))
                    )
                if at.step % t.validate_every == 0 or at.step == t.steps or stopped:
                    self._row()
                    self._validate()
                    self._share_odds()
                    self._save()
            at.finished = at.round + 1 >= t.rounds
            if stopped:
                return False
            if not at.finished:
                self._hand_over()
        self._save()
        return True

    def _row(self) -> None:
        """A row of metrics.csv: the mean of each term since the row before."""
        row: dict[str, Any] = {"round": self.at.round, "step": self._steps_before() + self.at.step}
        for name in dict.fromkeys(name for parts in self._since_row for name in parts):
            row[name] = round(float(np.mean([parts[name] for parts in self._since_row if name in parts])), 6)
        self._since_row = []
        self.at.rows.append(row)

    def _steps_before(self) -> int:
        return sum(self.training.of_round(number).steps for number in range(self.at.round))

    def _tell(self, parts: dict[str, float], started: float) -> None:
        at = self.at
        self.reporter.progress(self._steps_before() + at.step, self.training.all_steps, "training")
        if at.step % 50 == 0:
            values = {name: round(value, 4) for name, value in parts.items()}
            self.reporter.metric(round=at.round, step=at.step, **values)

    def _hand_over(self) -> None:
        """Makes this round's best model the teacher of the next one."""
        at = self.at
        if self.folder is not None:
            path = self.state_folder / TEACHER.format(at.round + 1)
            twin, everything, odds, refinement = self.best_decoding()
            at.teacher_cut = write_teacher_maps(
                path, twin, everything, odds, self.head_weights, refinement, self.reporter
            )
        if self.processes.count > 1:
            distributed.barrier()
        at.teacher_cut = self.processes.agree(at.teacher_cut)
        if at.teacher_cut == 0:
            self.reporter.warning(
                "The maps of this round mark nothing, so there is nothing to teach a further round; it ends here."
            )
            at.finished = True
            return
        at.round, at.step, at.odds_normal = at.round + 1, 0, None
        self._new_round()
        self._save()

    def best_decoding(self) -> tuple[TwinUNet, CropSource, NDArray[np.float32], RefinementConfig | None]:
        """The best network so far on the device, all crops, its o_N and how its maps are sharpened (process 0)."""
        twin, n = self.best_model().to(self.device), len(self.crops.label)
        everything = CropSource(self.crops, np.arange(n), self.training, self.config.network.classes, self.device)
        odds = np.asarray(self.at.best["odds_normal"], np.float32)
        return twin, everything, odds, measure_refinement(twin, everything, self.split, odds, self.head_weights)

    def best_model(self) -> TwinUNet:
        """The best network so far, in evaluation mode on the CPU (process 0)."""
        twin = TwinUNet(self.config.network)
        twin.load_state_dict(self.best_weights)
        return twin.eval()

    # -- going on after a kill ---------------------------------------------------------------------------

    def _save(self) -> None:
        if self.folder is None:
            return
        groups = {
            "model": dict(self.twin.state_dict()),
            "average": self.average,
            "optimizer": optimizer_tensors(self.optimizer),
            "best": self.best_weights,
        }
        save_training_state(self.state_folder / STATE, groups, vars(self.at))

    def _new_round_or_resume(self, resume: bool) -> None:
        path = self.state_folder / STATE
        if not resume or not path.is_file():
            self.at.steps = self.training.steps
            self._new_round()
            return
        groups, values = load_training_state(path)
        self.at = Progress(**values)
        self._new_round()
        self.twin.load_state_dict(groups["model"])
        self.average = {name: value.to(self.device) for name, value in groups["average"].items()}
        self.best_weights = groups.get("best", {})
        if "optimizer" in groups:
            restore_optimizer(self.optimizer, groups["optimizer"])
        self._share_odds()
        self.reporter.note(f"going on from round {self.at.round + 1}, step {self.at.step}")


def _kept(found: Validation) -> dict[str, Any]:
    return {
        "figures": found.figures,
        "odds_normal": found.odds_normal.tolist(),
        "slice_score_normal": found.slice_score_normal,
    }


@kept_memory()
def measure_steps(make_trainer: Callable[[int], Trainer], minutes: float, rounds: float) -> int:
    """Steps per round that fit into `minutes`, from the measured time of the first steps of a throw-away run."""
    trainer = make_trainer(10**6)
    trainer._new_round()
    trainer._step()  # the first step compiles and allocates
    started = time.monotonic()
    for _ in range(_STEPS_TO_MEASURE):
        trainer._step()
    seconds = (time.monotonic() - started) / _STEPS_TO_MEASURE
    # A fifth of the time goes to validations and teacher maps.
    steps = int(trainer.processes.agree(float(int(0.8 * minutes * 60 / seconds / rounds))))
    return max(20, steps)
