"""The network in OpenVINO on the CPU; bfloat16 is a hint that OpenVINO follows where the processor has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.conversion import import_openvino
from ClamSegLib.engine import Engine, EngineChoice, Maps

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVinoEngine(Engine):
    """Runs a file that `conversion.write_openvino` wrote.

    Args:
        path: model.xml.
        choice: precision and threads.
    """

    def __init__(self, path: Path, choice: EngineChoice) -> None:
        super().__init__(choice)
        openvino = import_openvino()
        settings = {"INFERENCE_PRECISION_HINT": _HINTS[choice.precision], "PERFORMANCE_HINT": "LATENCY"}
        if choice.threads:
            settings["INFERENCE_NUM_THREADS"] = str(choice.threads)
        self._compiled = openvino.Core().compile_model(path, "CPU", settings)

    def _run(self, image: NDArray[np.float32]) -> Maps:
        probability, disagreement = self._compiled(image).values()
        return probability, disagreement
