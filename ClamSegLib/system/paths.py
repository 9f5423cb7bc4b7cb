"""Where the shipped models, samples and terminology lie, in a source tree, a wheel or an installed extension."""

from __future__ import annotations

import os
from pathlib import Path

from ClamSegLib.system.errors import InputError

# Below Resources: models and samples that are for non-commercial use only, with their licence.
NON_COMMERCIAL = "NonCommercial"
_PACKAGE = Path(__file__).resolve().parent.parent


def resources_folder() -> Path:
    """The Resources folder: `$CLAMSEG_RESOURCES`, else beside ClamSegLib, else inside the installed package.

    Raises:
        InputError: none of the three exists.
    """
    named = os.environ.get("CLAMSEG_RESOURCES")
    if named:
        if Path(named).is_dir():
            return Path(named)
        raise InputError(f"CLAMSEG_RESOURCES names {named}, which is not a folder; correct or unset it.")
    for candidate in (_PACKAGE.parent / "Resources", _PACKAGE / "Resources"):
        # Another package may own a folder of this name beside ours; ours holds models.
        if (candidate / "Models").is_dir():
            return candidate
    raise InputError(
        "The Resources folder with models and samples was not found beside ClamSegLib or inside it; "
        "reinstall ClamSeg or set CLAMSEG_RESOURCES to that folder."
    )


def user_models_folder() -> Path:
    """Where a user's own models are kept: `$CLAMSEG_MODELS`, else `~/ClamSeg/models` (may not exist)."""
    named = os.environ.get("CLAMSEG_MODELS")
    return Path(named) if named else Path.home() / "ClamSeg" / "models"


def settings_folder() -> Path:
    """Where is kept what a user has chosen once: `$CLAMSEG_SETTINGS`, else `~/ClamSeg` (may not exist)."""
    named = os.environ.get("CLAMSEG_SETTINGS")
    return Path(named) if named else Path.home() / "ClamSeg"


def cache_folder() -> Path:
    """Where crops and self-measurements are cached: `$CLAMSEG_CACHE`, else `~/.cache/clamseg`."""
    named = os.environ.get("CLAMSEG_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "clamseg"
