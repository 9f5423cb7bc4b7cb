"""What the trials work on: a scan, a labelled folder and a model, all small; and whether a result is whole."""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from command import NONE, Ended, Harm, run
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

SMALL = ("--features", "4,8,8", "--image-size", "32", "--batch-pairs", "4", "--organ", "whole", "--device", "cpu")
_TRAINING = {"training": {"steps": 4, "validate_every": 2}}


@cache
def home() -> Path:
    """A folder for what all trials share; it goes when the bench ends."""
    folder = Path(tempfile.mkdtemp(prefix="clamseg-faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def scan() -> Path:
    """A bright block in noise, (5, 40, 44)."""
    from ClamSegLib.imaging.read_write import write_volume
    from ClamSegLib.imaging.volume import Volume

    array = np.random.default_rng(0).integers(0, 900, (5, 40, 44)).astype(np.int16)
    write_volume(array, Volume(array, (1.0, 1.5, 4.0)), home() / "scan.nrrd")
    return home() / "scan.nrrd"


@cache
def model() -> Path:
    """A network of two levels with its initial weights."""
    return tiny_model(home() / "tiny")


@cache
def labelled() -> Path:
    """Drawn slices with masks; normal ones of enough patients for the normative map, also where a study keeps some."""
    return write_phantoms(home() / "data", patients=8, slices=6)


@cache
def study_file() -> Path:
    """A study of one row."""
    rows = [{"name": "masks", "description": "masks", "training": {"supervision": "masks"}}]
    study = {
        "name": "faults", "data": str(labelled()), "choice_patients": 2, "ceiling": "", "rows": rows,
        "base": {"model": {"image_size": 32, "organ": {"method": "whole"}, "network": {"features": [4, 8, 8]}}, **_TRAINING},
    }  # fmt: skip
    path = home() / "study.json"
    path.write_text(json.dumps(study))
    return path


@cache
def training_file() -> Path:
    """Options of a training of four steps with two validations."""
    path = home() / "training.json"
    path.write_text(json.dumps(_TRAINING))
    return path


def segment_words(output: Path, *more: object) -> list[object]:
    """`segment` of the scan into `output`/scan."""
    words = ["segment", scan(), "--model", model(), "--output", output, "--device", "cpu", "--engine", "reference"]
    return [*words, "--progress", "none", *more]


def train_words(output: Path, *more: object) -> list[object]:
    """`train` on the labelled folder."""
    words = ["train", labelled(), "--output", output, "--config", training_file(), "--progress", "none"]
    return [*words, *SMALL, *more]


def evaluate_words(output: Path, *more: object) -> list[object]:
    """`evaluate` of the model on the labelled folder."""
    return [
        "evaluate",
        labelled(),
        "--model",
        model(),
        "--output",
        output,
        "--device",
        "cpu",
        "--progress",
        "none",
        *more,
    ]


def study_words(output: Path, *more: object) -> list[object]:
    """`study` of one row."""
    return ["study", study_file(), "--output", output, "--device", "cpu", "--progress", "none", *more]


def export_words(output: Path, *more: object) -> list[object]:
    """`export` of the model."""
    return ["export", model(), "--format", "onnx", "--output", output, "--progress", "none", *more]


Words = Callable[..., list[object]]
VERBS: dict[str, Words] = {
    "segment": segment_words, "train": train_words, "evaluate": evaluate_words, "study": study_words, "export": export_words,
}  # fmt: skip


def result_folder(verb: str, output: Path) -> Path:
    """The folder that a verb's result becomes."""
    return {"segment": output / "scan", "study": output / "runs" / "masks"}.get(verb, output)


@cache
def finished(verb: str, *options: object) -> tuple[Path, float]:
    """What a verb makes of the materials when nothing disturbs it, with seconds; to be copied, not changed."""
    output = home() / f"{verb}-{len(options)}-{abs(hash(options))}"
    ended = run(VERBS[verb](output, *options), home() / "printed", NONE)
    if ended.code:
        raise RuntimeError(f"{verb} without any harm ended with {ended.code}: {ended.err}")
    return output, ended.seconds


def copy_of(verb: str, folder: Path, *options: object) -> Path:
    """A finished result in a folder of the trial's own, below the same name as a fresh one would get."""
    return shutil.copytree(finished(verb, *options)[0], folder / "out", copy_function=shutil.copy2)


def essence(verb: str, output: Path) -> str:
    """A hash of what counts in a result; raises where it is not whole. Times and dates are left out."""
    folder = result_folder(verb, output)
    told: list[bytes] = []
    if verb == "segment":
        from ClamSegLib.imaging.read_write import read_volume

        report = json.loads((folder / "report.json").read_text())
        told += [json.dumps([report["model"], report["lesions"], report["geometry"]]).encode()]
        told += [read_volume(folder / name).array.tobytes() for name in ("probability.nrrd",)]
        told += [(folder / "segmentation.seg.nrrd").read_bytes(), (folder / "lesions.csv").read_bytes()]
    elif verb in ("train", "study"):
        from ClamSegLib.model.checkpoint import load_model

        loaded = load_model(folder)
        told += [loaded.config.weights_sha256.encode(), json.dumps(loaded.config.threshold).encode()]
        told += [(folder / "normative.safetensors").read_bytes()]
        json.loads((folder / "run.json").read_text())
        if not (folder / "card.md").read_text().startswith("# "):
            raise ValueError("the card is no card")
    elif verb == "evaluate":
        told += [json.dumps(json.loads((folder / "metrics.json").read_text())["table"]).encode()]
        told += [(folder / "cases.csv").read_bytes()]
    else:
        import onnx

        onnx.checker.check_model(str(folder / "model.onnx"))
        told += [json.dumps(json.loads((folder / "model.json").read_text())["level"]).encode()]
    return hashlib.sha256(b"\0".join(told)).hexdigest()


def tree(folder: Path) -> list[str]:
    """All that lies below a folder, hidden things too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def hidden(folder: Path) -> list[str]:
    """What a process left that no user should find: parts, old ones, locks."""
    return [name for name in tree(folder) if ".clamseg-" in name or name.endswith("run.lock") or ".run.lock-" in name]


def attempt_once(words: list[object], folder: Path, harm: Harm = NONE) -> Ended:
    """Runs a verb with what it prints beside its output."""
    return run(words, folder / "printed", harm)
