"""Files that the worker writes while a case is under way: organ and first slices, in the frame of the input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ClamSegLib.commands.worker_request import need
from ClamSegLib.system.progress import JsonReporter

if TYPE_CHECKING:
    from ClamSegLib.segmentation.first_slices import FirstLook, FirstSlices
    from ClamSegLib.segmentation.inspection import Inspection


def first_look(request: dict[str, Any], reporter: JsonReporter) -> FirstLook | None:
    """The look at some slices before all others that a request asks for; what it finds is written, then told."""
    from ClamSegLib.segmentation.first_slices import FirstLook, voxel_of

    if request.get("first_slice") is None:
        return None
    need(request, "first_file")
    path = Path(request["first_file"])

    def tell(found: FirstSlices) -> None:
        _write_own(path, found.labels, "first look")
        reporter.preview(file=str(path), start=list(found.start), slices=[found.first, found.last])

    return FirstLook(voxel_of(request["first_slice"]), tell)


def write_outline(path: Path, found: Inspection, plane: str) -> None:
    """The organ in the frame of the input."""
    from ClamSegLib.imaging.volume import canonical_orientation

    _write_own(path, canonical_orientation(found.volume, plane).undo(found.organ.mask), "outline")


def _write_own(path: Path, array: Any, what: str) -> None:
    """Writes an array in the frame of the input as uint8.

    Raises:
        OutputError: not writable, disk full.
    """
    import numpy as np

    from ClamSegLib.system.errors import OutputError

    try:
        np.save(path, np.ascontiguousarray(array).astype(np.uint8), allow_pickle=False)
    except OSError as error:
        raise OutputError(
            f"The {what} cannot be written to {path} ({error.strerror}); choose another place."
        ) from error
