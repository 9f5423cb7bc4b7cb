"""A network written for other programs: ONNX, OpenVINO and MNN."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.silence_c_output import suppress_c_stdout

_CONVERTER = """
import sys
sys.path.insert(0, sys.argv[1])
import _tools
raise SystemExit(0 if _tools.mnnconvert(sys.argv[2:]) else 1)
"""
FILES = {"onnx": "model.onnx", "openvino": "model.xml", "mnn": "model.mnn"}


class DecodedTwin(nn.Module):
    """Image (B,1,S,S) -> probability and disagreement (B,K,S,S)."""

    def __init__(self, twin: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.twin, self.config = twin, config

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the branches and decodes."""
        return decode(self.twin(image), self.config)


@dataclass(frozen=True)
class Graph:
    """A network as other programs see it.

    Attributes:
        network: in evaluation mode; takes and gives tensors (B,...).
        inputs: names, and shapes of a single slice.
        outputs: likewise.
    """

    network: nn.Module
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    def examples(self, batch: int) -> tuple[Tensor, ...]:
        """Random input (batch,...), the same for the same batch."""
        generator = torch.Generator().manual_seed(batch)
        return tuple(torch.randn(batch, *shape, generator=generator) for shape in self.inputs.values())


def decoded_graph(twin: TwinUNet, config: ModelConfig) -> Graph:
    """Image to probability and disagreement."""
    side = config.image_size
    maps = (config.network.classes - 1, side, side)
    return Graph(
        DecodedTwin(twin, config).eval(),
        {"image": (config.network.in_channels, side, side)},
        {"probability": maps, "disagreement": maps},
    )


def shapes_of_logits(config: ModelConfig, level: int) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Names and shapes (C,H,W) of what `logits_graph` takes and gives."""
    network, side = config.network, config.image_size
    heads: dict[str, tuple[int, ...]] = {
        f"branch_{k}_head_{j}": (network.classes, side, side)
        for k in range(network.branches)
        for j in range(level, 0, -1)
    }
    return {"image": (network.in_channels, side, side)}, heads


def logits_graph(twin: TwinUNet, config: ModelConfig, level: int) -> Graph:
    """Image to the logits of all heads of `level`, branch by branch, deepest first."""
    return Graph(_AllHeads(twin).eval(), *shapes_of_logits(config, level))


class _AllHeads(nn.Module):
    def __init__(self, twin: TwinUNet) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(head for heads in self.twin(image) for head in heads)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporters print progress and notes that tell a user nothing."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "onnx_ir")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in levels.items():
            logging.getLogger(name).setLevel(value)


def import_openvino() -> Any:
    """The module openvino, without the reports on its use that its converter would send over the network.

    Raises:
        InputError: OpenVINO is missing.
    """
    # Unless a user opted out, the converter reports every conversion; without this package it takes a silent stub.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        if words_of_the_machine(error):  # it is there, and finds no memory
            raise
        raise InputError("OpenVINO is missing; install it with pip install 'clamseg[openvino]'.") from error
    return openvino


def import_mnn() -> Any:
    """The module MNN, without the line on the processor that it prints when it is loaded.

    Never MNN.tools: what lies there installs packages and reports conversions over the network when imported.

    Raises:
        InputError: MNN is missing.
    """
    try:
        with suppress_c_stdout():
            import MNN
    except ImportError as error:
        if words_of_the_machine(error):  # it is there, and finds no memory
            raise
        raise InputError("MNN is missing; install it with pip install 'clamseg[mnn]'.") from error
    return MNN


def write_onnx(graph: Graph, folder: Path) -> Path:
    """Writes model.onnx for any number of slices at once.

    Raises:
        InputError: a package is missing.
    """
    try:
        import onnxruntime  # noqa: F401 - what is written here must run here
        import onnxscript  # noqa: F401 - torch's exporter needs it and fails late without
    except ImportError as error:
        if words_of_the_machine(error):  # it is there, and finds no memory
            raise
        raise InputError(
            "ONNX needs onnx, onnxscript and onnxruntime; install them with pip install 'clamseg[onnx]'."
        ) from error
    batch = torch.export.Dim("batch", min=1)
    return _exported(graph, 2, folder, {0: batch})


def _exported(graph: Graph, batch: int, folder: Path, dimensions: dict[int, Any] | None) -> Path:
    path = folder / FILES["onnx"]
    examples = graph.examples(batch)
    dynamic = None if dimensions is None else tuple(dimensions for _ in examples)
    with quiet(), torch.no_grad():
        torch.onnx.export(
            _InTurn(graph.network),
            examples,
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=None if dynamic is None else (dynamic,),
        )
    return path


class _InTurn(nn.Module):
    """A network whose inputs are named by their place."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(*given))


def write_openvino(graph: Graph, folder: Path) -> Path:
    """Writes model.xml and model.bin in float32, for any number of slices at once; inputs keep their places.

    Raises:
        InputError: OpenVINO is missing.
    """
    openvino = import_openvino()
    path = folder / FILES["openvino"]
    shapes = [[-1, *shape] for shape in graph.inputs.values()]
    with quiet(), torch.no_grad():
        converted = openvino.convert_model(_InTurn(graph.network), example_input=graph.examples(2), input=shapes)
        for place, name in zip(converted.inputs, graph.inputs, strict=True):
            place.get_tensor().set_names({name})
        openvino.save_model(converted, path, compress_to_fp16=False)
    return path


def write_mnn(graph: Graph, folder: Path) -> Path:
    """Writes model.mnn for one slice at a time, in float32.

    Raises:
        InputError: a package is missing.
        ClamSegError: MNN could not convert the network.
    """
    import_mnn()
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it and fails late without
    except ImportError as error:
        if words_of_the_machine(error):  # it is there, and finds no memory
            raise
        raise InputError(
            "MNN needs onnx and onnxscript to convert a network; install them with pip install 'clamseg[mnn]'."
        ) from error
    path = folder / FILES["mnn"]
    between = _exported(graph, 1, folder, None)
    _convert_to_mnn(between, path)
    between.unlink()
    return path


def _convert_to_mnn(source: Path, path: Path) -> None:
    """MNN's converter in a process of its own: it prints, past C's standard output, and may end its process."""
    found = importlib.util.find_spec("_tools")
    home = str(Path(found.origin).parent) if found and found.origin else ""
    words = ["mnnconvert", "-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(path), "--bizCode", "clamseg"]
    done = subprocess.run(
        [sys.executable, "-c", _CONVERTER, home, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    if done.returncode != 0 or not path.is_file():
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ClamSegError(f"MNN could not convert the network ({(said or [f'exit code {done.returncode}'])[0]}).")
