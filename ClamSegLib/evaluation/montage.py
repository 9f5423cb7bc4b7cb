"""montage.png of an evaluation: the best, the middle and the worst slices, reference and result outlined.

Where no outline is known, boxes serve, and where there are none, the highest and lowest scores of diseased slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.evaluation.scoreboard import SliceFigures
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.system.words import in_picture

_COLUMNS = 5
_REFERENCE, _RESULT = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0)
OUTLINES, BOXES, LABELS = "Dice", "share of the map in the box", "score"
_WORDS = {
    OUTLINES: "green: reference, orange: result",
    BOXES: "green: reference boxes, orange: result, cross: highest point of the map",
    LABELS: "diseased slices, no outline known; orange: result, cross: highest point of the map",
}


@dataclass(frozen=True)
class Picture:
    """What is drawn of a slice.

    Attributes:
        grey: (row, column) values.
        found: what the model marks.
        highest: row and column of the highest point of the map; None where the map is 0 everywhere.
        reference: outline or filled boxes; empty where only the label is known.
    """

    grey: NDArray[np.float16]
    found: NDArray[np.bool_]
    highest: tuple[int, int] | None
    reference: NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """A slice to look at.

    Attributes:
        measure: OUTLINES, BOXES or LABELS: what it is ordered by.
        figure: its value of that.
        picture: None until it is chosen, where another process has it.
        place: the part of the evaluation that it is of, and which example of that part.
    """

    measure: str
    figure: float
    name: str
    picture: Picture | None
    place: tuple[int, int] = (0, 0)


def example_of(
    figures: SliceFigures,
    name: str,
    grey: NDArray[np.float32],
    map_: NDArray[np.uint8],
    found: NDArray[np.bool_],
    reference: NDArray[np.bool_] | None,
    boxes: NDArray[np.bool_] | None,
) -> Example | None:
    """The slice as an example; None for normal ones.

    Args:
        figures: of the slice.
        grey: (row, column) values to show.
        map_: the model's map inside the organ.
        found: what it marks.
        reference: outline, or None where unknown.
        boxes: filled reference boxes, or None.
    """
    row, column = (int(v) for v in np.unravel_index(int(map_.argmax()), map_.shape))
    if figures.dice is not None and reference is not None:
        measure, figure, shown = OUTLINES, figures.dice, reference
    elif figures.energy_in_box is not None and boxes is not None:
        measure, figure, shown = BOXES, figures.energy_in_box, boxes
    elif figures.diseased and reference is None:
        measure, figure, shown = LABELS, figures.score, np.zeros(map_.shape, bool)
    else:
        return None
    highest = (row, column) if map_.any() else None
    return Example(measure, figure, name, Picture(grey.astype(np.float16), found, highest, shown))


def chosen_examples(examples: list[Example]) -> list[tuple[str, list[Example]]]:
    """The best, middle and worst, up to five each, of those with the best known reference."""
    known = next((m for m in (OUTLINES, BOXES, LABELS) if any(e.measure == m for e in examples)), OUTLINES)
    ordered = sorted((e for e in examples if e.measure == known), key=lambda e: e.figure)
    n = min(_COLUMNS, len(ordered))
    middle = max(0, len(ordered) // 2 - n // 2)
    return [("best", ordered[::-1][:n]), ("middle", ordered[middle : middle + n]), ("worst", ordered[:n])]


def write_montage(path: Path, rows: list[tuple[str, list[Example]]], config: ModelConfig) -> None:
    """Writes the montage of `chosen_examples`; without diseased slices a page that says so."""
    figure = Figure(figsize=(3 * _COLUMNS, 9.8), facecolor="#101214", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(3, _COLUMNS)
    for axes in grid.ravel():
        axes.set_axis_off()
    for line, (word, members) in zip(grid, rows, strict=True):
        for axes, example in zip(line, members, strict=False):
            if example.picture is not None:
                _draw(axes, example.picture, example.measure)
            title = f"{word}: {example.measure} {example.figure:.2f}\n{example.name[-34:]}"
            axes.set_title(title, color="#e8e8e8", fontsize=8)
    words = _WORDS[rows[0][1][0].measure] if rows[0][1] else "no slice of this split is diseased"
    figure.suptitle(in_picture(f"{config.name}: {words}"), color="#e8e8e8", fontsize=12)
    figure.supxlabel(RESEARCH_ONLY, color="#9aa0a6", fontsize=9)
    figure.savefig(path, dpi=80, facecolor="#101214")


def _draw(axes: Any, picture: Picture, measure: str) -> None:
    values = picture.grey.astype(np.float32)
    low, high = np.percentile(values, [1, 99.5])
    axes.imshow(values, cmap="gray", vmin=low, vmax=max(high, low + 1e-3))
    for mask, colour in ((picture.reference, _REFERENCE), (picture.found, _RESULT)):
        if mask.any() and not mask.all():
            axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.2)
    if measure != OUTLINES and picture.highest is not None:
        axes.plot(*picture.highest[::-1], "+", color=_RESULT, markersize=11)
