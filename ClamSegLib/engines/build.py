"""Builds what computes a model: an engine for one level, or the steps to several levels one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.engines.cache import converted_file, network_of
from ClamSegLib.engines.conversion import step_graph, write_mnn, write_onnx, write_openvino
from ClamSegLib.engines.engine import Engine, EngineChoice, Maps
from ClamSegLib.engines.torch_folded import ReferenceEngine, TorchEngine, folded, torch_steps
from ClamSegLib.level_steps import LevelSteps, Step, bounds, shapes_of_step
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet

_WRITERS = {"onnx": write_onnx, "openvino": write_openvino, "mnn": write_mnn}


class ConvertedEngine(Engine):
    """A network in another program; its decoding is our own, in torch.

    Args:
        config: of the model.
        level: of the network.
        network: image to the logits of all heads, as `level_steps.NextNodes` gives them.
    """

    def __init__(self, config: ModelConfig, level: int, choice: EngineChoice, network: Step) -> None:
        super().__init__(choice)
        self._steps = LevelSteps(config, [level], choice, [network])

    def _run(self, image: NDArray[np.float32]) -> Maps:
        return self._steps.maps(self._steps.begin(np.arange(len(image)), image))


def network_at(model: LoadedModel, level: int) -> TwinUNet:
    """The model's branches with the nodes that `level` needs."""
    return model.twin if level == model.config.network.heads else model.twin.pruned(level)


def open_engine(model: LoadedModel, level: int, device: torch.device, choice: EngineChoice) -> Engine:
    """Builds the engine of a choice.

    Raises:
        InputError: the package of the engine is missing.
        OutputError: a converted network cannot be kept in the cache.
    """
    twin = network_at(model, level)
    if choice.engine == "reference":
        return ReferenceEngine(twin, model.config, choice, device)
    if choice.engine == "torch":
        return TorchEngine(twin, model.config, choice, device)
    return ConvertedEngine(model.config, level, choice, _from_cache(model, [level], twin, choice)[0])


def written_file(twin: TwinUNet, config: ModelConfig, level: int, kind: str, folder: Path) -> Path:
    """Converts a network that holds the nodes of `level`, for a folder of the caller's.

    Raises:
        InputError: the package of the engine is missing.
    """
    return _WRITERS[kind](step_graph(folded(twin), config, 0, level, ends=True), folder)


def engine_of_file(path: Path, config: ModelConfig, level: int, choice: EngineChoice) -> Engine:
    """The engine of a file that `written_file` wrote."""
    return ConvertedEngine(config, level, choice, _graph_of(choice, path, config, (0, level, True)))


def open_steps(model: LoadedModel, levels: Sequence[int], device: torch.device, choice: EngineChoice) -> LevelSteps:
    """Builds the steps of a choice to `levels`, shallow first; of UNet++ only.

    Raises:
        InputError: the package of the engine is missing.
        OutputError: a converted network cannot be kept in the cache.
    """
    twin = network_at(model, levels[-1])
    if choice.engine in ("reference", "torch"):
        return torch_steps(twin, model.config, levels, choice, device)
    return LevelSteps(model.config, levels, choice, _from_cache(model, levels, twin, choice))


def _from_cache(model: LoadedModel, levels: Sequence[int], twin: TwinUNet, choice: EngineChoice) -> list[Step]:
    steps: list[Step] = []
    still = folded(twin).to("cpu")  # the reference may have moved it elsewhere
    for bound in bounds(levels):

        def write(folder: Path, bound: tuple[int, int, bool] = bound) -> Path:
            return _WRITERS[choice.engine](step_graph(still, model.config, *bound), folder)

        path = converted_file(network_of(model.config), bound, choice.engine, write)
        steps.append(_graph_of(choice, path, model.config, bound))
    return steps


def _graph_of(choice: EngineChoice, path: Path, config: ModelConfig, bound: tuple[int, int, bool]) -> Step:
    if choice.engine == "mnn":
        from ClamSegLib.engines.mnn_graph import MnnGraph

        return MnnGraph(path, *shapes_of_step(config, *bound), choice)
    if choice.engine == "onnx":
        from ClamSegLib.engines.onnx_graph import OnnxGraph

        return OnnxGraph(path, choice)
    from ClamSegLib.engines.openvino_graph import OpenVinoGraph

    return OpenVinoGraph(path, choice)
