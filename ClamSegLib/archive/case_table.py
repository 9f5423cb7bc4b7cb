"""The tables of a run: all cases with what became of them, and all their lesions, as CSV and, where pyarrow is, parquet."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegLib.archive.case_record import report_in
from ClamSegLib.segmentation.lesions import COLUMNS, lesion_cells, lesions_of_report
from ClamSegLib.segmentation.report import LESIONS
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.outcome import DONE, KEPT, Outcome
from ClamSegLib.system.words import in_cell

CASES = "cases"
# Name of a column and the type of its cells in parquet.
_CASE_COLUMNS = {
    "case": "string", "state": "string", "words": "string", "tries": "int64", "seconds": "double", "n_warnings": "int64", "warnings": "string",
    "lesions": "int64", "lesion_ml": "double", "model": "string", "level": "int64", "n_slices": "int64", "n_analysed": "int64", "clamseg": "string",
}  # fmt: skip
_TEXT = ("id", "condition")
_WHOLE = ("first_index", "last_index", "first_slice", "last_slice", "n_slices", "area_px", "diameter_slice")
_LESION_COLUMNS = {"case": "string"} | {
    name: "string" if name in _TEXT else "int64" if name in _WHOLE else "double" for name in COLUMNS
}


@dataclass(frozen=True)
class _Table:
    name: str
    columns: Mapping[str, str]


_TABLES = (_Table(CASES, _CASE_COLUMNS), _Table(Path(LESIONS).stem, _LESION_COLUMNS))


def refuse_foreign_tables(output: Path) -> None:
    """Refuses an output in which a file of somebody else bears the name of a table, before anything is done.

    Raises:
        InputError: there is one, e.g. the manifest itself.
    """
    for table in _TABLES:
        path = output / f"{table.name}.csv"
        if path.exists() and _header(path) != list(table.columns):
            raise InputError(
                f"{path} is no table of ClamSeg and is not replaced; move it away, or choose another output."
            )


def write_tables(output: Path, outcomes: Sequence[Outcome], folder_of: Callable[[str], Path]) -> list[Path]:
    """Writes the tables of a run into its output; rows of cases that an earlier run left there stay.

    Args:
        output: folder of the run.
        outcomes: of all its cases.
        folder_of: the folder of a case by its name.

    Returns:
        The files.

    Raises:
        OutputError: they cannot be written.
    """
    own = {in_cell(outcome.case) for outcome in outcomes}
    cases: list[dict[str, str]] = []
    lesions: list[dict[str, str]] = []
    for outcome in outcomes:
        report = report_in(folder_of(outcome.case)) if outcome.state in (DONE, KEPT) else None
        cases.append(_case_row(outcome, report))
        lesions += _lesion_rows(outcome.case, report) if report else []
    kept = [[row for row in _rows(output / f"{table.name}.csv") if row["case"] not in own] for table in _TABLES]
    written = []
    for table, rows in zip(_TABLES, ([*kept[0], *cases], [*kept[1], *lesions]), strict=True):
        written.append(output / f"{table.name}.csv")
        write_csv(written[-1], list(table.columns), rows)
        if importlib.util.find_spec("pyarrow"):
            written.append(output / f"{table.name}.parquet")
            _write_parquet(written[-1], table.columns, rows)
    return written


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Writes a table whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _case_row(outcome: Outcome, report: Mapping[str, Any] | None) -> dict[str, str]:
    row = dict.fromkeys(_CASE_COLUMNS, "")
    row |= {
        "case": in_cell(outcome.case),
        "state": outcome.state,
        "words": in_cell(outcome.words),
        "tries": str(outcome.tries),
    }
    if report is None:
        return row
    volumes = [lesion["volume_ml"] for lesion in report["lesions"]]
    known = None not in volumes
    return row | {
        "words": in_cell(report["summary"]),
        "seconds": f"{sum(report['seconds'].values()):.3f}",
        "n_warnings": str(len(report["warnings"])),
        "warnings": in_cell(" | ".join(report["warnings"])),
        "lesions": str(len(volumes)),
        "lesion_ml": f"{sum(volumes):.3f}" if known else "",
        "model": in_cell(report["model"]["name"]),
        "level": str(report["model"]["level"]),
        "n_slices": str(report["slices"]["total"]),
        "n_analysed": str(report["slices"]["analysed"]),
        "clamseg": report["clamseg"],
    }


def _lesion_rows(case: str, report: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"case": in_cell(case)} | dict(zip(COLUMNS, map(str, lesion_cells(lesion)), strict=True))
        for lesion in lesions_of_report(report["lesions"])
    ]


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (
        OSError,
        UnicodeDecodeError,
        csv.Error,
    ):  # none yet, or damaged: the cases of this run are told all the same
        return []


def _write_parquet(path: Path, columns: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> None:
    import pyarrow
    from pyarrow import parquet

    read: dict[str, Callable[[str], Any]] = {"string": str, "int64": int, "double": float}
    arrays = {
        name: pyarrow.array([read[kind](row[name]) if row[name] or kind == "string" else None for row in rows], kind)
        for name, kind in columns.items()
    }
    with whole_file(path) as part:
        parquet.write_table(pyarrow.table(arrays), part)
