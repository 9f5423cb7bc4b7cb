"""Borders of lesions in the list: tighter, wider, without what hangs on a thin bridge, two merged, one split."""

from __future__ import annotations

from typing import Any

import numpy as np

from ClamSegWorkflow.case.click_outline import tissue_of_result
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.words import tr as _

WIDER, TIGHTER, CUT, SPLIT = "wider", "tighter", "cut", "split"
_STEPS = {
    WIDER: _("lesion {number} wider"), TIGHTER: _("lesion {number} tighter"), CUT: _("lesion {number} cut at a bridge"),
    SPLIT: _("lesion {number} split"),
}  # fmt: skip
_ROOM = 4  # voxels around a lesion that a step looks at


def refine(result: Any, number: int, how: str) -> int:
    """Changes the border of a lesion, as one step of the review.

    Args:
        how: WIDER, TIGHTER, CUT or SPLIT.

    Returns:
        The number of the lesion to look at: a new one where it was split.

    Raises:
        SceneError, InputError: the lesion was rejected, or there is nothing to be done in this way.
    """
    from dataclasses import replace

    from ClamSegLib.outlining import refine as borders

    result.take_over_edits()
    lesions = result.lesions
    row = lesions.row(number)
    _check_standing(row)
    part, start = lesions.lesion_mask(number)
    shape = result.record.shape
    box = tuple(
        slice(max(0, first - _ROOM), min(size, first + side + _ROOM))
        for first, side, size in zip(start, part.shape, shape, strict=True)
    )
    mask = np.zeros([side.stop - side.start for side in box], bool)
    own = tuple(
        slice(first - s.start, first - s.start + side) for first, s, side in zip(start, box, part.shape, strict=True)
    )
    mask[own] = part
    tissue = tissue_of_result(result)
    near = replace(tissue, array=tissue.array[box], organ=None if tissue.organ is None else tissue.organ[box])
    if how in (WIDER, TIGHTER):
        change = borders.wider if how == WIDER else borders.tighter
        masks = [change(mask, near) & ~_others(result, number, box)]
    elif how == CUT:
        masks = [borders.without_bridge(mask, near.spacing_mm)]
    else:
        masks = list(borders.split_in_two(mask, near.spacing_mm))
    condition = lesions.conditions.index(row.condition) + 1
    numbers = [number, lesions.free_number()]
    drawn = {each: (_whole(one, box, shape), condition) for each, one in zip(numbers, masks, strict=False)}
    lesions.redraw(_STEPS[how].format(number=number), drawn)
    result.write()
    return numbers[len(masks) - 1]


def merge(result: Any, number: int, other: int) -> None:
    """Two lesions of one condition become one, which keeps the first one's number, as one step.

    Raises:
        SceneError: they are of two conditions, or one was rejected.
    """
    result.take_over_edits()
    lesions = result.lesions
    rows = [lesions.row(each) for each in (number, other)]
    for row in rows:
        _check_standing(row)
    if number == other or rows[0].condition != rows[1].condition:
        raise SceneError(_("Choose two lesions of the same condition to merge."))
    shape = result.record.shape
    both = np.zeros(shape, bool)
    for each in (number, other):
        part, start = lesions.lesion_mask(each)
        both[tuple(slice(first, first + side) for first, side in zip(start, part.shape, strict=True))] |= part
    words = _("lesions {number} and {other} merged").format(number=number, other=other)
    lesions.redraw(words, {number: (both, lesions.conditions.index(rows[0].condition) + 1)}, gone=[other])
    result.write()


def nearest(result: Any, number: int) -> int | None:
    """The lesion of the same condition that lies nearest in mm, rejected ones left out; None where there is none."""
    row = result.lesions.row(number)
    matrix = result.record.matrix
    here = matrix @ [*row.centre_ijk, 1.0]
    others = [
        (float(np.linalg.norm(matrix @ [*other.centre_ijk, 1.0] - here)), other.number)
        for other in result.lesions.rows()
        if other.number != number and other.condition == row.condition and other.decision is not Decision.REJECTED
    ]
    return min(others)[1] if others else None


def _check_standing(row: Any) -> None:
    if row.decision is Decision.REJECTED:
        raise SceneError(_("Lesion {number} was rejected; make it undecided first.").format(number=row.number))


def _others(result: Any, number: int, box: tuple[slice, ...]) -> np.ndarray:
    """Voxels of all other lesions in a box; growing takes nothing from them."""
    taken = np.zeros([side.stop - side.start for side in box], bool)
    lesions = result.lesions
    for row in lesions.rows():
        if row.number == number or row.decision is Decision.REJECTED:
            continue
        part, start = lesions.lesion_mask(row.number)
        sides = [(max(s.start, f), min(s.stop, f + n)) for s, f, n in zip(box, start, part.shape, strict=True)]
        if all(low < high for low, high in sides):
            here = tuple(slice(low - s.start, high - s.start) for (low, high), s in zip(sides, box, strict=True))
            there = tuple(slice(low - f, high - f) for (low, high), f in zip(sides, start, strict=True))
            taken[here] |= part[there]
    return taken


def _whole(mask: np.ndarray, box: tuple[slice, ...], shape: tuple[int, ...]) -> np.ndarray:
    full = np.zeros(shape, bool)
    full[box] = mask
    return full
