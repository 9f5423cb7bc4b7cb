"""A network, or a step of one, in ONNX Runtime on the CPU, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ClamSegLib.engines.engine import EngineChoice


class OnnxGraph:
    """Runs a file that `conversion.write_onnx` wrote.

    Args:
        path: model.onnx.
        choice: threads; the precision is that of the file, float32.
    """

    def __init__(self, path: Path, choice: EngineChoice) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = choice.threads
        self._session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        self._inputs = [place.name for place in self._session.get_inputs()]

    def __call__(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Tensors (B,...) in the order of the graph's inputs -> those of its outputs.

        Raises:
            MemoryError: ONNX Runtime, whose own error is not one of memory, could not have what it needs.
        """
        named = {name: values.numpy() for name, values in zip(self._inputs, given, strict=True)}
        try:
            found = self._session.run(None, named)
        except Exception as error:
            if "allocate memory" in str(error) or "bad_alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        return [torch.from_numpy(values) for values in found]
