"""A result comes in steps: its arrays are read beside the scene, and nothing of it is seen before all of it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from run_bench import Bench, ids, mr

from ClamSegWorkflow.case.apart import all_at_once, at_once
from ClamSegWorkflow.case.run_state import State


class Beside:
    """Keeps work until the test does it, as a thread that takes its time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Any]] = []

    def __call__(self, work: Callable[[], Any], done: Any) -> None:
        self.waiting.append((work, done))

    def do(self) -> None:
        at_once(*self.waiting.pop(0))


@pytest.fixture
def beside() -> Beside:
    return Beside()


@pytest.fixture
def bench(scene: Any, beside: Beside) -> Bench:
    """A run whose worker is done; its arrays wait to be read."""
    bench = Bench(scene, beside=beside)
    bench.start(mr(scene))
    bench.finish()
    assert bench.run.job.state is State.IMPORTING
    return bench


def segmentations(scene: Any) -> list[Any]:
    return [scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode") for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"))]  # fmt: skip


def test_while_arrays_are_read_the_scene_is_as_before_and_no_segment_comes_before_all_do(
    bench: Bench, beside: Beside
) -> None:
    assert segmentations(bench.scene) == []
    seen = []
    while not bench.told.results:
        beside.do()
        seen.append([ids(each) for each in segmentations(bench.scene)])
    assert len(seen) > 1
    # empty until the last step, which brings organ and lesions together with the certificate
    assert all(shown in ([], [[]]) for shown in seen[:-1])
    assert seen[-1] == [["organ", "lesion-glioma"]]
    assert bench.told.results[0][1] == "aligned, 0.000 mm"


@pytest.mark.parametrize("steps_done", [0, 1])
def test_a_run_cancelled_between_two_steps_leaves_nothing(bench: Bench, beside: Beside, steps_done: int) -> None:
    for _ in range(steps_done):
        beside.do()
    bench.run.cancel()
    while beside.waiting:
        beside.do()
    assert segmentations(bench.scene) == []
    assert bench.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert bench.told.results == []
    assert bench.told.failures == []


@pytest.mark.parametrize("steps_done", [0, 1])
def test_a_scan_that_is_moved_between_two_steps_gets_no_mask(bench: Bench, beside: Beside, steps_done: int) -> None:
    for _ in range(steps_done):
        beside.do()
    bench.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode").SetOrigin(5.0, 6.0, 7.0)
    while beside.waiting:
        beside.do()
    assert "was changed during the run" in bench.told.failures[0]
    assert segmentations(bench.scene) == []


def test_arrays_that_cannot_be_read_beside_are_told_as_always(bench: Bench, beside: Beside) -> None:
    _work, done = beside.waiting.pop(0)
    done(None, MemoryError())
    assert "Memory ran out" in bench.told.failures[0]
    assert segmentations(bench.scene) == []
    assert bench.run.job.state is State.FAILED


def test_the_review_looks_at_the_maps_memory_and_keeps_no_second_copy(scene: Any) -> None:
    bench = Bench(scene)
    bench.start(mr(scene))
    result = bench.finish()
    shown = result.map_node("probability").GetImageData().GetPointData().GetScalars()
    listed = result.lesions._map.grid.array
    assert np.shares_memory(np.frombuffer(shown, np.uint8), listed)


def test_an_error_of_the_work_is_raised_where_the_steps_wait_for_it() -> None:
    def steps() -> Any:
        try:
            yield lambda: 1 / 0
        except ZeroDivisionError:
            return (yield lambda: "mended")

    assert all_at_once(steps()) == "mended"
