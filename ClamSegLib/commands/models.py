"""`clamseg models`: the installed and shipped models."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ClamSegLib.system.progress import Reporter

NAME = "models"
HELP = "list installed and shipped models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `models`."""
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def _licence(entry: dict[str, Any]) -> str:
    """The licence, and where it forbids commercial use whether the user confirmed that."""
    from ClamSegLib.model.licence import is_accepted

    if not entry["non_commercial"]:
        return str(entry["licence"])
    return (
        f"{entry['licence']}, non-commercial use only ({'' if is_accepted(entry['licence']) else 'not yet '}confirmed)"
    )


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Prints the table; exit code 0."""
    from ClamSegLib.model.registry import list_models

    models = list_models()
    if arguments.json:
        sys.stdout.write(json.dumps({"models": models}) + "\n")
        return 0
    if not models:
        sys.stdout.write("No model is installed.\n")
        return 0
    rows = [("name", "task", "modality", "outlines", "MB", "licence")]
    for m in models:
        words = (m["name"], m["task"], m["modality"], ", ".join(m["conditions"]), f"{m['size_mb']:.1f}", _licence(m))
        rows.append(words if not m["problem"] else (m["name"], "damaged", "", m["problem"], "", ""))
    widths = [max(len(row[k]) for row in rows) for k in range(6)]
    for row in rows:
        sys.stdout.write("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return 0
