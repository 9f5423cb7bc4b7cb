"""A network with its decoding written for other programs: ONNX or OpenVINO, any number of slices at once."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ClamSegLib.clam import decode
from ClamSegLib.config import ModelConfig
from ClamSegLib.errors import InputError

FILES = {"onnx": "model.onnx", "openvino": "model.xml"}


class DecodedClam(nn.Module):
    """Image (B,1,S,S) -> probability and disagreement (B,K,S,S)."""

    def __init__(self, clam: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.clam, self.config = clam, config

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the shells and decodes."""
        return decode(self.clam(image), self.config)


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
