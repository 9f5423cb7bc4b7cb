"""Steps of a review are taken one after the other; what a step needs is found beside the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ClamSegWeb.turns import Turns


class Beside:
    """Keeps work until the test does it, as a thread that takes its time."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> None:
        def act() -> None:
            try:
                work()
            except ValueError as error:
                done(None, error)
            else:
                done(None, None)

        self.waiting.append(act)

    def do(self) -> None:
        self.waiting.pop(0)()


@pytest.fixture
def beside() -> Beside:
    return Beside()


@pytest.fixture
def done() -> list[str]:
    return []


def step(done: list[str], name: str, *, fails: bool = False) -> tuple[Callable[[], None], Callable[[], Any]]:
    """A step that needs something."""

    def work() -> None:
        done.append(f"{name} is looked for")
        if fails:
            raise ValueError(name)

    return lambda: done.append(name), lambda: work


def test_no_step_overtakes_one_that_is_looked_for_and_each_is_looked_for_on_what_the_one_before_left(
    beside: Beside, done: list[str]
) -> None:
    turns = Turns(beside)
    turns.take(lambda: done.append("accept"))
    turns.take(*step(done, "threshold"))
    turns.take(lambda: done.append("reject"))
    turns.take(*step(done, "undo"))
    assert done == ["accept"], "nothing is to be foreseen of it and nothing waits"
    assert len(beside.waiting) == 1
    beside.do()
    assert done == ["accept", "threshold is looked for", "threshold", "reject"]
    assert not turns.is_idle
    beside.do()
    assert done[-2:] == ["undo is looked for", "undo"]
    assert turns.is_idle


def test_who_needs_the_finished_state_gets_it_at_once_and_what_comes_late_takes_no_step_twice(
    beside: Beside, done: list[str]
) -> None:
    turns = Turns(beside)
    turns.take(*step(done, "threshold"))
    turns.take(*step(done, "undo"))
    turns.finish()
    assert done == ["threshold", "undo"]
    turns.take(*step(done, "redo"))
    beside.do()  # of the threshold, which was taken without it
    assert done == ["threshold", "undo", "threshold is looked for"]
    beside.do()
    assert done[-2:] == ["redo is looked for", "redo"]
    assert beside.waiting == []


def test_a_step_whose_needs_could_not_be_found_is_taken_all_the_same(beside: Beside, done: list[str]) -> None:
    turns = Turns(beside)
    turns.take(*step(done, "threshold", fails=True))
    turns.take(lambda: done.append("accept"))
    beside.do()
    assert done == ["threshold is looked for", "threshold", "accept"]


def test_a_step_that_another_one_asks_for_comes_behind_those_that_wait(beside: Beside, done: list[str]) -> None:
    turns = Turns(beside)

    def accept() -> None:
        done.append("accept")
        turns.take(lambda: done.append("next lesion"))

    turns.take(*step(done, "threshold"))
    turns.take(accept)
    turns.take(lambda: done.append("reject"))
    beside.do()
    assert done[1:] == ["threshold", "accept", "reject", "next lesion"]


def test_a_step_whose_need_cannot_be_looked_for_beside_is_taken_without_and_the_next_ones_follow(
    done: list[str],
) -> None:
    def no_thread(_work: Callable[[], Any], _done: Callable[[Any, Exception | None], None]) -> None:
        raise RuntimeError("can't start new thread")

    turns = Turns(no_thread)
    turns.take(*step(done, "threshold"))
    turns.take(lambda: done.append("accept"))
    assert done == ["threshold", "accept"]
    assert turns.is_idle
