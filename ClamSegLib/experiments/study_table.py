"""The table of a study, for people (Markdown) and for programs (CSV)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.experiments.correction_curve import write_correction_curves
from ClamSegLib.experiments.study_file import Study
from ClamSegLib.metrics import rank_correlation
from ClamSegLib.system.atomic_output import whole_file

_FEWEST_FOR_A_RANK = 5
# Key of the CSV, title in Markdown.
_COLUMNS = {
    "name": "row",
    "description": "what it shows",
    "eval_split": "judged on",
    "dice": "Dice",
    "dice_low": "",
    "dice_high": "",
    "dice_of_ceiling": "of ceiling",
    "best_dice_oracle": "best Dice (oracle)",
    "pixel_ap": "pixel AP",
    "ap_of_ceiling": "of ceiling",
    "slice_auc": "slice AUC",
    "false_positive_area": "false-positive area",
    "volume_dice": "Dice per volume",
    "lesion_sensitivity": "lesions found",
    "criterion": "criterion",
    "seed": "seed",
    "minutes": "minutes",
    "date": "date",
}
_SHARES = ("dice_of_ceiling", "ap_of_ceiling", "lesion_sensitivity")


def _value(figure: Any) -> float | None:
    """The number of a figure of `evaluate`, which may carry its interval and count."""
    return figure.get("value") if isinstance(figure, dict) else figure


def table_lines(study: Study, finished: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One dictionary of `_COLUMNS` per finished row and per baseline; None where there is no figure."""
    lines = []
    for row in finished:
        lines.append(_line(row, row["figures"], row["name"], row["description"]))
        for baseline in row["baselines"]:
            line = _line(row, baseline, baseline["name"], f"baseline beside {row['name']}")
            lines.append({**line, "criterion": None, "seed": None, "minutes": None})
    # The ceiling's own figures on each split it is judged on, by itself or by rows 'of' it.
    otherwise = ("level", "head_weights", "neighbours", "slice_smoothing")
    whole = [r for r in finished if study.ceiling in (r["name"], r["of"]) and not any(r.get(way) for way in otherwise)]
    names = {row["name"] for row in whole} if study.ceiling else set()
    ceiling = {line["eval_split"]: line for line in lines if line["name"] in names}
    for line in lines:
        top = ceiling.get(line["eval_split"])
        for share, figure in (("dice_of_ceiling", "dice"), ("ap_of_ceiling", "pixel_ap")):
            known = top is not None and top[figure] and line[figure] is not None
            line[share] = line[figure] / top[figure] if known and top is not None else None
    return lines


def _line(row: dict[str, Any], figures: dict[str, Any], name: str, description: str) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(_COLUMNS)
    line |= {key: _value(figures.get(key)) for key in _COLUMNS if key in figures}
    interval = (figures.get("dice") or {}).get("interval_95") or (None, None)
    line |= {
        "name": name,
        "description": description,
        "eval_split": row["eval_split"],
        "date": row["date"],
        "seed": row["seed"],
    }
    # A training with masks chooses by Dice: its criterion is another thing.
    by_labels = row["supervision"] == "labels" and not row["of"]
    line |= {"criterion": row["criterion"] if by_labels else None, "minutes": row["minutes"]["training"]}
    return line | {"dice_low": interval[0], "dice_high": interval[1]}


def criterion_correlation(
    lines: Sequence[dict[str, Any]], eval_split: str, figure: str = "dice"
) -> tuple[float, int] | None:
    """Spearman's correlation of the mask-free criterion and a figure over rows, and the number of rows.

    None with fewer than five rows, or where one of both is the same in all.
    """
    pairs = [
        (line["criterion"], line[figure])
        for line in lines
        if line["eval_split"] == eval_split and line["criterion"] is not None and line[figure] is not None
    ]
    if len(pairs) < _FEWEST_FOR_A_RANK:
        return None
    found = rank_correlation(*zip(*pairs, strict=True))
    return None if found is None else (found, len(pairs))


def write_tables(study: Study, finished: Sequence[dict[str, Any]], output: Path) -> None:
    """Writes table.csv, table.md and the curves of corrections; nothing before the first row is finished."""
    if not finished:
        return
    lines = table_lines(study, finished)
    with whole_file(output / "table.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    with whole_file(output / "table.md") as path:
        path.write_text(_markdown(study, finished, lines), encoding="utf-8")
    write_correction_curves(study, lines, output)


def _markdown(study: Study, finished: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> str:
    titles = {key: title for key, title in _COLUMNS.items() if title}
    shown = ["| " + " | ".join(titles.values()) + " |", "|" + "---|" * len(titles)]
    shown += ["| " + " | ".join(_text(line, key) for key in titles) + " |" for line in lines]
    missing = [row.name for row in study.rows if row.name not in {f["name"] for f in finished}]
    words = [f"# {study.name}", "", RESEARCH_ONLY, "", study.about, "", *shown, ""]
    words += ["Brackets: 95 % interval over patients. The criterion reads no mask; Dice at the mask-free threshold."]
    for eval_split in dict.fromkeys(line["eval_split"] for line in lines):
        for figure, name in (("dice", "Dice"), ("pixel_ap", "pixel AP")):
            rank = criterion_correlation(lines, eval_split, figure)
            if rank is not None:
                words += [
                    f"Rank correlation of criterion and {name} on '{eval_split}': {rank[0]:.2f} ({rank[1]} rows)."
                ]
    if missing:
        words += ["", f"Not run yet: {', '.join(missing)}."]
    return "\n".join(words) + "\n"


def _text(line: dict[str, Any], key: str) -> str:
    value = line[key]
    if value is None:
        return "-"
    if key == "dice" and line["dice_low"] is not None:
        return f"{value:.3f} [{line['dice_low']:.2f}, {line['dice_high']:.2f}]"
    if key in _SHARES:
        return f"{100 * value:.0f} %"
    if key == "minutes":
        return f"{value:.1f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "/")
