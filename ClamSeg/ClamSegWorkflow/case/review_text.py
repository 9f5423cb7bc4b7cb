"""The review in words and figures: cells of the lesion table, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ClamSegLib.segmentation.finding import Search, finding_words
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.scene.geometry import transform_scale
from ClamSegWorkflow.words import tr as _

# A registration or a calibration; what rounding leaves of a turn is far below.
_SAME_SCALE = 0.005
_WORDS = {
    Decision.UNDECIDED: _("undecided"),
    Decision.ACCEPTED: _("accepted"),
    Decision.REJECTED: _("rejected"),
    Decision.EDITED: _("edited"),
    Decision.ADDED: _("added"),
}
# A sign beside the word, so that a state is told without colour.
_SIGNS = {
    Decision.UNDECIDED: "",
    Decision.ACCEPTED: "\u2713 ",
    Decision.REJECTED: "\u2717 ",
    Decision.EDITED: "\u270e ",
    Decision.ADDED: "+ ",
}


def decision_words(decision: Decision) -> str:
    """A decision with its sign."""
    return _SIGNS[decision] + _WORDS[decision]


def slices_words(row: LesionRow) -> str:
    """Slices as a person counts them, from 1."""
    first, last = row.first_slice + 1, row.last_slice + 1
    return str(first) if first == last else f"{first}\u2013{last}"


def size_words(row: LesionRow) -> str:
    """Volume and longest diameter, or pixels where no spacing is known."""
    if row.volume_ml is None:
        return f"{row.area_px} px"
    words = _ml_words(row.volume_ml)
    return words if row.longest_diameter_mm is None else f"{words}, {row.longest_diameter_mm:.0f} mm"


def diameters_words(row: LesionRow) -> str:
    """The longest diameter, the one across it, and their slice; '' where no spacing is known."""
    if row.longest_diameter_mm is None or row.perpendicular_diameter_mm is None or row.diameter_slice is None:
        return ""
    lengths = f"{row.longest_diameter_mm:.1f} \u00d7 {row.perpendicular_diameter_mm:.1f} mm"
    return _("{lengths}, slice {n}").format(lengths=lengths, n=row.diameter_slice + 1)


def _ml_words(volume_ml: float) -> str:
    return f"{volume_ml:.1f} ml" if volume_ml >= 1 else f"{volume_ml:.2f} ml"


def statistics_words(rows: Sequence[LesionRow]) -> str:
    """What stands and how much of it is decided; '' without lesions."""
    standing = [row for row in rows if row.decision is not Decision.REJECTED]
    if not standing:
        return ""
    counts = {decision: sum(row.decision is decision for row in rows) for decision in Decision}
    parts = [f"{counts[decision]} {_WORDS[decision]}" for decision in Decision if counts[decision]]
    known = all(row.volume_ml is not None for row in standing)
    total = (
        _ml_words(sum(row.volume_ml or 0.0 for row in standing))
        if known
        else f"{sum(row.area_px for row in standing)} px"
    )
    return _("{total} in all; {parts}").format(total=total, parts=", ".join(parts))


def sizes_words(volume: Any) -> str:
    """That ml and mm are those of the scan as it was acquired, where a parent transform would change them; '' else.

    The exported files lie in the scan's own frame and give the same figures.
    """
    scale = transform_scale(volume)
    if scale is None:
        return _("Sizes are those of the scan itself; its transform bends it, which is not in them.")
    if abs(scale - 1.0) <= _SAME_SCALE:
        return ""
    words = _("Sizes are those of the scan itself; its transform multiplies every volume by {scale:.2f}, not in them.")
    return words.format(scale=scale)


def summary_words(lesions: LesionList, search: Search) -> str:
    """How many lesions there are and how many of them are decided, rejected ones told apart, in one line."""
    rows = lesions.rows()
    rejected = sum(row.decision is Decision.REJECTED for row in rows)
    decided = sum(row.decision is not Decision.UNDECIDED for row in rows)
    return finding_words(search, len(rows), decided=decided, rejected=rejected)
