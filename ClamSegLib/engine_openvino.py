"""A network, or a step of one, in OpenVINO on the CPU; bfloat16 is a hint that OpenVINO follows where the processor has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ClamSegLib.conversion import import_openvino
from ClamSegLib.engine import EngineChoice

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVinoGraph:
    """Runs a file that `conversion.write_openvino` wrote; what it takes and gives is float32.

    Args:
        path: model.xml.
        choice: precision and threads.
    """

    def __init__(self, path: Path, choice: EngineChoice) -> None:
        openvino = import_openvino()
        settings = {"INFERENCE_PRECISION_HINT": _HINTS[choice.precision], "PERFORMANCE_HINT": "LATENCY"}
        if choice.threads:
            settings["INFERENCE_NUM_THREADS"] = str(choice.threads)
        self._compiled = openvino.Core().compile_model(path, "CPU", settings)

    def __call__(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Tensors (B,...) in the order of the graph's inputs -> those of its outputs."""
        found = self._compiled([values.numpy() for values in given])
        return [torch.from_numpy(found[place]) for place in range(len(found))]
