"""A network in MNN on the CPU, which computes kernels of 3 by Winograd's method.

Winograd's method needs 2.25 to 5 times fewer multiplications than a convolution has, for sums that round by about a
thousandth of a logit. Slices run one at a time: MNN chooses its method by the number of slices, so a slice's
answer would depend on those beside it, and more at once were never faster (docs/research/performance.md).
Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.engines.conversion import import_mnn
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.system.errors import ClamSegError, EngineError, InputError

# BackendConfig::Precision_High and _Low; words instead of numbers would make MNN print. Low is float16 on ARM.
_PRECISIONS = {"float32": 1, "float16": 2}
_CPU = 0


class MnnGraph:
    """Runs a file that `conversion.write_mnn` wrote.

    Args:
        path: model.mnn.
        inputs: names and shapes (C,H,W) of `conversion.Graph`; `outputs` likewise.
        choice: precision and threads.

    Raises:
        InputError: MNN is missing, or has no such precision.
    """

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
        choice: EngineChoice,
    ) -> None:
        if choice.precision not in _PRECISIONS:
            raise InputError(f"Engine 'mnn' computes in {' or '.join(_PRECISIONS)}, not in {choice.precision}.")
        self._mnn = import_mnn()
        settings = {
            "backend": _CPU,
            "precision": _PRECISIONS[choice.precision],
            "numThread": choice.threads or torch.get_num_threads(),
        }
        self._shapes = dict(outputs)
        self._interpreter = self._mnn.Interpreter(str(path))
        self._session = self._interpreter.createSession(settings)
        self._given = [self._interpreter.getSessionInput(self._session, name) for name in inputs]
        self._found = [self._interpreter.getSessionOutput(self._session, name) for name in outputs]

    def __call__(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Tensors (B,...) in the order of the graph's inputs -> those of its outputs, float32.

        Raises:
            ClamSegError: other shapes than the network was converted for.
            EngineError: MNN failed.
        """
        for place, values in zip(self._given, given, strict=True):
            expected = tuple(place.getShape())
            if (1, *values.shape[1:]) != expected:  # MNN itself would read past the end
                raise ClamSegError(
                    f"The network was converted for slices of {expected[1:]}; {tuple(values.shape[1:])} came."
                )
        slices = [np.ascontiguousarray(values.numpy(), dtype=np.float32) for values in given]
        answers = [torch.empty(len(slices[0]), *shape) for shape in self._shapes.values()]
        for n in range(len(slices[0])):
            self._one([values[n : n + 1] for values in slices], [answer[n : n + 1].numpy() for answer in answers])
        return answers

    def _one(self, given: list[NDArray[np.float32]], into: list[NDArray[np.float32]]) -> None:
        """One slice, answers written into (1,...)."""
        for place, values in zip(self._given, given, strict=True):
            place.copyFrom(self._tensor(values))
        if self._interpreter.runSession(self._session) != 0:
            raise EngineError("MNN failed to run the network; run again with --engine reference.")
        for place, values in zip(self._found, into, strict=True):
            if tuple(place.getShape()) != values.shape:
                raise EngineError(
                    f"MNN answered with shape {tuple(place.getShape())} instead of {values.shape}; "
                    "run again with --engine reference."
                )
            answer = self._tensor(values)
            place.copyToHostTensor(answer)
            values[:] = answer.getNumpyData()

    def _tensor(self, values: NDArray[np.float32]) -> Any:
        mnn = self._mnn
        return mnn.Tensor(values.shape, mnn.Halide_Type_Float, values, mnn.Tensor_DimensionType_Caffe)
