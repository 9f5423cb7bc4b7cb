"""The network in ONNX Runtime on the CPU, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.engine import Engine, EngineChoice, Maps


class OnnxEngine(Engine):
    """Runs a file that `conversion.write_onnx` wrote.

    Args:
        path: model.onnx.
        choice: threads; the precision is that of the file, float32.
    """

    def __init__(self, path: Path, choice: EngineChoice) -> None:
        import onnxruntime

        super().__init__(choice)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = choice.threads
        self._session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])

    def _run(self, image: NDArray[np.float32]) -> Maps:
        probability, disagreement = self._session.run(None, {"image": image})
        return probability, disagreement
