"""What the dataset doctor answered, as lines of a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ClamSegWorkflow.words import tr as _

# Words as well as colours: red and green look alike to many.
SEVERITIES = {"ok": "ok", "warning": "warning", "error": "refused"}


@dataclass(frozen=True)
class DoctorLine:
    """One line: 'ok', 'warning' or 'refused', what was looked at, what was found, and what to do about it."""

    severity: str
    check: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class DoctorTable:
    """All lines, and one sentence about them."""

    lines: tuple[DoctorLine, ...]
    refused: bool
    summary: str


def read_doctor(exit_code: int, output: str, error: str) -> DoctorTable:
    """The answer of `check --json --progress json`, whatever became of it.

    Args:
        exit_code: of the process.
        output: its standard output.
        error: its standard error.
    """
    problem = ""
    for line in output.splitlines():
        values = _object(line)
        if "findings" in values:
            return _table(values)
        if values.get("event") == "error":
            problem = str(values.get("message", ""))
    if not problem:
        last = [line for line in error.splitlines() if line.strip()]
        problem = (
            last[-1]
            if last
            else _("The check ended with code {exit_code} and no message; check again.").format(exit_code=exit_code)
        )
    return DoctorTable((DoctorLine("refused", "folder", problem),), True, problem)


def _object(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _table(values: dict[str, Any]) -> DoctorTable:
    lines = [
        DoctorLine(
            "ok",
            _("rows of {split}").format(split=split) if split != "all" else _("rows"),
            ", ".join(f"{n} {name}" for name, n in counts.items()),
        )
        for split, counts in values["counts"].items()
    ]
    found = [
        DoctorLine(SEVERITIES.get(f["severity"], f["severity"]), f["check"], f["found"], f["advice"])
        for f in values["findings"]
    ]
    order = ("refused", "warning", "ok")
    lines += sorted(found, key=lambda line: order.index(line.severity) if line.severity in order else 0)
    warnings = sum(line.severity == "warning" for line in found)
    if values["refused"]:
        first = next(line for line in found if line.severity == "refused")
        summary = _("A training would be refused: {check}, {found}; {advice}.").format(
            check=first.check, found=first.found, advice=first.advice
        )
        return DoctorTable(tuple(lines), True, summary)
    what = (
        _("no warnings") if not warnings else _("1 warning") if warnings == 1 else _("{n} warnings").format(n=warnings)
    )
    return DoctorTable(
        tuple(lines), False, _("{folder} can be used for training: {what}.").format(folder=values["folder"], what=what)
    )
