"""The table of cases that `--manifest` names: path, and optionally name, model and organ mask of each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ClamSegLib.archive.case_names import case_name, free_names
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded, check_words

_COLUMNS = ("path", "name", "model", "organ")
_NAMED_AT_MOST = 3
_LONGEST_NAME_BYTES = 200
# What one of the systems that read the output takes for something else than a letter of a name.
_NO_NAME = set('/\\:*?"<>|')


@dataclass(frozen=True)
class Row:
    """A case of a manifest; `name`, `model` and `organ` are '' where the table does not say."""

    line: int
    path: Path
    name: str
    model: str
    organ: str


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest; relative paths begin at its folder.

    Raises:
        InputError: no such file, columns that are none, no rows, missing files, names that are doubled or no names.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(path, columns)
            reader.fieldnames = columns
            rows = [_row(path, reader.line_num, told) for told in reader if any(_words(told))]
    except OSError as error:
        raise InputError(f"The manifest {path} cannot be read ({error.strerror}); name a CSV file.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"The manifest {path} is no CSV table in UTF-8 ({error}); save it as one.") from error
    if not rows:
        raise InputError(f"The manifest {path} has no rows; write a case into each line below path,name,model,organ.")
    _check_files(path, rows)
    _check_names(path, rows)
    return rows


def names_of(rows: list[Row]) -> list[str]:
    """The name of each row's case: as given, else by its file, numbered where that is taken."""
    given = [row.name for row in rows if row.name]
    others = iter(free_names((case_name(row.path) for row in rows if not row.name), given))
    return [row.name or next(others) for row in rows]


def _words(told: dict[str, str | None]) -> list[str]:
    return [(told.get(name) or "").strip() for name in _COLUMNS]


def _check_columns(path: Path, columns: list[str]) -> None:
    odd = sorted(set(columns) - set(_COLUMNS))
    if "path" not in columns or odd or len(set(columns)) != len(columns):
        came = bounded(", ".join(columns)) or "none"
        raise InputError(
            f"The manifest {path} has the columns {came}; allowed are path and optionally name, model, organ."
        )


def _row(path: Path, line: int, told: dict[str, str | None]) -> Row:
    if None in told:
        raise InputError(
            f"Line {line} of {path} has more cells than the table has columns; put paths with commas in quotes."
        )
    given, name, model, organ = _words(told)
    if not given:
        raise InputError(f"Line {line} of {path} names no path.")
    mask = str(path.parent / organ) if organ else ""
    # A model is named by its name, or by a folder, which may be relative to the manifest as well.
    model = str(path.parent / model) if model and (path.parent / model).is_dir() else model
    return Row(line, path.parent / given, name, model, mask)


def _check_files(path: Path, rows: list[Row]) -> None:
    missing = [(row.line, row.path) for row in rows if not row.path.exists()]
    missing += [(row.line, Path(row.organ)) for row in rows if row.organ and not Path(row.organ).is_file()]
    if missing:
        shown = "; ".join(f"line {line}: {file}" for line, file in missing[:_NAMED_AT_MOST])
        more = f" and {len(missing) - _NAMED_AT_MOST} more" if len(missing) > _NAMED_AT_MOST else ""
        raise InputError(
            f"The manifest {path} names files that are not there ({shown}{more}); correct or remove these lines."
        )


def _check_names(path: Path, rows: list[Row]) -> None:
    lines: dict[str, int] = {}
    for row in rows:
        if not row.name:
            continue
        where = f"The name in line {row.line} of {path}"
        check_words(row.name, where)
        long = len(row.name.encode()) > _LONGEST_NAME_BYTES
        if long or set(row.name) & _NO_NAME or row.name.startswith(".") or row.name != row.name.strip(" ."):
            raise InputError(
                f"{where}, '{bounded(row.name)}', cannot be the name of a folder; use letters, digits, - and _, at most "
                f"{_LONGEST_NAME_BYTES} bytes."
            )
        before = lines.setdefault(row.name.casefold(), row.line)
        if before != row.line:
            raise InputError(
                f"The name '{row.name}' stands in lines {before} and {row.line} of {path}; give each case its own."
            )
