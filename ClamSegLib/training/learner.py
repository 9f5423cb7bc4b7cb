"""What a training changes step by step: the twin, the running average of its weights, optimiser and batches.

`Learner.step()` is the whole of a training step. A step depends on seed and step number only, so that it is the same
whether the training was interrupted before it or not. `torchrun` starts everything unchanged on several processes:
each computes its share of the batch, and the gradients are averaged.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import BatchMaker, CropSource, step_generator
from ClamSegLib.objective.objective import Objective
from ClamSegLib.system.device import is_bfloat16_fast
from ClamSegLib.system.errors import InputError
from ClamSegLib.training.checkpoint_state import Tensors, optimizer_tensors, restore_optimizer
from ClamSegLib.training.distributed import Processes
from ClamSegLib.training.setup import TrainingSetup

_LARGEST_GRADIENT = 5.0


class Learner:
    """The networks of a training and what one step of it does.

    Args:
        setup: configuration, training options with `steps` > 0, crops and split.
        device: where it computes.
        processes: of a distributed training.
        initial: weights to start from (fine-tuning), or None.

    Attributes:
        steps_done: optimiser steps so far.
        source: the training slices.
        held_out: the validation slices.

    Raises:
        InputError: a batch that cannot be shared by the processes.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        device: torch.device,
        processes: Processes | None = None,
        initial: dict[str, Tensor] | None = None,
    ) -> None:
        self.setup, self.device, self.processes = setup, device, processes or Processes()
        t, network, count = setup.training, setup.config.network, self.processes.count
        if t.batch_pairs % count or t.batch_pairs // count < 2:
            raise InputError(
                f"batch_pairs {t.batch_pairs} cannot be shared by {count} processes; "
                f"use a multiple of {count}, at least {2 * count}."
            )
        self.steps_done = 0
        self.source, self.held_out = (
            CropSource(setup.crops, places, t, network.classes, device) for places in setup.split
        )
        self.batches = BatchMaker(self.source, t, network.branches)
        self.objective = Objective(t)
        self.twin = self._network(TwinUNet(network, seed=t.seed))
        if initial is not None:
            self.twin.load_state_dict(initial)
        if count > 1 and device.type == "cuda":
            self.twin = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.twin)  # type: ignore[no-untyped-call]
        self.parameters = list(self.twin.parameters())
        self.average = {name: value.detach().clone() for name, value in self.twin.state_dict().items()}
        # Fused: one pass over each weight and its moments, six times as fast as torch's own loop on a CPU.
        self.optimizer = torch.optim.AdamW(self.parameters, lr=t.learning_rate, weight_decay=t.weight_decay, fused=True)

    def _network(self, twin: TwinUNet) -> TwinUNet:
        return twin.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def step(self) -> dict[str, float]:
        """One optimiser step; the value of each term of the loss."""
        t = self.setup.training
        self.twin.train()
        for group in self.optimizer.param_groups:
            group["lr"] = t.learning_rate * learning_rate_factor(self.steps_done / t.steps, t.warmup_share)
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.add_gradient(self.processes.rank, self.processes.count)
        self.processes.average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, _LARGEST_GRADIENT)
        self.optimizer.step()
        self.steps_done += 1
        self._update_average()
        return parts

    def add_gradient(self, shard: int, shards: int) -> dict[str, float]:
        """Adds the gradient of one of the equal shards of this step's batch; the value of each term."""
        t, done = self.setup.training, self.steps_done
        generator = step_generator(t.seed, 3, 0, done, shard)
        batch = self.batches.draw(t.batch_pairs // shards, generator)
        precision = autocast_precision(t.mixed_precision, self.device)
        with torch.autocast(self.device.type, dtype=precision or torch.bfloat16, enabled=precision is not None):
            loss, parts = self.objective.loss(self.twin, batch, done / t.steps, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"loss": float(loss.detach()), **parts}

    def _update_average(self) -> None:
        # Early on the average would remember the random start: let it follow faster.
        decay = min(self.setup.training.ema_decay, (1 + self.steps_done) / (10 + self.steps_done))
        state = self.twin.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.average[n] for n in moving], [state[n] for n in moving], 1 - decay)
            for name in state.keys() - moving:
                self.average[name].copy_(state[name])

    def averaged(self) -> TwinUNet:
        """A network with the averaged weights, whose batch statistics are not its own yet."""
        twin = self._network(TwinUNet(self.setup.config.network))
        twin.load_state_dict(self.average)
        return twin

    def tensors(self) -> dict[str, Tensors]:
        """All that a training needs to go on, beside `steps_done`."""
        return {
            "model": dict(self.twin.state_dict()),
            "average": self.average,
            "optimizer": optimizer_tensors(self.optimizer),
        }

    def restore(self, groups: dict[str, Tensors], steps_done: int) -> None:
        """Goes on from what `tensors` gave."""
        self.twin.load_state_dict(groups["model"])
        self.average = {name: value.to(self.device) for name, value in groups["average"].items()}
        if "optimizer" in groups:
            restore_optimizer(self.optimizer, groups["optimizer"])
        self.steps_done = steps_done


def learning_rate_factor(progress: float, warmup_share: float) -> float:
    """Linear warm-up, then cosine to 1 %."""
    if progress < warmup_share:
        return max(progress / warmup_share, 0.01)
    x = (progress - warmup_share) / max(1e-9, 1 - warmup_share)
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, x))))


def autocast_precision(choice: str, device: torch.device) -> torch.dtype | None:
    """bfloat16, or None for float32; `choice` as TrainingConfig.mixed_precision."""
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return None
    # bfloat16 needs no loss scaling; where it is slow float32 computes, rather than a fragile float16.
    return torch.bfloat16 if is_bfloat16_fast(device.type) else None
