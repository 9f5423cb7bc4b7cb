"""The samples that come with ClamSeg, one of every modality."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def sample_name(sample: dict[str, Any]) -> str:
    """Name of a sample and of its volume: Slicer has samples of its own called CTChest and the like."""
    return f"ClamSeg {sample['title']}"


def sample_words(sample: dict[str, Any]) -> str:
    """What a sample shows, and what must be known of it beside its picture."""
    return " ".join(filter(None, (f"{sample['description']}.", sample.get("note", ""))))


def shipped_samples() -> list[tuple[dict[str, Any], Path]]:
    """Entries of samples.json with the file of each; [] where ClamSeg's Resources are not there or damaged."""
    from ClamSegLib.model import samples
    from ClamSegLib.system.errors import ClamSegError

    try:
        return samples.shipped_samples()
    except ClamSegError as error:
        _log.warning("Samples: %s", error)
        return []
