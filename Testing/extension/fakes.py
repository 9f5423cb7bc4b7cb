"""A worker without a process: answers as the real one does, when the test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume, canonical
from ClamSegLib.segmentation.lesions import lesion_mask, measure_lesions, slice_columns

CONFIG: dict[str, Any] = {
    "name": "mr-toy",
    "task": "lesion",
    "modality": "MR",
    "sequence": "",
    "body_part": "",
    "plane": "axial",
    "threshold": 0.5,
    "minimum_volume_ml": 0.0,
    "organ": {"method": "body", "name": "brain", "colour": [0, 114, 178], "terminology": ""},
    "conditions": [{"name": "glioma", "colour": [213, 94, 0], "terminology": ""}],
    "network": {"features": [4, 8, 16]},
    "intensity": {"kind": "organ_robust", "low": -4, "high": 8},
}
MODEL = {"name": "mr-toy", "folder": "mr-toy", "task": "lesion", "modality": "MR", "levels": 2, "origin": "shipped"}


class FakeWorker:
    """Keeps requests until `answer` is called; writes a result with what `probability_of` makes of the input."""

    find = staticmethod(lesion_mask)

    def __init__(self, probability_of: Callable[[Volume], np.ndarray] | None = None) -> None:
        self.requests: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], None]]] = []
        self.killed = 0
        self.organ = {"method": "body", "quality": 1.0, "fell_back": False, "problem": ""}
        self.outline: np.ndarray | None = None
        self.first: tuple[np.ndarray, list[int], list[int]] | None = None  # labels, start, slices of a first look
        self.probability_of = probability_of or (lambda volume: np.zeros(volume.array.shape, np.uint8))
        self.seen: list[Volume] = []

    def request(self, command: str, on_event: Callable[[dict[str, Any]], None], **values: Any) -> int:
        self.requests.append((command, values, on_event))
        return len(self.requests)

    def kill(self) -> None:
        self.killed += 1

    def answer(self, **event: Any) -> None:
        """Answers the last request; without an event, as the real worker would after a good run."""
        command, values, on_event = self.requests[-1]
        if event:
            on_event(event)
        elif command == "inspect":
            if self.outline is not None and values.get("outline"):
                np.save(values["outline"], self.outline)
            on_event({"event": "done", "organ": self.organ, "warnings": [], "slices": 9, "plane": "axial"})
        else:
            self.look_first()
            on_event({"event": "progress", "stage": "segmenting slices", "done": 3, "total": 9, "seconds_left": 1.5})
            on_event({"event": "done", "folder": str(self.write(values)), "summary": ""})

    def look_first(self) -> None:
        """Tells of a first look where one was asked for and the test has one."""
        _command, values, on_event = self.requests[-1]
        if self.first is not None and values.get("first_file"):
            labels, start, slices = self.first
            np.save(values["first_file"], labels)
            on_event({"event": "preview", "file": values["first_file"], "start": start, "slices": slices})

    def write(self, values: dict[str, Any]) -> Path:
        volume = read_volume(Path(values["input"]))
        self.seen.append(volume)
        folder = Path(values["output"])
        folder.mkdir()
        probability = self.probability_of(volume)
        np.save(folder / "probability.npy", probability)
        np.save(folder / "labels.npy", np.where(probability > 127, 2, 1).astype(np.uint8))
        turned, orientation = canonical(replace(volume, array=probability), "axial")
        labels, components = self.find(turned.array[None], 0.5, turned, 0.0)
        path = Path(values["model"]) / "config.json"
        config = json.loads(path.read_text()) if path.is_file() else CONFIG
        names = [condition["name"] for condition in config["conditions"]]
        lesions = measure_lesions(labels, components, turned.array[None], turned, names)
        np.save(folder / "components.npy", np.ascontiguousarray(orientation.undo(components)))
        report = {
            "summary": "summary of the worker", "notice": "For research, not for diagnosis.", "clamseg": "0.1.0",
            "model": {"name": "mr-toy", "weights_sha256": "ab" * 32, "level": 2, "levels": 2, "threshold": 0.5},
            "device": "cpu", "organ": {"method": "body", "quality": 1.0}, "warnings": [],
            "engine": {"engine": "openvino", "precision": "bfloat16", "threads": 2, "batch_size": 8},
            "slices": {"total": 9, "analysed": 9}, "seconds": {"network": 0.9},
            "geometry": {"spacing_known": volume.spacing_known}, "lesions": [
                asdict(lesion) | slice_columns(lesion.first_slice, lesion.last_slice) for lesion in lesions
            ],
        }  # fmt: skip
        (folder / "report.json").write_text(json.dumps(report))
        return folder
