"""Whether an outline of the lungs in a frontal X-ray can be one: its size, its upper edge, and its two halves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.model.config import ModelConfig

# Beyond what 113 outlines by people show (COVID-19 image data collection): they fill 20 to 61 % of the picture, and less of
# wide pictures of lying patients; begin 0 to 27 % down, the smaller side has 61 % or more of the larger, and the two begin within 6 % of the height.
_SHARE = (0.12, 0.65)
_LOWEST_TOP = 0.30
_LEAST_BALANCE = 0.55
_MOST_SLANT = 0.10
_CURE = "draw the outline or give a mask, or let the whole picture be searched"


def doubt_of_outline(mask: NDArray[np.bool_], config: ModelConfig) -> str:
    """What is wrong with what an organ model outlined (slice, row, column); '' for what is not the lungs of an X-ray."""
    return doubt_of_lungs(mask[0]) if config.modality == "XR" and config.organ.name == "lungs" else ""


def doubt_of_lungs(mask: NDArray[np.bool_]) -> str:
    """What is wrong with an outline (row, column), and what to do; '' when nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return f"no lungs were found: {_CURE}"
    height = mask.shape[0]
    middle = int(columns[0] + columns[-1] + 1) // 2
    sides = mask[:, :middle], mask[:, middle:]
    sizes = sorted(int(np.count_nonzero(side)) for side in sides)
    tops = [int(np.argmax(side.any(axis=1))) for side in sides]
    found = []
    share = float(mask.mean())
    if not _SHARE[0] <= share <= _SHARE[1]:
        found.append(f"they fill {share:.0%} of the picture ({_SHARE[0]:.0%} to {_SHARE[1]:.0%} expected)")
    if rows[0] > _LOWEST_TOP * height:
        found.append(f"they begin {rows[0] / height:.0%} down the picture")
    if sizes[0] < _LEAST_BALANCE * sizes[1]:
        found.append(f"one side is {sizes[0] / sizes[1]:.0%} of the other")
    elif abs(tops[0] - tops[1]) > _MOST_SLANT * height:
        found.append("one side begins far below the other")
    if not found:
        return ""
    return f"a part of the lungs is perhaps missed: {' and '.join(found)}; {_CURE}"
