"""What a machine measured of its engines, remembered in the cache folder; whatever is damaged or outdated is forgotten.

One JSON file per question: which model, level, device, engine asked for, threads allowed, versions, processor. Networks
converted for other engines lie beside it, with the SHA-256 of every file, so that they are converted once.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import from_json
from ClamSegLib.system.atomic_output import whole_file, whole_folder
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.paths import cache_folder

_PACKAGES = ("torch", "openvino", "onnxruntime", "MNN")
_CHECKSUMS = "files.json"


@dataclass(frozen=True)
class Remembered:
    """A choice, and how far its masks agreed with the reference when it was made."""

    choice: EngineChoice
    agreement: float


def processor_name() -> str:
    """The processor as the system calls it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions_of_engines() -> dict[str, str]:
    """Versions of ClamSeg and of the packages that compute, without importing them."""
    found = {"clamseg": __version__}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def network_of(config: ModelConfig) -> str:
    """What a converted network depends on: its weights, and the size of the crops that it was converted for."""
    return f"{config.weights_sha256}-{config.image_size}"


def identity_of(config: ModelConfig) -> str:
    """What the masks of a model depend on: its network, and how its answers are decoded."""
    names = ("threshold", "odds_normal", "head_weights", "level_scales", "refinement")
    decoding = repr([getattr(config, name) for name in names])
    return f"{network_of(config)}-{hashlib.sha256(decoding.encode()).hexdigest()[:20]}"


def question(identity: str, level: int | Sequence[int], device: str, asked: str, threads: int) -> dict[str, Any]:
    """All that the answer depends on.

    Args:
        identity: `identity_of` the model.
        level: of the network; several, where it runs in steps.
    """
    return {
        "model": identity,
        "level": level if isinstance(level, int) else list(level),
        "device": device,
        "engine": asked,
        "threads": threads,
        "versions": versions_of_engines(),
        "processor": f"{processor_name()}, {os.cpu_count()} cores",
    }


def _place(asked: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]
    return cache_folder() / "engines" / f"{digest}.json"


def recall(asked: dict[str, Any]) -> Remembered | None:
    """The answer to a question, or None; a damaged file is removed."""
    path = _place(asked)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["question"] != asked:
            raise ValueError("another question")
        return Remembered(from_json(EngineChoice, told["choice"]), float(told["agreement"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ClamSegError):
        forget(asked)
        return None


def remember(asked: dict[str, Any], answer: Remembered, measured: list[dict[str, Any]]) -> None:
    """Writes an answer with all that was measured; a cache that cannot be written is no reason to stop."""
    told = {"question": asked, "choice": asdict(answer.choice), "agreement": answer.agreement, "measured": measured}
    with suppress(ClamSegError, OSError), whole_file(_place(asked)) as path:
        path.write_text(json.dumps(told, indent=1), encoding="utf-8")


def forget(asked: dict[str, Any]) -> None:
    """Removes an answer."""
    with suppress(OSError):
        _place(asked).unlink()


def converted_file(network: str, part: Sequence[int], kind: str, write: Callable[[Path], Path]) -> Path:
    """A network converted for `kind`, from the cache where every byte is still as written, else written anew.

    Args:
        network: `network_of` its model.
        part: of the network that was converted, in numbers.
        write: writes into a folder and returns the path of the file to load.

    Raises:
        OutputError: the cache cannot be written.
    """
    asked = json.dumps([network, list(part), kind, versions_of_engines()], sort_keys=True)
    folder = cache_folder() / "engines" / f"{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:20]}"
    known = _intact(folder)
    if known is not None:
        return known
    with whole_folder(folder, overwrite=True) as unseen:
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
