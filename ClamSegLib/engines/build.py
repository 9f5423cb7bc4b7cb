"""Builds what computes a model at one level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.engines.cache import converted_file
from ClamSegLib.engines.conversion import logits_graph, shapes_of_logits, write_mnn, write_openvino
from ClamSegLib.engines.engine import Engine, EngineChoice, Maps
from ClamSegLib.engines.quantized import find_quantized
from ClamSegLib.engines.torch_folded import ReferenceEngine, TorchEngine, folded, maps_of
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.errors import InputError

# Large slices run one at a time in int8: a tenth faster, and a third of the memory; small ones a tenth slower.
_ONE_AT_A_TIME_PX = 192
_WRITERS = {"openvino": write_openvino, "mnn": write_mnn}


class ConvertedEngine(Engine):
    """A network in another program; its decoding is our own, in torch.

    Args:
        config: of the model.
        graph: image to the logits of all heads, branch by branch, deepest first.
    """

    def __init__(
        self, config: ModelConfig, choice: EngineChoice, graph: Callable[[Sequence[Tensor]], list[Tensor]]
    ) -> None:
        super().__init__(choice)
        self._config, self._graph = config, graph

    def run(self, image: NDArray[np.float32]) -> Maps:
        """As `Engine.run`."""
        found = self._graph([torch.from_numpy(np.ascontiguousarray(image))])
        heads = len(found) // self._config.network.branches
        logits = [found[start : start + heads] for start in range(0, len(found), heads)]
        return maps_of(logits, self._config, self.choice)


def network_at(model: LoadedModel, level: int) -> TwinUNet:
    """The model's branches with the nodes that `level` needs."""
    return model.twin if level == model.config.network.heads else model.twin.pruned(level)


def open_engine(model: LoadedModel, level: int, device: torch.device, choice: EngineChoice) -> Engine:
    """Builds the engine of a choice.

    Raises:
        InputError: the package of the engine is missing, or an int8 network was asked for that does not fit the model.
        OutputError: a converted network cannot be kept in the cache.
    """
    twin = network_at(model, level)
    if choice.engine == "reference":
        return ReferenceEngine(twin, model.config, choice, device)
    if choice.engine == "torch":
        return TorchEngine(twin, model.config, choice, device)
    if choice.precision == "int8":
        quantized = find_quantized(model)
        if quantized is None or quantized.level != level:
            raise InputError(
                f"Model '{model.config.name}' has no int8 network of level {level}; make it with clamseg export --quantize."
            )
        return engine_of_file(quantized.path, model.config, level, choice)
    path = converted_file(
        model.config,
        level,
        choice.engine,
        lambda folder: written_file(twin, model.config, level, choice.engine, folder),
    )
    return engine_of_file(path, model.config, level, choice)


def written_file(twin: TwinUNet, config: ModelConfig, level: int, kind: str, folder: Path) -> Path:
    """Converts a network that holds the nodes of `level`, for a folder of the caller's.

    Raises:
        InputError: the package of the engine is missing.
    """
    still = folded(twin).to("cpu")  # the reference may have moved it elsewhere
    return _WRITERS[kind](logits_graph(still, config, level), folder)


def engine_of_file(path: Path, config: ModelConfig, level: int, choice: EngineChoice) -> Engine:
    """The engine of a file that `written_file` wrote."""
    if choice.engine == "mnn":
        from ClamSegLib.engines.mnn_graph import MnnGraph

        return ConvertedEngine(config, choice, MnnGraph(path, *shapes_of_logits(config, level), choice))
    from ClamSegLib.engines.openvino_graph import OpenVinoGraph

    large = choice.precision == "int8" and config.image_size >= _ONE_AT_A_TIME_PX
    shape = (config.network.in_channels, config.image_size, config.image_size)
    return ConvertedEngine(config, choice, OpenVinoGraph(path, choice, shape if large else None))
