"""The Tab key goes through the panel from top to bottom: tables do not catch it, no list is left out."""

from __future__ import annotations

from typing import Any

import qt


def order_tabs(ui: Any) -> None:
    """Makes every part of the panel reachable without a mouse.

    In a table the arrows move between the cells; Tab, which would walk through them for ever, leaves it. Our own tables
    say so in the .ui; the one inside Slicer's view of segments can be told only here.
    """
    ui.segmentsTable.tableWidget().tabKeyNavigation = False
    volume, more = (_list_of(selector) for selector in (ui.volumeSelector, ui.batchSelector))
    if volume is not None and more is not None:
        more.setFocusPolicy(qt.Qt.StrongFocus)
        qt.QWidget.setTabOrder(volume, more)


def _list_of(selector: Any) -> Any:
    """The combo box inside Slicer's selector of nodes, which has the focus in its place."""
    return next((child for child in selector.children() if child.inherits("QComboBox")), None)
