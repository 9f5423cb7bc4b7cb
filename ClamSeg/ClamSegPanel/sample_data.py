"""The shipped samples in Slicer's Sample Data module: from files of the extension, nothing is downloaded."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegWorkflow.case import licence_words
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
        "customDownloader": _AskedFirst(sample) if sample.get("non_commercial") else None,
    }


@dataclass
class _AskedFirst:
    """What the button of a sample for non-commercial use only does: it asks once, then loads as the others do.

    Slicer knows by comparing it with what is there whether a sample is registered already: a function made anew each
    time would list the sample once more whenever the module is loaded again.

    Attributes:
        sample: its entry in the list of samples.
    """

    sample: dict[str, Any]

    def __call__(self, source: Any) -> Any:
        import SampleData
        import slicer

        question = licence_words.question(self.sample)
        if question:
            if not slicer.util.confirmOkCancelDisplay(question, windowTitle=licence_words.title()):
                return []
            licence_words.keep_yes(self.sample, "panel")
        plain = copy.copy(source)
        plain.customDownloader = None
        return SampleData.SampleDataLogic().downloadFromSource(plain)


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
