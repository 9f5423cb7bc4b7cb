"""The samples that come with ClamSeg: small scans with the model each is meant for, its source and its licence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ClamSegLib.model.registry import list_models
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import NON_COMMERCIAL, resources_folder

_LIST = "samples.json"


def shipped_samples() -> list[tuple[dict[str, Any], Path]]:
    """Entries of samples.json with the file of each, those for non-commercial use last ('non_commercial' is true).

    Entries that say `"shown": false` are left out, their files are there for tests and older scenes; so are those whose
    model is not installed.

    Raises:
        InputError: the list cannot be read.
    """
    root = resources_folder()
    found = _listed(root / "Samples", non_commercial=False)
    if (root / NON_COMMERCIAL / "samples" / _LIST).is_file():
        found += _listed(root / NON_COMMERCIAL / "samples", non_commercial=True)
    return found


def _listed(folder: Path, *, non_commercial: bool) -> list[tuple[dict[str, Any], Path]]:
    try:
        entries = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        named = [(entry | {"non_commercial": non_commercial}, folder / entry["file"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The list of samples in {folder} cannot be read; reinstall ClamSeg.") from error
    models = {model["name"] for model in list_models()}
    return [
        (entry, path)
        for entry, path in named
        if entry.get("shown", True) and entry.get("model") in models and path.is_file()
    ]
