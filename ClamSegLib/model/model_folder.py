"""The files of a model folder and its configuration, read without torch: a list of models needs no network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import read_json
from ClamSegLib.system.errors import InputError

CONFIG, WEIGHTS, CARD, RUN = "config.json", "weights.safetensors", "card.md", "run.json"
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


def read_config(folder: Path) -> ModelConfig:
    """The configuration of a model folder, without touching the weights.

    Raises:
        InputError: no folder, no config.json, unreadable, unknown keys, newer format version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a model folder; name a folder with {CONFIG} and {WEIGHTS}.")
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} holds no {CONFIG}, so it is not a model folder of ClamSeg.")
    if path.stat().st_size > _LARGEST_JSON_BYTES:
        raise InputError(f"{path} is larger than any configuration of a model; the folder is damaged or not a model.")
    _refuse_newer_format(path)
    return read_json(ModelConfig, path)


def _refuse_newer_format(path: Path) -> None:
    """A newer format may have keys that this version does not know: say that, not 'unknown key'."""
    try:
        version = json.loads(path.read_text(encoding="utf-8")).get("format_version", 0)
    except (OSError, ValueError, AttributeError, RecursionError):
        return  # read_json says what is wrong
    if isinstance(version, int):
        from ClamSegLib.model.config import FORMAT_VERSION

        if version > FORMAT_VERSION:
            raise InputError(
                f"The model in {path.parent} has format version {version}, this ClamSeg reads up to {FORMAT_VERSION}; "
                "update ClamSeg."
            )
