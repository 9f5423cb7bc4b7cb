"""A network written for other programs: ONNX and OpenVINO with its decoding, any number of slices at once; MNN without."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ClamSegLib.c_messages import printf_unheard
from ClamSegLib.clam import Clam, decode
from ClamSegLib.config import ModelConfig
from ClamSegLib.engine_torch import folded
from ClamSegLib.errors import ClamSegError, InputError

_CONVERTER = """
import sys
sys.path.insert(0, sys.argv[1])
import _tools
raise SystemExit(0 if _tools.mnnconvert(sys.argv[2:]) else 1)
"""
FILES = {"onnx": "model.onnx", "openvino": "model.xml", "mnn": "model.mnn"}


class DecodedClam(nn.Module):
    """Image (B,1,S,S) -> probability and disagreement (B,K,S,S)."""

    def __init__(self, clam: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.clam, self.config = clam, config

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the shells and decodes."""
        return decode(self.clam(image), self.config)


class HeadsOfClam(nn.Module):
    """Image (B,1,S,S) -> the logits of all heads, in the order of `head_names`."""

    def __init__(self, clam: nn.Module) -> None:
        super().__init__()
        self.clam = clam

    def forward(self, image: Tensor) -> list[Tensor]:
        """Runs the shells."""
        return [head for heads in self.clam(image) for head in heads]


def head_names(config: ModelConfig, level: int) -> list[list[str]]:
    """What the outputs of a converted network are called, per shell, deepest head first."""
    deepest = min(level, config.network.heads)
    return [[f"shell_{k}_head_{j}" for j in range(deepest, 0, -1)] for k in range(config.network.shells)]


def example_image(config: ModelConfig, batch: int) -> Tensor:
    """Random crops (batch,1,S,S), the same for the same batch."""
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, config.network.in_channels, config.image_size, config.image_size, generator=generator)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
        raise InputError("OpenVINO is missing; install it with pip install 'clamseg[openvino]'.") from error
    return openvino


def import_mnn() -> Any:
    """The module MNN, without the line on the processor that it prints when it is loaded.

    Never MNN.tools: what lies there installs packages and reports conversions over the network when imported.

    Raises:
        InputError: MNN is missing.
    """
    try:
        with printf_unheard():
            import MNN
    except ImportError as error:
        raise InputError("MNN is missing; install it with pip install 'clamseg[mnn]'.") from error
    return MNN


def write_onnx(network: nn.Module, config: ModelConfig, folder: Path) -> Path:
    """Writes model.onnx of a `DecodedClam` in evaluation mode.

    Raises:
        InputError: a package is missing.
    """
    try:
        import onnxruntime  # noqa: F401 - what is written here must run here
        import onnxscript  # noqa: F401 - torch's exporter needs it and fails late without
    except ImportError as error:
        raise InputError(
            "ONNX needs onnx, onnxscript and onnxruntime; install them with pip install 'clamseg[onnx]'."
        ) from error
    path = folder / FILES["onnx"]
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            network,
            (example_image(config, 2),),
            str(path),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["image"],
            output_names=["probability", "disagreement"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )
    return path


def write_openvino(network: nn.Module, config: ModelConfig, folder: Path) -> Path:
    """Writes model.xml and model.bin of a `DecodedClam` in evaluation mode, in float32.

    Raises:
        InputError: OpenVINO is missing.
    """
    openvino = import_openvino()
    path = folder / FILES["openvino"]
    shape = [-1, config.network.in_channels, config.image_size, config.image_size]
    with _quiet(), torch.no_grad():
        converted = openvino.convert_model(network, example_input=example_image(config, 2), input=[("image", shape)])
        openvino.save_model(converted, path, compress_to_fp16=False)
    return path


def write_mnn(clam: Clam, config: ModelConfig, level: int, folder: Path) -> Path:
    """Writes model.mnn of the shells of a level, for one slice at a time, in float32, without decoding.

    Raises:
        InputError: a package is missing.
        ClamSegError: MNN could not convert the network.
    """
    import_mnn()
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it and fails late without
    except ImportError as error:
        raise InputError(
            "MNN needs onnx and onnxscript to convert a network; install them with pip install 'clamseg[mnn]'."
        ) from error
    path, between = folder / FILES["mnn"], folder / FILES["onnx"]
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            HeadsOfClam(folded(clam)).eval(),
            (example_image(config, 1),),
            str(between),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["image"],
            output_names=[name for shell in head_names(config, level) for name in shell],
        )
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
