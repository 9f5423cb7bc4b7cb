"""The files of a model folder and its configuration, read without torch: a list of models needs no network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ClamSegLib.model.config import FORMAT_VERSION, ModelConfig
from ClamSegLib.model.config_json import from_json, read_values
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.folder_kind import FolderKind

CONFIG, WEIGHTS, CARD, RUN = "config.json", "weights.safetensors", "card.md", "run.json"
NORMATIVE = "normative.safetensors"
# The network in eight-bit numbers; the last names the weights it was made of, and the SHA-256 of the two others.
INT8_GRAPH, INT8_NUMBERS, INT8_ABOUT = "int8.xml", "int8.bin", "int8.json"
INT8_FILES = (INT8_GRAPH, INT8_NUMBERS, INT8_ABOUT)
MODEL_FILES = (CONFIG, WEIGHTS, CARD, RUN, NORMATIVE, *INT8_FILES)
# What a training leaves beside its model; it is not replaced with the model.
LEFT_BY_TRAINING = (
    "state", "tune", "tensorboard", "events.jsonl", "metrics.csv", "curves.png", "preview.png", "run.lock", "stop", "pause",
)  # fmt: skip
MODEL = FolderKind("a model", CONFIG, ("weights_sha256", "network"), (*MODEL_FILES, "licence.md"))
_LARGEST_JSON_BYTES = 4_000_000


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as a hexadecimal string.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); ask its owner for the right to read it."
        ) from error
    return digest.hexdigest()


def require_intact(path: Path, sha256: str) -> None:
    """Refuses a model's file that is not the one that its configuration names.

    Raises:
        InputError: it is missing, was changed or damaged, or cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path.parent} holds no {path.name}; copy the whole model folder again.")
    if sha256_of(path) != sha256:
        raise InputError(
            f"{path} is not the file that {CONFIG} names (its SHA-256 differs): it was changed or damaged; copy the "
            "model again."
        )


def read_config(folder: Path) -> ModelConfig:
    """The configuration of a model folder, without touching the weights; errors as for `read_config_and_warnings`."""
    return read_config_and_warnings(folder)[0]


def read_config_and_warnings(folder: Path) -> tuple[ModelConfig, tuple[str, ...]]:
    """The configuration, and what of an older one is no longer followed although it changes results.

    Raises:
        InputError: no folder, no config.json, unreadable, unknown keys, newer format version, or a network that this
            version does not compute.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a model folder; name a folder with {CONFIG} and {WEIGHTS}.")
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} holds no {CONFIG}, so it is not a model folder of ClamSeg.")
    if path.stat().st_size > _LARGEST_JSON_BYTES:
        raise InputError(f"{path} is larger than any configuration of a model; the folder is damaged or not a model.")
    values = read_values(path)
    warnings: list[str] = []
    version = values.get("format_version", 0) if isinstance(values, dict) else 0
    if isinstance(version, int) and version > FORMAT_VERSION:
        # A newer format may have keys that this version does not know: say that, not 'unknown key'.
        raise InputError(
            f"The model in {folder} has format version {version}, this ClamSeg reads up to {FORMAT_VERSION}; update ClamSeg."
        )
    if isinstance(values, dict) and version == 1:
        values, warnings = _of_version_1(values, folder)
    return from_json(ModelConfig, values, path.name), tuple(warnings)


def _of_version_1(values: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """A configuration of format version 1 without the keys that went since, and sentences where results change.

    Raises:
        InputError: instance normalisation, which is no longer computed.
    """
    kept = {key: value for key, value in values.items() if key not in ("slice_score_normal",)}
    warnings = []
    if kept.pop("early_exits", None):
        warnings.append("The model's early_exits are no longer used: every slice runs at the same level.")
    if kept.pop("level_scales", None):
        warnings.append(
            "The model's level_scales are no longer used: outlines of levels above the deepest may differ from before; "
            "choose the deepest, or train the model again."
        )
    network = kept.get("network")
    if isinstance(network, dict):
        if network.get("normalisation", "batch") != "batch":
            raise InputError(
                f"The model in {folder} has the normalisation '{network['normalisation']}', which this ClamSeg does not "
                "compute; train it again."
            )
        kept["network"] = {key: value for key, value in network.items() if key != "normalisation"}
    return kept, warnings
