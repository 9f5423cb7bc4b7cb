"""Steps one after the other: what a step needs is computed beside the page, then the step is taken on its loop.

No step overtakes another. Whoever needs the state that the reader sees coming calls `finish`: then all that wait are taken at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ClamSegWorkflow.case.apart import Beside, Work

# Looks ahead at what a step will need; None where it needs nothing that takes time.
Foresee = Callable[[], Work | None]


def nothing() -> None:
    """Nothing to be foreseen."""


class Turns:
    """The steps that wait for their turn.

    Args:
        beside: does work that touches no scene.
    """

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self._waiting: deque[tuple[Foresee, Callable[[], None]]] = deque()
        self._is_preparing = False

    @property
    def is_idle(self) -> bool:
        """Whether no step waits."""
        return not self._waiting

    def take(self, act: Callable[[], None], foresee: Foresee = nothing) -> None:
        """Takes a step when its turn comes, at once where none waits and nothing is to be foreseen.

        Args:
            act: the step, on the loop; it must be able to do without what was foreseen.
            foresee: is asked when all steps before it are taken.
        """
        self._waiting.append((foresee, act))
        self._go_on()

    def finish(self) -> None:
        """Takes all steps that wait, now and in their order."""
        while self._waiting:
            self._waiting.popleft()[1]()

    def _go_on(self) -> None:
        while self._waiting and not self._is_preparing:
            turn = self._waiting[0]
            try:
                work = turn[0]()
            except Exception:  # the step itself meets what is wrong, and tells
                work = None
            if work is None:
                self._waiting.popleft()
                turn[1]()
                continue
            self._is_preparing = True
            try:
                self._beside(work, lambda _value, _error, turn=turn: self._prepared(turn))  # type: ignore[misc]
            except Exception:  # it cannot be done beside: the step does without
                self._prepared(turn)

    def _prepared(self, turn: tuple[Foresee, Callable[[], None]]) -> None:
        """What a step needs is there, or failed, which the step itself will meet and tell."""
        self._is_preparing = False
        if self._waiting and self._waiting[0] is turn:  # else it was taken meanwhile, without
            self._waiting.popleft()
            turn[1]()
        self._go_on()
