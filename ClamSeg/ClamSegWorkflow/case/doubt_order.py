"""The order of doubt: the undecided lesion that most needs a reader's eyes comes first."""

from __future__ import annotations

from collections.abc import Sequence

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
