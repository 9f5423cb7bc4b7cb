"""The steps of a review: each with its name, taken back one by one and done again."""

from __future__ import annotations

from typing import Generic, TypeVar

Moment = TypeVar("Moment")
_MOST_STEPS = 50


class ReviewSteps(Generic[Moment]):
    """Undo and redo. What a moment holds is for the owner to say.

    Attributes:
        revision: names the state that stands; after undo it is the number of the state before, so that what was exported
            once is known again.
    """

    def __init__(self) -> None:
        self._back: list[tuple[str, int, Moment]] = []
        self._forth: list[tuple[str, int, Moment]] = []
        self._latest = 0
        self.revision = 0

    @property
    def undo_words(self) -> str:
        """Name of the step that undo takes back, '' where there is none."""
        return self._back[-1][0] if self._back else ""

    @property
    def redo_words(self) -> str:
        """Name of the step that redo does again, '' where there is none."""
        return self._forth[-1][0] if self._forth else ""

    @property
    def before(self) -> Moment | None:
        """The moment that undo would bring back."""
        return self._back[-1][2] if self._back else None

    @property
    def after(self) -> Moment | None:
        """The moment that redo would bring back."""
        return self._forth[-1][2] if self._forth else None

    def add(self, words: str, before: Moment) -> None:
        """A new step begins; what was taken back before it is gone for good.

        Args:
            words: its name, such as 'lesion 3 accepted'.
            before: what undo brings back.
        """
        self._back.append((words, self.revision, before))
        del self._back[:-_MOST_STEPS]
        self._forth.clear()
        self._latest += 1
        self.revision = self._latest

    def undo(self, now: Moment) -> Moment | None:
        """The moment before the last step; None where there is none."""
        return self._go(self._back, self._forth, now)

    def redo(self, now: Moment) -> Moment | None:
        """The moment after the step taken back last; None where there is none."""
        return self._go(self._forth, self._back, now)

    def clear(self) -> None:
        """Nothing can be taken back; what stands is a new state."""
        self._back.clear()
        self._forth.clear()
        self._latest += 1
        self.revision = self._latest

    def _go(
        self, taken: list[tuple[str, int, Moment]], kept: list[tuple[str, int, Moment]], now: Moment
    ) -> Moment | None:
        if not taken:
            return None
        words, revision, moment = taken.pop()
        kept.append((words, self.revision, now))
        self.revision = revision
        return moment
