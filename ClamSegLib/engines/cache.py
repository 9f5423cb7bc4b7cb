"""Networks converted for other engines, kept in the cache folder with the SHA-256 of every file, so that each is converted once."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ClamSegLib import __version__
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.folder_kind import CACHED
from ClamSegLib.system.paths import cache_folder

_PACKAGES = ("torch", "openvino", "MNN")
_CHECKSUMS = "files.json"


def versions_of_engines() -> dict[str, str]:
    """Versions of ClamSeg and of the packages that compute, without importing them."""
    found = {"clamseg": __version__}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def converted_file(config: ModelConfig, level: int, kind: str, write: Callable[[Path], Path]) -> Path:
    """A network converted for `kind`, from the cache where every byte is still as written, else written anew.

    Args:
        config: of the model: its weights, and the size of the crops that it is converted for.
        level: of the network.
        write: writes into a folder and returns the path of the file to load.

    Raises:
        OutputError: the cache cannot be written.
    """
    depends_on = json.dumps([config.weights_sha256, config.image_size, level, kind, versions_of_engines()])
    folder = cache_folder() / "engines" / f"{kind}-{hashlib.sha256(depends_on.encode()).hexdigest()[:20]}"
    known = _intact(folder)
    if known is not None:
        return known
    with whole_folder(folder, CACHED, overwrite=True) as unseen:
        name = write(unseen).name
        sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(unseen.iterdir())}
        (unseen / _CHECKSUMS).write_text(json.dumps({"load": name, "files": sums}), encoding="utf-8")
    return folder / name


def _intact(folder: Path) -> Path | None:
    try:
        told = json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))
        files: dict[str, str] = told["files"]
        if told["load"] not in files:
            return None
        for name, expected in files.items():
            if hashlib.sha256((folder / Path(name).name).read_bytes()).hexdigest() != expected:
                return None
        return folder / Path(told["load"]).name
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
