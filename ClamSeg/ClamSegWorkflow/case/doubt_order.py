"""The order of doubt: the undecided lesion that most needs a reader's eyes comes first."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ClamSegWorkflow.case.lesion_row import Decision, LesionRow


def by_doubt(rows: Sequence[LesionRow]) -> list[int]:
    """Numbers of the undecided lesions, the most doubtful first, equal ones by number."""
    waiting = [row for row in rows if row.decision is Decision.UNDECIDED]
    return [row.number for row in sorted(waiting, key=lambda row: (-row.mean_doubt, row.number))]


def next_by_doubt(rows: Sequence[LesionRow], after: int | None) -> int | None:
    """The most doubtful undecided lesion, or the next one where that is looked at already; None where all are decided."""
    order = by_doubt(rows)
    if not order:
        return None
    return order[(order.index(after) + 1) % len(order)] if after in order else order[0]


class DoubtOrder:
    """A reader's way through the order of doubt; a lesion that was chosen in any other way begins it anew."""

    def __init__(self) -> None:
        self._lesions: weakref.ref[Any] | None = None
        self._number: int | None = None

    def following(self, lesions: Any, chosen: int | None) -> int | None:
        """The most doubtful undecided lesion, or the next one where the chosen one was reached by this order.

        Args:
            lesions: `LesionList` under review.
            chosen: number of the lesion that is looked at.

        Returns:
            Its number, None where all are decided.
        """
        is_on_the_way = self._lesions is not None and self._lesions() is lesions and chosen == self._number
        self._lesions = weakref.ref(lesions)
        self._number = next_by_doubt(lesions.rows(), chosen if is_on_the_way else None)
        return self._number
