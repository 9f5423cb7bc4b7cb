"""What corrected slices bring: figures of fine-tuned models over the number of corrections, as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ClamSegLib.experiments.study_file import Study, StudyRow
from ClamSegLib.system.atomic_output import whole_file

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
    return f"{_setting(study, row)}, judged on {row.eval_split}"


def _setting(study: Study, row: StudyRow) -> str:
    """How the models of a curve were made and are decoded, whatever they are judged on."""
    trained = study.trained(row)
    own = "".join(f", {name} {value}" for name, value in trained.training.items())
    return f"{trained.start} fine-tuned on {trained.train_group or 'all'}{own}"


def write_correction_curves(study: Study, lines: Sequence[dict[str, Any]], output: Path) -> None:
    """Writes corrections.png where rows of the study form a curve: a column for each group of patients judged on.

    Dashed in a curve's colour is its starting model as it is; dotted are models from scratch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = correction_curves(study, lines)
    if not curves:
        return
    groups = list(dict.fromkeys(points[0][1]["eval_split"] for points in curves.values()))
    settings = list(dict.fromkeys(_setting(study, study.row(points[0][1]["name"])) for points in curves.values()))
    colours = {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(settings)}
    figure = Figure(figsize=(3.4 * len(groups) + 1, 5.6 + 0.2 * len(settings)), layout="constrained")
    FigureCanvasAgg(figure)
    for places, (key, title) in zip(
        figure.subplots(2, len(groups), sharex=True, squeeze=False), FIGURES.items(), strict=True
    ):
        for axes, group in zip(places, groups, strict=True):
            here = {
                _setting(study, study.row(p[0][1]["name"])): p
                for p in curves.values()
                if p[0][1]["eval_split"] == group
            }
            for name, points in here.items():
                _draw_curve(axes, points, key, colours[name], name)
            starts: dict[str, str] = {}
            for name, points in here.items():
                starts.setdefault(study.trained(study.row(points[0][1]["name"])).start, colours[name])
            _draw_levels(axes, study, [line for line in lines if line["eval_split"] == group], key, starts)
            axes.set_title(f"judged on {group}", fontsize=9)
            axes.grid(alpha=0.3)
        places[0].set_ylabel(title)
    for axes in figure.axes[-len(groups) :]:
        axes.set_xlabel("corrected slices")
    named: dict[str, Any] = {}
    for axes in figure.axes:
        named |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(named.values(), named.keys(), frameon=False, fontsize=7, loc="outside lower center")
    with whole_file(output / "corrections.png") as path:
        figure.savefig(path, dpi=110)


def _draw_curve(axes: Any, points: list[tuple[int, dict[str, Any]]], key: str, colour: str, name: str) -> None:
    known = [(n, line) for n, line in points if line[key] is not None]
    axes.plot([n for n, _ in known], [line[key] for _, line in known], "o-", color=colour, label=name)
    for n, line in known:
        if key == "dice" and line["dice_low"] is not None:
            axes.plot([n, n], [line["dice_low"], line["dice_high"]], color=colour, alpha=0.2, lw=4)


def _draw_levels(axes: Any, study: Study, lines: Sequence[dict[str, Any]], key: str, starts: dict[str, str]) -> None:
    """Starting models as they are, dashed in the colour of their curve, and models from scratch, dotted and named."""
    rows = {row.name: row for row in study.rows}
    for line in lines:
        row = rows.get(line["name"])
        if row is None or study.trained(row).start or line[key] is None:
            continue
        own = study.trained(row).name
        if own in starts:
            axes.axhline(line[key], color=starts[own], lw=1, ls="--")
            continue
        axes.axhline(line[key], color="#777777", lw=0.8, ls=":")
        axes.annotate(own, (0.99, line[key]), xycoords=("axes fraction", "data"),
                      ha="right", va="bottom", fontsize=6, color="#555555")  # fmt: skip
