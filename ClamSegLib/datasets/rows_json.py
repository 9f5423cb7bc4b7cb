"""Some rows of a labelled folder from and to JSON: what a task of a cluster carries of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ClamSegLib.datasets.rows import LabelledFolder, Row
from ClamSegLib.model.model_folder import sha256_of
from ClamSegLib.system.errors import ClamSegError


def part_of(folder: LabelledFolder, numbers: Sequence[int]) -> LabelledFolder:
    """The folder with these rows only, in this order."""
    return replace(folder, rows=tuple(folder.rows[number] for number in numbers), warnings=())


def folder_to_json(folder: LabelledFolder) -> dict[str, Any]:
    """As JSON values; `folder_of` reads them."""
    rows = [
        {name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(row).items()}
        for row in folder.rows
    ]
    return {
        "root": str(folder.root.absolute()), "rows": rows, "conditions": folder.conditions, "normal": folder.normal_class
    }  # fmt: skip


def folder_of(told: dict[str, Any]) -> LabelledFolder:
    """The folder that `folder_to_json` told of."""
    return LabelledFolder(
        Path(told["root"]), tuple(map(_row_of, told["rows"])), tuple(told["conditions"]), told["normal"]
    )


def first_input(folder: LabelledFolder) -> dict[str, str]:
    """The first image and its hash: by it a worker sees that it has the same data; empty where it cannot be read."""
    path = folder.rows[0].image_path
    try:
        return {str(path): sha256_of(path)}
    except ClamSegError:  # what reads it says so better
        return {}


def _row_of(told: dict[str, Any]) -> Row:
    paths = {name: Path(value) for name, value in told.items() if name.endswith("_path") and value is not None}
    return Row(**(told | paths | {"relative_path": told["relative_path"]}))
