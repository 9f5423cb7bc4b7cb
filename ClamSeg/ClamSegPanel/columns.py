"""Widths of a table's columns: each as wide as its words, the last one takes the rest."""

from __future__ import annotations

from typing import Any


def fit_columns(table: Any) -> None:
    """Fits all columns but the last; `resizeColumnsToContents` would narrow that one, too."""
    for column in range(table.columnCount - 1):
        table.resizeColumnToContents(column)
