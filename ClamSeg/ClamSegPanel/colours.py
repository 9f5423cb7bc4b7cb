"""Colours of words that warn: legible on the light and on the dark style of Slicer, and apart for colour-blind eyes.

The words say the same: a colour never tells anything alone.
"""

from __future__ import annotations

from typing import Any

import qt

# Each has a contrast of at least 4.5 to 1 on its ground (WCAG 2, level AA).
_ON_LIGHT = {"refused": "#b00020", "warning": "#a04000"}
_ON_DARK = {"refused": "#ff8a8a", "warning": "#ffb070"}
_DARK_BELOW = 128


def colour_of(severity: str, widget: Any) -> str:
    """The colour of words on this widget; '' where they are no warning.

    Args:
        severity: 'refused', 'warning', or anything else.
        widget: whose palette says whether its ground is dark.
    """
    is_dark = widget.palette.color(qt.QPalette.Window).lightness() < _DARK_BELOW
    return (_ON_DARK if is_dark else _ON_LIGHT).get(severity, "")


def say(label: Any, text: str, severity: str = "ok") -> None:
    """Puts words into a label, coloured where they warn."""
    label.text = text
    colour = colour_of(severity, label)
    label.styleSheet = f"color: {colour}" if colour else ""


def paint(item: Any, severity: str, table: Any) -> None:
    """Colours a cell of a table where its words warn."""
    colour = colour_of(severity, table)
    if colour:
        item.setForeground(qt.QBrush(qt.QColor(colour)))
