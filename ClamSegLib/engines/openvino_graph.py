"""A network in OpenVINO on the CPU; bfloat16 is a hint that OpenVINO follows where the processor has it.

In an int8 network the numbers say themselves which layers are in eight bits; the others compute in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ClamSegLib.engines.conversion import import_openvino
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.system.errors import EngineError

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8": "f32"}
_OUT_OF_MEMORY = ("alloc", "Resource temporarily unavailable")  # "can't alloc", "Failed to allocate", "bad_alloc"


class OpenVinoGraph:
    """Runs a file that `conversion.write_openvino` or `quantize.quantize_model` wrote; what it takes and gives is float32.

    Args:
        path: model.xml.
        choice: precision and threads.
        slice_shape: (C,H,W); slices then run one at a time, for which the network is laid out. None: as many as come.
    """

    def __init__(self, path: Path, choice: EngineChoice, slice_shape: tuple[int, ...] | None = None) -> None:
        openvino = import_openvino()
        self._one_at_a_time = slice_shape is not None
        settings = {"INFERENCE_PRECISION_HINT": _HINTS[choice.precision], "PERFORMANCE_HINT": "LATENCY"}
        if choice.threads:
            settings["INFERENCE_NUM_THREADS"] = str(choice.threads)
        core = openvino.Core()
        network: Any = path
        if slice_shape is not None:
            network = core.read_model(path)
            network.reshape([1, *slice_shape])
        self._compile = partial(core.compile_model, network, "CPU", settings)
        self._request: Any = self._compile().create_infer_request()

    def __call__(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Tensors (B,...) in the order of the graph's inputs -> those of its outputs.

        Raises:
            MemoryError: memory ran out.
            EngineError: OpenVINO failed otherwise.
        """
        if self._one_at_a_time and len(given[0]) > 1:
            slices = [self([values[k : k + 1] for values in given]) for k in range(len(given[0]))]
            return [torch.cat(found) for found in zip(*slices, strict=True)]
        try:
            if self._request is None:
                self._request = self._compile().create_infer_request()
            # Not `infer`, nor a call of the compiled model: where these fail (2026.4), nothing is raised, and the answer
            # is that to the slices before.
            self._request.start_async([values.numpy() for values in given], share_inputs=True)
            self._request.wait()
        except RuntimeError as error:
            self._request = None  # one that failed asks for as much memory ever after
            if any(words in str(error) for words in _OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise EngineError("OpenVINO failed to run the network; run again with --engine reference.") from error
        return [torch.from_numpy(place.data.copy()) for place in self._request.output_tensors]
