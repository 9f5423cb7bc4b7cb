"""A case that is to do, as a batch is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CaseWork:
    """A case to do: the scan, and the folder its results become.

    Attributes:
        path: the scan.
        folder: of the results.
        organ: of this case in place of that of all; '' for none of its own.
        overwrite: replace what stands in this folder, whatever holds for all.
        prepare: called before the scan is read, in another thread; may bring the scan to `path`.
        finish: of `write_case`.
    """

    path: Path
    folder: Path
    organ: str = ""
    overwrite: bool = False
    prepare: Callable[[], None] | None = None
    finish: Callable[[Path], None] | None = None
