"""Which models there are: shipped ones, the user's own, and any folder named directly."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ClamSegLib.system.atomic_output import put_back
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import NON_COMMERCIAL, resources_folder, user_models_folder


def _roots() -> list[tuple[str, Path]]:
    roots = [("user", user_models_folder())]
    with contextlib.suppress(InputError):  # a library without resources still runs models named by folder
        roots += [("shipped", resources_folder() / name) for name in ("Models", NON_COMMERCIAL)]
    return roots


def _installed() -> dict[str, tuple[str, Path]]:
    """Model folders by name; a user's model hides a shipped one of the same name."""
    found: dict[str, tuple[str, Path]] = {}
    for origin, root in _roots():
        if root.is_dir():
            if origin == "user":
                put_back(root)  # a model that a killed training was just replacing
            for folder in sorted(root.iterdir()):
                if (folder / "config.json").is_file():
                    found.setdefault(folder.name, (origin, folder))
    return found


def find_model(name_or_folder: str | Path) -> Path:
    """The folder of a model named by its name or its folder.

    Raises:
        InputError: no such model; names those there are.
    """
    installed = _installed()
    if str(name_or_folder) in installed:
        return installed[str(name_or_folder)][1]
    folder = Path(name_or_folder)
    if not folder.is_dir():
        put_back(folder.parent)
    if folder.is_dir():
        return folder
    names = ", ".join(sorted(installed)) or "none"
    raise InputError(f"There is no model '{name_or_folder}'; installed are {names}, or name a model folder.")


def list_models() -> list[dict[str, Any]]:
    """One entry per installed model; a damaged one says so under 'problem' instead of failing."""
    from ClamSegLib.model.model_folder import WEIGHTS, read_config

    entries = []
    for name, (origin, folder) in sorted(_installed().items()):
        entry: dict[str, Any] = {"name": name, "origin": origin, "folder": str(folder)}
        try:
            config = read_config(folder)
            entry |= {
                "display_name": config.shown_name,
                "task": config.task,
                "modality": config.modality,
                "sequence": config.sequence,
                "body_part": config.body_part,
                "plane": config.plane,
                "conditions": [c.name for c in config.conditions],
                "condition_names": [c.shown_name for c in config.conditions],
                "levels": config.network.heads,
                "default_level": config.default_level,
                "threshold": config.threshold,
                "organ": config.organ.method,
                "knows_normal_tissue": config.normative is not None,
                "licence": config.licence,
                "non_commercial": config.is_non_commercial,
                "size_mb": round((folder / WEIGHTS).stat().st_size / 1e6, 2),
                "problem": "",
            }
        except (InputError, OSError) as error:
            entry |= {
                "task": "",
                "modality": "",
                "conditions": [],
                "condition_names": [],
                "licence": "",
                "non_commercial": False,
                "size_mb": 0.0,
                "problem": str(error),
            }
        entries.append(entry)
    return entries
