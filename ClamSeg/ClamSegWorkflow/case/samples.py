"""The samples that come with ClamSeg, one of every modality."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def sample_name(sample: dict[str, Any]) -> str:
    """Name of a sample and of its volume: Slicer has samples of its own called CTChest and the like."""
    return f"ClamSeg {sample['title']}"


def shipped_samples() -> list[tuple[dict[str, Any], Path]]:
    """Entries of samples.json with the file of each; [] where ClamSeg's Resources are not there or damaged."""
    from ClamSegLib.system.errors import ClamSegError
    from ClamSegLib.system.paths import resources_folder

    try:
        folder = resources_folder() / "Samples"
        samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        return [(sample, folder / sample["file"]) for sample in samples if (folder / sample["file"]).is_file()]
    except (ClamSegError, OSError, ValueError, KeyError) as error:
        _log.warning("Samples: %s", error)
        return []
