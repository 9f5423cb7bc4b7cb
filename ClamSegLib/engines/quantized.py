"""The network in eight-bit numbers that lies beside a model's weights, once its files are known to be those that were made.

`int8.json` says of which weights it was made, for which level, and the SHA-256 of the two files that OpenVINO reads; how
such files are made stands in `quantize.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.model_folder import INT8_ABOUT, INT8_GRAPH, INT8_NUMBERS, sha256_of
from ClamSegLib.system.errors import InputError

_MAKE_IT_ANEW = "make it anew with clamseg export --quantize, or delete the model's int8 files"
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class QuantizedNetwork:
    """An int8 network that fits its model.

    Attributes:
        path: what OpenVINO reads.
        level: of the network.
        dice: smallest Dice, over the conditions, of its masks and those of the reference when it was made.
    """

    path: Path
    level: int
    dice: float


def find_quantized(model: LoadedModel) -> QuantizedNetwork | None:
    """The int8 network beside the weights of a model, or None where there is none.

    Raises:
        InputError: its files are damaged, or were made of other weights.
    """
    about = model.folder / INT8_ABOUT
    if not about.is_file():
        return None
    told = _read(about)
    if told["weights_sha256"] != model.config.weights_sha256 or told["image_size"] != model.config.image_size:
        raise InputError(f"The int8 network of '{model.config.name}' was made of other weights; {_MAKE_IT_ANEW}.")
    for name in (INT8_GRAPH, INT8_NUMBERS):
        path = model.folder / name
        if not path.is_file() or sha256_of(path) != told["files"].get(name):
            raise InputError(f"{path} is not the file that {INT8_ABOUT} names (SHA-256); {_MAKE_IT_ANEW}.")
    return QuantizedNetwork(model.folder / INT8_GRAPH, int(told["level"]), float(told["dice"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("too large")
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told["files"], dict) or not {"weights_sha256", "image_size"} <= told.keys():
            raise ValueError("keys are missing")
        return {**told, "level": int(told["level"]), "dice": float(told["dice"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); {_MAKE_IT_ANEW}.") from error
