"""Which lesions the table shows and in which order; the review itself is untouched by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.words import tr as _

NUMBER, SLICES, SIZE, PROBABILITY, DOUBT, DECISION = "number", "slices", "size", "probability", "doubt", "decision"
COLUMNS = (NUMBER, SLICES, SIZE, PROBABILITY, DOUBT, DECISION)
# A first click on these puts the largest on top: what a reader looks at first.
_LARGEST_FIRST = (SIZE, PROBABILITY, DOUBT)
_DECISIONS = tuple(Decision)


def size_of(row: LesionRow) -> float:
    """ml, or pixels where no spacing is known."""
    return float(row.area_px) if row.volume_ml is None else row.volume_ml


_VALUES: dict[str, Callable[[LesionRow], float]] = {
    NUMBER: lambda row: row.number, SLICES: lambda row: row.first_slice, SIZE: size_of,
    PROBABILITY: lambda row: row.mean_probability, DOUBT: lambda row: row.mean_doubt,
    DECISION: lambda row: _DECISIONS.index(row.decision),
}  # fmt: skip


@dataclass(frozen=True)
class TableView:
    """Order and filters.

    Attributes:
        column: what the lines are sorted by, one of `COLUMNS`.
        descending: the largest first.
        undecided_only: decided lesions are left out.
        minimum: ml, or pixels where no spacing is known; smaller lesions are left out.
    """

    column: str = NUMBER
    descending: bool = False
    undecided_only: bool = False
    minimum: float = 0.0

    def sorted_by(self, column: str) -> TableView:
        """After a click on a column's head; a second click turns the order round.

        Raises:
            ValueError: no such column.
        """
        if column not in COLUMNS:
            raise ValueError(
                _("{column} is no column of the table; there are {columns}").format(
                    column=column, columns=", ".join(COLUMNS)
                )
            )
        if column == self.column:
            return replace(self, descending=not self.descending)
        return replace(self, column=column, descending=column in _LARGEST_FIRST)

    def rows(self, rows: Sequence[LesionRow]) -> list[LesionRow]:
        """The lines as they are shown; equal ones by number."""
        shown = [row for row in rows if size_of(row) >= self.minimum]
        if self.undecided_only:
            shown = [row for row in shown if row.decision is Decision.UNDECIDED]
        shown.sort(key=lambda row: row.number)
        return sorted(shown, key=_VALUES[self.column], reverse=self.descending)


def neighbour(shown: Sequence[LesionRow], number: int, step: int) -> int | None:
    """The lesion `step` lines below (above where negative), stopping at the ends; None in an empty table."""
    numbers = [row.number for row in shown]
    if not numbers:
        return None
    if number not in numbers:
        return numbers[0] if step > 0 else numbers[-1]
    return numbers[min(max(numbers.index(number) + step, 0), len(numbers) - 1)]


def next_undecided(before: Sequence[LesionRow], after: Sequence[LesionRow], number: int) -> int | None:
    """The undecided lesion that follows a decision, in the order of the table; from the top again after the last one.

    Args:
        before: lines as they were shown when the reader decided; a filter may have taken the decided one away since.
        after: lines as they are shown now.
        number: of the lesion that was decided.
    """
    waiting = [row.number for row in after if row.decision is Decision.UNDECIDED]
    order = [row.number for row in before]
    below = order[order.index(number) + 1 :] if number in order else []
    return next((each for each in below if each in waiting), waiting[0] if waiting else None)
