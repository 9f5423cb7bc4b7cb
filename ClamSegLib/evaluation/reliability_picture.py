"""reliability.png of an evaluation: risk against coverage for the signs of doubt, and P_L against the share of lesion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.evaluation.reliability import DISAGREEMENT, DOUBT, Reliability
from ClamSegLib.system.words import in_picture

_COLOURS = {DOUBT: "#0072b2", DISAGREEMENT: "#d55e00"}
_WORDS = {DOUBT: "P_L near 0.5 first", DISAGREEMENT: "disagreement of the branches first"}
_BINS = 10


def write_reliability(path: Path, reliability: Reliability, name: str) -> None:
    """Writes the picture of one model; its pixels must have known outlines."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    whole, predicted, chance = figure.subplots(1, 3)
    for axes, predicted_only, words in (
        (whole, False, "all pixels of the organ"),
        (predicted, True, "predicted pixels"),
    ):
        for sign, curve in reliability.curves(predicted_only).items():
            axes.plot(curve.coverage, curve.risk, color=_COLOURS[sign], label=_WORDS[sign])
        axes.set_title(f"given away: {words}", fontsize=10)
        axes.set_xlabel("share kept")
        axes.set_ylabel("wrong among those kept")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
    chance.plot([0, 1], [0, 1], color="#999999", lw=1)
    for calibrated, colour, words in ((False, "#0072b2", "P_L"), (True, "#009e73", "after image labels")):
        told = reliability.predicted_and_observed(calibrated)
        if told is not None:
            chance.plot(*_binned(*told), "o-", color=colour, label=words)
    chance.set_title("what it says, and the share of lesion", fontsize=10)
    chance.set_xlabel("told")
    chance.set_ylabel("true")
    chance.legend(frameon=False, fontsize=8)
    figure.suptitle(in_picture(name))
    figure.supxlabel(RESEARCH_ONLY, color="#666666", fontsize=8)
    figure.savefig(path, dpi=90)


def _binned(
    told: NDArray[np.float64], lesion: NDArray[np.float64], every: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean told chance and true share of each bin that holds anything."""
    bins = np.minimum(np.floor(told * _BINS + 1e-9).astype(int), _BINS - 1)
    counts = np.bincount(bins, every, minlength=_BINS)
    shown = counts > 0
    means = np.bincount(bins, told * every, minlength=_BINS)[shown] / counts[shown]
    return means, np.bincount(bins, lesion, minlength=_BINS)[shown] / counts[shown]
