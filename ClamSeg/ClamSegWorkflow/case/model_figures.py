"""Where a model comes from, what it learned from and how good it was there, in one sentence under its name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ClamSegWorkflow.words import tr as _

# The first figure there is speaks for the model: overlap with masks where it was judged against masks, else how well it
# tells slices apart. From 'good' on, and from 'fair' on; below it is 'weak'. An AUC of 0.5 is chance.
_FIGURES = (
    ("dice", _("overlap with masks (Dice)"), 0.8, 0.6),
    ("slice_auc", _("slices told apart (AUC)"), 0.9, 0.8),
    ("localisation_auc", _("places found (AUC)"), 0.9, 0.8),
)


def figures_words(entry: Mapping[str, Any]) -> str:
    """Origin, patients, date and the figure that chose the model; what its folder does not tell is left out.

    Args:
        entry: of the list of models.
    """
    run = _run_of(Path(entry["folder"]))
    origin = _("Shipped model") if entry.get("origin") == "shipped" else _("Your own model")
    counts = _mapping(run.get("counts"))
    parts = [origin]
    if patients := counts.get("training_patients"):
        words = _("learned from one patient") if patients == 1 else _("learned from {n} patients")
        steps = _(" in {n} steps").format(n=run["best_step"]) if isinstance(run.get("best_step"), int) else ""
        parts.append(words.format(n=patients) + steps)
    if run.get("date"):
        parts.append(str(run["date"]))
    if run.get("finished") is False:
        parts.append(_("stopped early"))
    return ", ".join(parts) + "." + _judged(_mapping(run.get("validation")), counts)


def _judged(figures: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    for name, what, good, fair in _FIGURES:
        value = figures.get(name)
        if not isinstance(value, int | float) or math.isnan(value):
            continue
        quality = _("good") if value >= good else _("fair") if value >= fair else _("weak")
        seen = [counts.get(f"training_{kind}") == counts.get(f"validation_{kind}") for kind in ("slices", "patients")]
        where = _("on the slices it learned from, so expect less") if all(seen) else _("on patients left out")
        words = _(" {what}: {value:.2f}, {quality}, {where}.")
        return words.format(what=what[0].upper() + what[1:], value=value, quality=quality, where=where)
    return ""


def _run_of(folder: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):  # a model from elsewhere, or damaged: then there is less to tell
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
