"""What a step of a review needs is found before it, in any thread; the step finds what it would have found without."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from ClamSegLib.imaging.volume import Volume
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_map import LesionMap
from ClamSegWorkflow.case.lesion_row import Decision

SHAPE = (12, 40, 44)


def fresh() -> LesionList:
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 2)
    values = np.interp(noise, (noise.min(), noise.max()), (0, 255)).astype(np.uint8)
    lesions = LesionList(values, None, Volume(values, (0.7, 0.9, 2.5)), ["a"], plane="axial", threshold=0.6)
    first = lesions.rows()
    lesions.decide(first[0].number, Decision.ACCEPTED)
    lesions.decide(first[1].number, Decision.REJECTED)
    lesions.set_threshold(0.7)
    return lesions


def reset_second(lesions: LesionList) -> None:
    number = next(n for n, decision in lesions.decisions().items() if decision is Decision.REJECTED)
    lesions.decide(number, Decision.UNDECIDED)


STEPS: dict[str, tuple[Callable[[Any], Any], Callable[[LesionList], Any]]] = {
    "undo": (lambda ahead: ahead.undo(), LesionList.undo),
    "redo": (lambda ahead: ahead.redo(), LesionList.redo),
    "threshold": (lambda ahead: ahead.threshold(0.5), lambda lesions: lesions.set_threshold(0.5)),
    "reset": (lambda ahead: ahead.decision(2, Decision.UNDECIDED), reset_second),
}


def see_ahead(lesions: LesionList, name: str) -> None:
    thread = threading.Thread(target=STEPS[name][0](lesions.foresight))
    thread.start()
    thread.join()


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_was_foreseen_looks_for_nothing_and_finds_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesions, without = fresh(), fresh()
    for each in (lesions, without):
        if name == "redo":
            each.undo()
    before = lesions.rows()
    see_ahead(lesions, name)
    assert lesions.rows() == before, "nothing is done before its turn"
    STEPS[name][1](without)
    expected = without.rows()

    def measured_again(*_given: Any) -> Any:
        raise AssertionError("looked for in the loop")

    monkeypatch.setattr(LesionMap, "look", measured_again)
    monkeypatch.setattr("ClamSegWorkflow.case.lesion_measure.measure", measured_again)
    STEPS[name][1](lesions)
    assert lesions.rows() == expected != before


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_finds_the_review_otherwise_than_foreseen_looks_for_itself(name: str) -> None:
    lesions, without = fresh(), fresh()
    for each in (lesions, without):
        if name == "redo":
            each.undo()
    see_ahead(lesions, name)
    for each in (lesions, without):
        each.decide(each.rows()[-1].number, Decision.ACCEPTED)
        each.set_threshold(0.65)
        STEPS[name][1](each)
    assert lesions.rows() == without.rows()
    assert lesions.decisions() == without.decisions()


def test_a_decision_on_an_undecided_lesion_needs_nothing() -> None:
    lesions = fresh()
    number = next(row.number for row in lesions.rows() if row.decision is Decision.UNDECIDED)
    assert lesions.foresight.decision(number, Decision.ACCEPTED) is None
    assert lesions.foresight.redo() is None, "there is nothing to do again"
