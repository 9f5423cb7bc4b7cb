"""Curves of a training as a small drawing (SVG) in the page's own markup."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

# Okabe and Ito: stay apart for colour-blind eyes, on a dark ground.
_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 340, 130, 34, 18


def curve_picture(curves: Mapping[str, Any]) -> str:
    """One chart above the other: those that have a point.

    Args:
        curves: by name, with `x` and `y`: values by name, NaN where there is none.
    """
    return "".join(_chart(curve) for curve in curves.values() if curve.x and curve.y)


def _chart(curve: Any) -> str:
    known = [value for values in curve.y.values() for value in values if math.isfinite(value)]
    if not known:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    last = max(curve.x[-1], 1.0)

    def place(x: float, y: float) -> str:
        across = _LEFT + (_WIDTH - _LEFT - 6) * x / last
        down = 6 + (_HEIGHT - _BOTTOM - 6) * (1 - (y - low) / span)
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="{html.escape(", ".join(curve.y))}" style="display:block">',
        f'<path d="M{_LEFT} 6V{_HEIGHT - _BOTTOM}H{_WIDTH - 6}" stroke="#889" fill="none"/>',
        _text(0, 12, f"{high:.2f}"), _text(0, _HEIGHT - _BOTTOM, f"{low:.2f}"),
        _text(_WIDTH - 60, _HEIGHT - 4, f"step {last:.0f}"),
    ]  # fmt: skip
    for number, values in enumerate(curve.y.values()):
        points = [place(x, y) for x, y in zip(curve.x, values, strict=True) if math.isfinite(y)]
        colour = _COLOURS[number % len(_COLOURS)]
        if len(points) == 1:
            across, down = points[0].split(",")
            parts.append(f'<circle cx="{across}" cy="{down}" r="2.5" fill="{colour}"/>')
        elif points:
            parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    parts.append("</svg>")
    keys = "".join(
        f'<span style="color:{_COLOURS[n % len(_COLOURS)]}">&#9632; {html.escape(name)}</span> '
        for n, name in enumerate(curve.y)
    )
    return "".join(parts) + f'<div style="font-size:12px">{keys}</div>'


def _text(across: int, down: int, words: str) -> str:
    return f'<text x="{across}" y="{down}" fill="#ccd" font-size="10">{html.escape(words)}</text>'
