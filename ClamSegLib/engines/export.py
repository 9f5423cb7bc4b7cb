"""A model for other programs: the pruned twin with its decoding as ONNX or OpenVINO, compared with torch."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.engines.conversion import Graph, decoded_graph, import_openvino, write_onnx, write_openvino
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.model.licence import licence_text
from ClamSegLib.model.model_folder import NORMATIVE
from ClamSegLib.system.atomic_output import refuse_existing, whole_folder
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.folder_kind import FolderKind

FORMATS = ("onnx", "openvino")
LARGEST_DIFFERENCE = 1e-3
_ABOUT = "model.json"
EXPORT = FolderKind(
    "an exported model",
    _ABOUT,
    ("clamseg", "format"),
    (_ABOUT, "model.onnx", "model.onnx.data", "model.xml", "model.bin", NORMATIVE),
)
_BATCHES = (1, 3)
_INPUT = "image: float32 (batch, 1, size, size), an organ crop after the model's intensity step"
_INPUT_WITH_NORMATIVE = (
    "image: float32 (batch, 3, size, size), (x, z, m) / 2: x is an organ crop after the model's intensity step with median 0 "
    "and spread 1 inside the organ, z = (x - mean) / (spread + 0.3) with mean and spread of normative.safetensors at the "
    "slice's relative height, m is z minus its mirror image; 0 outside the organ (ClamSegLib/model/normative_map.py)"
)


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, and the largest difference of a probability from torch's."""

    folder: Path
    largest_difference: float


def export_model(
    model: LoadedModel, kind: str, folder: Path, *, level: int | None = None, overwrite: bool = False
) -> Exported:
    """Exports a model and compares it with torch on random images.

    Args:
        kind: 'onnx' or 'openvino'.
        folder: becomes visible when complete and compared.
        level: 1..depth; None for the model's own.

    Raises:
        InputError: the level does not exist, a package is missing, or the folder exists.
        ClamSegError: the exported network answers differently.
    """
    level = model.config.level_of(level)
    refuse_existing(folder, overwrite, EXPORT)
    graph = decoded_graph(model.twin.pruned(level), model.config)
    with torch.no_grad():  # what is wrong with the model is said in its own words, not in those of an exporter
        graph.network(*graph.examples(1))
    with whole_folder(folder, EXPORT, overwrite) as part:
        if kind == "onnx":
            run = _write_onnx(graph, part)
        elif kind == "openvino":
            run = _write_openvino(graph, part)
        else:
            raise InputError(f"Format '{kind}' is unknown; allowed are {', '.join(FORMATS)}.")
        difference = _compare(graph, run)
        if difference > LARGEST_DIFFERENCE:
            raise ClamSegError(
                f"The {kind} network differs from torch by {difference:.2g} (up to {LARGEST_DIFFERENCE} is allowed); nothing was written."
            )
        _describe(part, model.config, kind, level, difference)
        if model.normative is not None:
            model.normative.save(part / NORMATIVE)
        text = licence_text(model.folder, model.config)
        if text is not None:
            shutil.copyfile(text, part / text.name)
    return Exported(folder, difference)


def _write_onnx(graph: Graph, folder: Path) -> Any:
    path = write_onnx(graph, folder)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})


def _write_openvino(graph: Graph, folder: Path) -> Any:
    path = write_openvino(graph, folder)
    compiled = import_openvino().Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image: list(compiled(image).values())


def _compare(graph: Graph, run: Any) -> float:
    """Largest absolute difference of both outputs over batches of several sizes."""
    largest = 0.0
    for batch in _BATCHES:
        (image,) = graph.examples(batch)
        with torch.no_grad():
            expected = graph.network(image)
        given: list[NDArray[np.float32]] = run(image.numpy())
        for reference, other in zip(expected, given, strict=True):
            if tuple(reference.shape) != other.shape:
                raise ClamSegError(
                    f"The exported network answers with shape {other.shape} instead of {tuple(reference.shape)}."
                )
            largest = max(largest, float(np.abs(reference.numpy() - other).max()))
    return largest


def _describe(folder: Path, config: ModelConfig, kind: str, level: int, difference: float) -> None:
    about = {
        "notice": RESEARCH_ONLY,
        "clamseg": __version__,
        "format": kind,
        "level": level,
        "input": _INPUT if config.normative is None else _INPUT_WITH_NORMATIVE,
        "outputs": "probability and disagreement: float32 (batch, conditions, size, size), 0..1",
        "largest_difference_from_torch": difference,
        "licence": config.licence,
        "non_commercial": config.is_non_commercial,
        "model": to_json(config),
    }
    (folder / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
