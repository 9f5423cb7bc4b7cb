"""The processes of a distributed training, as torchrun starts them: one message averages all gradients."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


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
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        for p, g in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            p.grad = g.view_as(p)

    def agree(self, value: float) -> float:
        """Process 0's value on all processes."""
        if self.count == 1:
            return value
        device = "cuda" if torch.cuda.is_available() else "cpu"
        message = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(message, 0)
        return float(message.item())

    def agree_on(self, tensor: Tensor) -> Tensor:
        """Process 0's tensor on all processes, in place."""
        if self.count > 1:
            distributed.broadcast(tensor, 0)
        return tensor
