"""The state a training goes on from after a kill: one safetensors file, renamed into place when whole.

Tensors (weights, running averages, optimiser moments, best weights) lie as tensors; everything else (step,
round, odds, history) as JSON in the file's header. No pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError

Tensors = dict[str, torch.Tensor]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """The optimiser's moments as a flat dictionary 'parameter number/name' -> tensor."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": torch.as_tensor(value) for number, values in state.items() for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Puts moments written by `optimizer_tensors` back; learning rates are the schedule's business.

    Each moment gets the layout of its parameter in memory: fused optimisers walk through both side by side.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    restored: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        parameter = parameters[int(number)]
        is_moment = value.shape == parameter.shape
        placed = torch.empty_like(parameter, requires_grad=False).copy_(value) if is_moment else value
        restored.setdefault(int(number), {})[name] = placed
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": restored, "param_groups": whole["param_groups"]})


def save_training_state(path: Path, groups: dict[str, Tensors], values: dict[str, Any]) -> None:
    """Writes the state, whole or not at all.

    Args:
        path: the file.
        groups: named dictionaries of tensors, e.g. 'model', 'average', 'optimizer', 'best'.
        values: JSON values.

    Raises:
        OutputError: not writable, disk full.
    """
    from safetensors.torch import save

    flat = {
        f"{group}:{name}": tensor.detach().cpu().contiguous().clone()
        for group, tensors in groups.items()
        for name, tensor in tensors.items()
    }
    with whole_file(path) as part:
        # save_file tells a full disk by an error of its own that names no file.
        part.write_bytes(save(flat, metadata={"clamseg": json.dumps(values)}))


def load_training_state(path: Path) -> tuple[dict[str, Tensors], dict[str, Any]]:
    """Reads what `save_training_state` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    groups: dict[str, Tensors] = {}
    try:
        with safe_open(path, framework="pt") as file:
            values = json.loads((file.metadata() or {}).get("clamseg", "null"))
            for key in file.keys():  # noqa: SIM118 - not a dict
                group, name = key.split(":", 1)
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); the training cannot go on, start it again with --overwrite."
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path} is not the state of a training; start the training again with --overwrite.")
    return groups, values
