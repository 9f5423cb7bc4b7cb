"""The processes of a distributed training, as torchrun starts them: one message averages all gradients."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Processes:
    """This process among those of a distributed training; one of one without torchrun."""

    rank: int = 0
    count: int = 1

    @staticmethod
    def join() -> Processes:
        """Joins the group torchrun describes in the environment, if any."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return Processes()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return Processes(int(os.environ["RANK"]), count)

    def average_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the processes, in one message."""
        if self.count == 1:
            return
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        # In place, so that each gradient keeps the layout of its parameter, which fused optimisers rely on.
        for own, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            own.copy_(mean.view_as(own))

    def wait(self) -> None:
        """Returns once all processes have come here."""
        if self.count > 1:
            distributed.barrier()

    def agree(self, value: float) -> float:
        """Process 0's value on all processes."""
        if self.count == 1:
            return value
        device = "cuda" if torch.cuda.is_available() else "cpu"
        message = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(message, 0)
        return float(message.item())
