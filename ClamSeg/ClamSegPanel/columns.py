"""Widths of a table's columns: each as wide as its words, one gives way, so that none lies beyond the edge."""

from __future__ import annotations

from typing import Any

import qt


def let_give_way(table: Any, elastic: int) -> None:
    """Keeps every column in sight, however narrow the panel is: one of them takes the rest, shortened with dots.

    Args:
        table: has its columns already.
        elastic: the column that gives way; its cells should have a tooltip with all their words.
    """
    header = table.horizontalHeader()
    header.setStretchLastSection(False)
    for column in range(table.columnCount):
        header.setSectionResizeMode(
            column, qt.QHeaderView.Stretch if column == elastic else qt.QHeaderView.ResizeToContents
        )
