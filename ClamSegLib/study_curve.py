"""What corrected slices bring: figures of fine-tuned models over the number of corrections, as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ClamSegLib.outputs import whole_file
from ClamSegLib.study_file import Study, StudyRow

FIGURES = {"dice": "Dice at the mask-free threshold", "pixel_ap": "pixel AP"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def correction_curves(study: Study, lines: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Lines of the table that differ in nothing but the corrected slices, by what they share.

    Args:
        study: whose rows say how each model was made.
        lines: of `study_table.table_lines`; baselines are left out.

    Returns:
        Title of a curve -> (corrected slices, line) in rising order; curves of one point are left out.
    """
    curves: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    rows = {row.name: row for row in study.rows}
    for line in lines:
        row = rows.get(line["name"])
        if row is not None and study.trained(row).start and row.level is None and not row.head_weights:
            curves.setdefault(_title(study, row), []).append((study.trained(row).corrected, line))
    return {title: sorted(points, key=lambda p: p[0]) for title, points in curves.items() if len(points) > 1}


def _title(study: Study, row: StudyRow) -> str:
    trained = study.trained(row)
    own = "" if not trained.training else f", {json.dumps(trained.training)}"
    maps = "" if row.refined else ", maps not sharpened"
    return f"{trained.start} fine-tuned on {trained.learns_from or 'all'}, judged on {row.judged_on}{own}{maps}"


def write_correction_curves(study: Study, lines: Sequence[dict[str, Any]], output: Path) -> None:
    """Writes corrections.png where rows of the study form a curve; rows without a start are drawn as levels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = correction_curves(study, lines)
    if not curves:
        return
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (key, title) in zip(figure.subplots(1, 2, sharex=True), FIGURES.items(), strict=True):
        for colour, (name, points) in zip(_COLOURS * len(curves), curves.items(), strict=False):
            known = [(n, line) for n, line in points if line[key] is not None]
            axes.plot([n for n, _ in known], [line[key] for _, line in known], "o-", color=colour, label=name)
            for n, line in known:
                if key == "dice" and line["dice_low"] is not None:
                    axes.plot([n, n], [line["dice_low"], line["dice_high"]], color=colour, alpha=0.3, lw=4)
        _draw_levels(axes, study, lines, key, {points[0][1]["judged_on"] for points in curves.values()})
        axes.set_xlabel("corrected slices")
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, fontsize=7, loc="outside lower center")
    with whole_file(output / "corrections.png") as path:
        figure.savefig(path, dpi=110)


def _draw_levels(axes: Any, study: Study, lines: Sequence[dict[str, Any]], key: str, judged_on: set[str]) -> None:
    """Models that no fine-tuning made, judged where the curves are: dashed, with their names."""
    rows = {row.name: row for row in study.rows}
    for line in lines:
        row = rows.get(line["name"])
        if (
            row is None
            or not row.refined
            or study.trained(row).start
            or line["judged_on"] not in judged_on
            or line[key] is None
        ):
            continue
        axes.axhline(line[key], color="#777777", lw=0.8, ls="--")
        axes.annotate(f"{row.name} ({row.judged_on})", (0.99, line[key]), xycoords=("axes fraction", "data"),
                      ha="right", va="bottom", fontsize=6, color="#555555")  # fmt: skip
