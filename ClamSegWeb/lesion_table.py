"""The lesion table of the page: its lines, their order and which of them are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.review_text import decision_words, size_words, slices_words
from ClamSegWorkflow.case.table_view import TableView, neighbour, next_undecided


class LesionTable:
    """Lines of the lesions under review.

    Args:
        state: the page's.
    """

    def __init__(self, state: Any) -> None:
        self._state = state
        self._view = TableView()
        self._all: list[LesionRow] = []
        self._names: Mapping[str, str] = {}
        state.update(
            {
                "lesion_rows": [], "lesion_number": 0, "lesions_hidden": 0, "lesions_waiting": 0,
                "sorted_by": self._view.column, "sorted_down": False, "undecided_only": False, "smallest_shown": 0,
            }
        )  # fmt: skip
        state.change("undecided_only", "smallest_shown")(self._filter)

    def fill(self, rows: list[LesionRow], names: Mapping[str, str]) -> None:
        """Shows these lesions.

        Args:
            names: of every condition, by its id.
        """
        self._all, self._names = rows, names
        if all(row.number != self._state.lesion_number for row in rows):
            self._state.lesion_number = 0
        self._show()

    def shown(self) -> list[LesionRow]:
        """The lines as the reader sees them."""
        return self._view.rows(self._all)

    def sort(self, column: str) -> None:
        """A click on a column's head."""
        self._view = self._view.sorted_by(column)
        self._show()

    def neighbour(self, step: int) -> int | None:
        """The lesion so many lines below the chosen one, above where negative."""
        return neighbour(self.shown(), int(self._state.lesion_number or 0), step)

    def next_undecided(self, before: list[LesionRow], number: int) -> int | None:
        """Where a decision leads to; `before` are the lines at the moment of the decision."""
        return next_undecided(before, self.shown(), number)

    def smallest_shown(self) -> float:
        """ml, or pixels where no spacing is known; 0 where the field is empty or holds no number."""
        try:
            return max(0.0, float(self._state.smallest_shown or 0))
        except (TypeError, ValueError):
            return 0.0

    def _filter(self, **_state: Any) -> None:
        self._view = replace(self._view, undecided_only=bool(self._state.undecided_only), minimum=self.smallest_shown())
        self._show()

    def _show(self) -> None:
        shown, state = self.shown(), self._state
        state.lesion_rows = [_cells(row, self._names) for row in shown]
        state.lesions_hidden = len(self._all) - len(shown)
        state.lesions_waiting = sum(row.decision is Decision.UNDECIDED for row in self._all)
        state.sorted_by, state.sorted_down = self._view.column, self._view.descending


def _cells(row: LesionRow, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "number": row.number,
        "condition": names[row.condition],
        "slices": slices_words(row),
        "size": size_words(row),
        "probability": f"{row.mean_probability:.2f}",
        "doubt": f"{row.mean_doubt:.2f}",
        "decision": decision_words(row.decision),
        "state": row.decision.value,
    }
