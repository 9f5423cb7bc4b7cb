"""The shipped samples in Slicer's Sample Data module: from files of the extension, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ClamSegWorkflow.case.samples import sample_name, shipped_samples

CATEGORY = "ClamSeg"
_ICONS = Path(__file__).resolve().parent.parent / "Resources" / "Icons"


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
