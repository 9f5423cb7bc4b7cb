"""The shipped samples in Slicer's Sample Data module: from files of the extension, nothing is downloaded."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
CATEGORY = "ClamSeg"
_ICONS = Path(__file__).resolve().parent.parent / "Resources" / "Icons"


def sample_name(sample: dict[str, Any]) -> str:
    """Name of a sample in Sample Data and of its volume: Slicer has samples of its own called CTChest and the like."""
    return f"ClamSeg {sample['title']}"


def shipped_samples() -> list[tuple[dict[str, Any], Path]]:
    """Entries of samples.json with the file of each; [] where the extension's Resources are not there or damaged."""
    from ClamSegLib.errors import ClamSegError
    from ClamSegLib.resources import resources_folder

    try:
        folder = resources_folder() / "Samples"
        samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        return [(sample, folder / sample["file"]) for sample in samples if (folder / sample["file"]).is_file()]
    except (ClamSegError, OSError, ValueError, KeyError) as error:
        _log.warning("Samples: %s", error)
        return []


def source_of(sample: dict[str, Any], path: Path) -> dict[str, Any]:
    """Arguments of SampleDataLogic.registerCustomSampleDataSource for one sample.

    Slicer copies the file into its cache by the address and checks the sum, so that what a user saves never
    overwrites the extension's own file.
    """
    thumbnail = _ICONS / f"{sample['name']}.png"
    return {
        "category": CATEGORY,
        "sampleName": sample_name(sample),
        "uris": path.as_uri(),
        "fileNames": f"ClamSeg-{path.name}",
        "nodeNames": sample_name(sample),
        "thumbnailFileName": str(thumbnail) if thumbnail.is_file() else None,
        "loadFileTypes": "VolumeFile",
        # A picture alone: Slicer would else look for neighbours to stack.
        "loadFileProperties": {"singleFile": True},
        "checksums": f"SHA256:{sample['sha256']}",
    }


def register() -> int:
    """Puts the samples into Sample Data; returns how many. Without that module nothing happens."""
    try:
        import SampleData
    except ImportError:
        return 0
    found = shipped_samples()
    for sample, path in found:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(**source_of(sample, path))
    return len(found)
