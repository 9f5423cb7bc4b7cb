"""The network in MNN on the CPU, which computes kernels of 3 by Winograd's method; decoding is our own, in torch.

Winograd's method needs 2.25 to 5 times fewer multiplications than a convolution has, for sums that round by about a
thousandth of a logit. Slices run one at a time: MNN chooses its method by the number of slices, so a slice's
answer would depend on those beside it, and more at once were never faster (docs/performance.md).
Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.clam import decode
from ClamSegLib.config import ModelConfig
from ClamSegLib.conversion import head_names, import_mnn
from ClamSegLib.engine import Engine, EngineChoice, Maps
from ClamSegLib.errors import ClamSegError, InputError

# BackendConfig::Precision_High and _Low; words instead of numbers would make MNN print. Low is float16 on ARM.
_PRECISIONS = {"float32": 1, "float16": 2}
_CPU = 0


class MnnEngine(Engine):
    """Runs a file that `conversion.write_mnn` wrote.

    Args:
        path: model.mnn.
        config: of the model, for decoding.
        level: of the converted network.
        choice: precision and threads.

    Raises:
        InputError: MNN is missing, or has no such precision.
    """

    def __init__(self, path: Path, config: ModelConfig, level: int, choice: EngineChoice) -> None:
        super().__init__(choice)
        if choice.precision not in _PRECISIONS:
            raise InputError(f"Engine 'mnn' computes in {' or '.join(_PRECISIONS)}, not in {choice.precision}.")
        self._mnn = import_mnn()
        self._config, self._names = config, head_names(config, level)
        settings = {
            "backend": _CPU,
            "precision": _PRECISIONS[choice.precision],
            "numThread": choice.threads or torch.get_num_threads(),
        }
        self._interpreter = self._mnn.Interpreter(str(path))
        self._session = self._interpreter.createSession(settings)
        self._image = self._interpreter.getSessionInput(self._session, "image")
        self._heads = {
            name: self._interpreter.getSessionOutput(self._session, name) for shell in self._names for name in shell
        }

    def _run(self, image: NDArray[np.float32]) -> Maps:
        slices = np.ascontiguousarray(image, dtype=np.float32)
        side, classes = self._config.image_size, self._config.network.classes
        expected = tuple(self._image.getShape())
        if (1, *slices.shape[1:]) != expected:  # MNN itself would read past the end
            raise ClamSegError(f"The network was converted for slices of {expected[1:]}; {slices.shape[1:]} came.")
        logits = {name: torch.empty(len(slices), classes, side, side) for name in self._heads}
        for n in range(len(slices)):
            self._one(slices[n : n + 1], {name: maps[n : n + 1].numpy() for name, maps in logits.items()})
        if not all(bool(maps.isfinite().all()) for maps in logits.values()):
            raise ClamSegError("MNN answered with values that are no numbers; run again with --engine reference.")
        found, differs = decode([[logits[name] for name in shell] for shell in self._names], self._config)
        return found.numpy(), differs.numpy()

    def _one(self, image: NDArray[np.float32], into: dict[str, NDArray[np.float32]]) -> None:
        """Logits of one slice (1,C,S,S), written into (1,classes,S,S) per head."""
        self._image.copyFrom(self._tensor(image))
        if self._interpreter.runSession(self._session) != 0:
            raise ClamSegError("MNN failed to run the network; run again with --engine reference.")
        for name, head in self._heads.items():
            if tuple(head.getShape()) != into[name].shape:
                raise ClamSegError(
                    f"MNN answered with shape {tuple(head.getShape())} instead of {into[name].shape}; "
                    "run again with --engine reference."
                )
            answer = self._tensor(into[name])
            head.copyToHostTensor(answer)
            into[name][:] = answer.getNumpyData()

    def _tensor(self, values: NDArray[np.float32]) -> Any:
        mnn = self._mnn
        return mnn.Tensor(values.shape, mnn.Halide_Type_Float, values, mnn.Tensor_DimensionType_Caffe)
