"""Model folders made to harm: nothing in them runs, nothing is written elsewhere, one line says what is wrong."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command import run
from materials import home, model, scan, tree
from trial import Trial


class _Runs:
    """A pickle that leaves a file behind if anything ever loads it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self._mark}",)


def _config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        told = json.loads((folder / "config.json").read_text())
        for name, value in values.items():
            *way, last = name.split("__")
            into = told
            for step in way:
                into = into[step]
            into[last] = value
        (folder / "config.json").write_text(json.dumps(told))

    return change


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _pickle(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(pickle.dumps(_Runs(folder.parent / "it-ran")))


def _link(name: str, to: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(to)

    return change


def _header(length: int) -> Callable[[Path], object]:
    return lambda folder: (folder / "weights.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")


_CHANGES: dict[str, Callable[[Path], object]] = {
    "weights that are a pickle": _pickle("weights.safetensors"),
    "a configuration that is a pickle": _pickle("config.json"),
    "a pickle under torch's name": _pickle("pytorch_model.bin"),
    "weights that are a device": _link("weights.safetensors", "/dev/zero"),
    "a configuration that is a device": _link("config.json", "/dev/zero"),
    "weights that are a pipe": lambda folder: (
        (folder / "weights.safetensors").unlink(),
        os.mkfifo(folder / "weights.safetensors"),
    ),
    "weights whose header is endless": _header(2**63),
    "weights whose header is longer than the file": _header(10**6),
    "an empty configuration": _text("config.json", ""),
    "a configuration of many brackets": _text("config.json", "[" * 200_000),
    "a configuration that is a list": _text("config.json", "[]"),
    "a newer format": _config(format_version=10**9),
    "a format that is text": _config(format_version="2"),
    "weights of another network": _config(network__features=[4, 8, 8, 8]),
    "a network of a billion channels": _config(network__features=[10**9, 10**9, 10**9]),
    "a network of a thousand levels": _config(network__features=[4] * 1000),
    "channels below zero": _config(network__features=[-4, 8, 8]),
    "a crop of a million pixels a side": _config(image_size=10**6),
    "a crop of nothing": _config(image_size=0),
    "a threshold that is no number": _config(threshold=float("nan")),
    "a threshold of text": _config(threshold="high"),
    "a name that leads elsewhere": _config(name="../../../elsewhere"),
    "a name with control characters": _config(name="a\u0000b\u001b[31mc"),
    "a name of a million letters": _config(name="x" * 10**6),
    "a condition that leads elsewhere": _config(conditions=[{"name": "../../evil"}]),
    "no condition": _config(conditions=[]),
    "a thousand conditions": _config(conditions=[{"name": f"c{n}"} for n in range(1000)]),
    "an organ found by another program": _config(organ__method="command:touch it-ran"),
    "an organ of a model that leads elsewhere": _config(organ__method="model:../../../etc"),
    "intensities without end": _config(intensity__high=1e308, intensity__low=-1e308),
    "odds of nothing": _config(odds_normal=[]),
    "an unknown key": _config(run="touch it-ran"),
    "a hash of another length": _config(weights_sha256="00"),
    "no weights": lambda folder: (folder / "weights.safetensors").unlink(),
    "no configuration": lambda folder: (folder / "config.json").unlink(),
}


def trials(seed: int) -> list[Trial]:
    """Every change once in `segment`, and the seed's choice of them in other verbs."""
    rng = random.Random(f"hostile models {seed}")
    chosen = [("segment", name) for name in _CHANGES] + [("export", name) for name in rng.sample(sorted(_CHANGES), 6)]
    return [Trial("hostile models", f"{verb} of {name}", _attempt(verb, _CHANGES[name])) for verb, name in chosen]


def _attempt(verb: str, change: Callable[[Path], object]) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        hostile = shutil.copytree(model(), folder / "hostile")
        change(hostile)
        before = set(tree(folder))
        output = folder / "out"
        words: list[object] = ["segment", scan(), "--model", hostile, "--engine", "reference"]
        if verb == "export":
            words = ["export", hostile, "--format", "onnx"]
        words += ["--output", output, "--progress", "none"]
        ended = run([*words, "--device", "cpu"] if verb == "segment" else words, home() / "printed")
        if (folder / "it-ran").exists() or Path("it-ran").exists():
            return "something in the model ran"
        outside = {name for name in set(tree(folder)) - before if name.split("/")[0] != "out"}
        if outside:
            return f"written elsewhere: {sorted(outside)}"
        return ended.complaint(0, 1, 2)

    return attempt
