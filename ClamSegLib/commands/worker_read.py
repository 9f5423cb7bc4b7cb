"""The worker's answers that tell what scans hold as they lie on disk; none needs a network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ClamSegLib.commands.worker_request import need
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter


def read(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """A scan as an array in a folder of its own, and where it lies."""
    import numpy as np

    from ClamSegLib.imaging.reader_process import read_volume
    from ClamSegLib.system.atomic_output import whole_file

    need(request, "input", "output")
    reporter.progress(0, 1, "reading")
    volume = read_volume(Path(request["input"]), series=request.get("series"))
    folder = Path(request["output"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made a folder ({error.strerror}); name another 'output'.") from error
    with whole_file(folder / "voxels.npy") as part, part.open("wb") as file:
        np.save(file, np.ascontiguousarray(volume.array), allow_pickle=False)
    return {
        "file": str(folder / "voxels.npy"),
        "shape": list(volume.array.shape),
        "spacing_mm": list(volume.spacing_mm),
        "origin": list(volume.origin),
        "direction": list(volume.direction),
        "spacing_known": volume.spacing_known,
        "is_picture": volume.is_picture,
        "modality": volume.modality,
        "description": " ".join(filter(None, (volume.description, volume.body_part))),
        "warnings": list(volume.warnings),
        "missing_slices": list(volume.missing_slices),
        "stack_doubt": volume.stack_doubt,
    }


def titles(request: dict[str, Any]) -> dict[str, Any]:
    """What people call the series of a DICOM folder or file."""
    from ClamSegLib.imaging.dicom_titles import series_titles

    need(request, "input")
    return {"series": [asdict(title) for title in series_titles(Path(request["input"]))]}
