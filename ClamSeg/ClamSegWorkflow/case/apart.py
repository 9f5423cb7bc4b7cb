"""Work that touches no scene, told apart from the steps that do: the panel does it at once, the page beside its loop.

Steps are a generator. What it yields is work for any thread, what it is sent back is the value of that work; between two
yields it is in the scene's own thread. An error of the work is raised where it was yielded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[], Any]
Steps = Generator[Work, Any, T]
# Is given the value of a work, or its error.
Done = Callable[[Any, Exception | None], None]
# Does a work somewhere and tells in the scene's thread that it is done.
Beside = Callable[[Work, Done], None]


def at_once(work: Work, done: Done) -> None:
    """Does a work here and now."""
    try:
        value = work()
    except Exception as error:
        done(None, error)
    else:
        done(value, None)


def all_at_once(steps: Steps[T]) -> T:
    """Does steps and their work one after the other; returns what they return."""
    try:
        work = next(steps)
        while True:
            try:
                value = work()
            except Exception as error:
                work = steps.throw(error)
            else:
                work = steps.send(value)
    except StopIteration as end:
        result: T = end.value
        return result
