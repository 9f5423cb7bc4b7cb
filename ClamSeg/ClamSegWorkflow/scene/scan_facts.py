"""What the reading of a scan told that its voxels do not tell: kept with the volume, for the run and its result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

_ATTRIBUTE = "ClamSeg.reading"
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Reading:
    """What is known of a scan from its file; the defaults hold for volumes that Slicer loaded from a scan.

    Attributes:
        is_picture: a single projection or picture without a place in the patient.
        spacing_known: false where the voxels' size in mm is only assumed.
        warnings: what the reader should know, e.g. that slices are missing.
        missing_slices: slices of the array that the series lacks; they are empty.
        stack_doubt: what is doubtful about places along the stack, '' where nothing is.
    """

    is_picture: bool = False
    spacing_known: bool = True
    warnings: tuple[str, ...] = ()
    missing_slices: tuple[int, ...] = ()
    stack_doubt: str = ""

    @property
    def lacking(self) -> dict[str, Any]:
        """What the worker cannot see in the voxels that it is given, as its requests take it."""
        return {"missing_slices": list(self.missing_slices), "stack_doubt": self.stack_doubt}


def keep_reading(volume: Any, reading: Reading) -> None:
    """Keeps it with the volume, also in a saved scene."""
    volume.SetAttribute(_ATTRIBUTE, json.dumps(asdict(reading)))


def reading_of(volume: Any) -> Reading:
    """What was kept with the volume; without that, whether Slicer read it from a picture, whose spacing is made up."""
    text = volume.GetAttribute(_ATTRIBUTE)
    if not text:
        storage, image = volume.GetStorageNode(), volume.GetImageData()
        name = (storage.GetFileName() or "") if storage is not None else ""
        if not name.lower().endswith(_PICTURES):
            return Reading()
        return Reading(is_picture=image is not None and image.GetDimensions()[2] == 1, spacing_known=False)
    kept = json.loads(text)
    return Reading(
        bool(kept["is_picture"]), bool(kept["spacing_known"]), tuple(kept["warnings"]),
        tuple(kept.get("missing_slices", ())), str(kept.get("stack_doubt", "")),
    )  # fmt: skip
