"""montage.png of an evaluation: the best, the middle and the worst slices, reference and result outlined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.config import ModelConfig

_COLUMNS = 5
_REFERENCE, _RESULT = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0)


@dataclass(frozen=True)
class Example:
    """A slice with an outline: its Dice, name, grey values, result and reference."""

    dice: float
    name: str
    grey: NDArray[np.float16]
    found: NDArray[np.bool_]
    reference: NDArray[np.bool_]


def chosen_examples(examples: list[Example]) -> list[tuple[str, list[Example]]]:
    """The best, middle and worst by Dice, up to five each."""
    ordered = sorted(examples, key=lambda e: e.dice)
    n = min(_COLUMNS, len(ordered))
    middle = max(0, len(ordered) // 2 - n // 2)
    return [("best", ordered[::-1][:n]), ("middle", ordered[middle : middle + n]), ("worst", ordered[:n])]


def write_montage(path: Path, examples: list[Example], config: ModelConfig) -> None:
    """Writes the montage; without outlined slices a page that says so."""
    figure = Figure(figsize=(3 * _COLUMNS, 9.8), facecolor="#101214", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(3, _COLUMNS)
    for axes in grid.ravel():
        axes.set_axis_off()
    for line, (word, members) in zip(grid, chosen_examples(examples), strict=True):
        for axes, example in zip(line, members, strict=False):
            values = example.grey.astype(np.float32)
            low, high = np.percentile(values, [1, 99.5])
            axes.imshow(values, cmap="gray", vmin=low, vmax=max(high, low + 1e-3))
            for mask, colour in ((example.reference, _REFERENCE), (example.found, _RESULT)):
                if mask.any() and not mask.all():
                    axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.2)
            axes.set_title(f"{word}: Dice {example.dice:.2f}\n{example.name[-34:]}", color="#e8e8e8", fontsize=8)
    words = "green: reference, orange: result" if examples else "no slice of this split has an outline to compare with"
    figure.suptitle(f"{config.name}: {words}", color="#e8e8e8", fontsize=12)
    figure.supxlabel(RESEARCH_ONLY, color="#9aa0a6", fontsize=9)
    figure.savefig(path, dpi=80, facecolor="#101214")
