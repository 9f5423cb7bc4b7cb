"""What the reading of a scan told that its voxels do not tell: kept with the volume, for the run and its result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

_ATTRIBUTE = "ClamSeg.reading"


@dataclass(frozen=True)
class Reading:
    """What is known of a scan from its file; the defaults hold for volumes that Slicer loaded.

    Attributes:
        is_picture: a single projection or picture without a place in the patient.
        spacing_known: false where the voxels' size in mm is only assumed.
        warnings: what the reader should know, e.g. that slices are missing.
    """

    is_picture: bool = False
    spacing_known: bool = True
    warnings: tuple[str, ...] = ()


def keep_reading(volume: Any, reading: Reading) -> None:
    """Keeps it with the volume, also in a saved scene."""
    volume.SetAttribute(_ATTRIBUTE, json.dumps(asdict(reading)))


def reading_of(volume: Any) -> Reading:
    """What was kept with the volume."""
    text = volume.GetAttribute(_ATTRIBUTE)
    if not text:
        return Reading()
    kept = json.loads(text)
    return Reading(bool(kept["is_picture"]), bool(kept["spacing_known"]), tuple(kept["warnings"]))
