"""A run of the panel with everything in the test's hand: the worker, the listener, and when later is."""

from __future__ import annotations

from typing import Any

import numpy as np
from fakes import CONFIG, MODEL, FakeWorker
from volumes_in_scene import GEOMETRIES, add_volume

from ClamSegWorkflow.case.apart import at_once
from ClamSegWorkflow.case.run_request import RunListener, RunOptions
from ClamSegWorkflow.case.run_state import State
from ClamSegWorkflow.case.segmentation_run import SegmentationRun

SHAPE = (9, 14, 17)


def two_lesions(volume: Any) -> np.ndarray:
    """A strong and a weak lesion, set into the frame of the input."""
    probability = np.full(volume.array.shape, 3, np.uint8)
    probability[2:4, 3:6, 4:8] = 200
    probability[6:8, 8:12, 10:15] = 140
    probability[2, 3, 4] = 250
    probability[6, 8, 10] = 150
    return probability


class Listener(RunListener):
    def __init__(self) -> None:
        self.states: list[State] = []
        self.results: list[tuple[Any, str]] = []
        self.failures: list[str] = []
        self.words: list[str] = []
        self.looks: list[str] = []
        self.asked: list[tuple[str, list[str]]] = []
        self.speeds: list[tuple[str, str, int, float]] = []
        self.yes: bool | None = True  # None: the answer comes later

    def state_changed(self, state: State) -> None:
        self.states.append(state)

    def progressed(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        self.words.append(f"{stage} {done}/{total}")

    def finished_case(self, result: Any, certificate: str) -> None:
        self.results.append((result, certificate))

    def failed(self, text: str) -> None:
        self.failures.append(text)

    def looked_first(self, words: str) -> None:
        self.looks.append(words)

    def said(self, text: str) -> None:
        self.words.append(text)

    def measured(self, model: str, device: str, level: int, seconds_a_slice: float) -> None:
        self.speeds.append((model, device, level, seconds_a_slice))

    def confirms(self, volume: str, doubts: list[str]) -> bool | None:
        self.asked.append((volume, doubts))
        return self.yes


class Bench:
    """A run with everything in the test's hand."""

    def __init__(self, scene: Any, probability_of: Any = two_lesions, beside: Any = at_once) -> None:
        self.scene = scene
        self.worker = FakeWorker(probability_of)
        self.told = Listener()
        self.soon: list[Any] = []
        self.run = SegmentationRun(scene, self.worker, self.told, self.soon.append, beside)

    def settle(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def start(self, *volumes: Any, **options: Any) -> None:
        self.run.start(list(volumes), RunOptions(MODEL, {**CONFIG, **options.pop("config", {})}, **options))
        self.settle()

    def finish(self) -> Any:
        """Lets the worker look and segment."""
        self.worker.answer()
        self.worker.answer()
        self.settle()
        return self.told.results[-1][0] if self.told.results else None


def mr(scene: Any, frame: str = "plain", name: str = "scan") -> Any:
    array = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    return add_volume(scene, array, GEOMETRIES[frame], name)


def ids(segmentation: Any) -> list[str]:
    data = segmentation.GetSegmentation()
    return [data.GetNthSegmentID(n) for n in range(data.GetNumberOfSegments())]
