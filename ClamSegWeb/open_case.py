"""A scan that is open in the page, with its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ClamSegWeb.opened_scan import OpenedScan
from ClamSegWeb.series_titles import SeriesTitles


@dataclass
class OpenCase:
    """A scan in the scene and, after a run, its result.

    Attributes:
        id: never given to another one.
        is_dicom: whether it came from DICOM files, which a DICOM SEG refers to; they may be gone since.
        pending: a newer result and its certificate, hidden until the reader says whether it replaces the review.
        titles: what its header says, for the screen only: nothing of it goes to a log, a file or an export.
    """

    id: int
    scan: OpenedScan
    is_dicom: bool
    result: Any = None
    titles: SeriesTitles = field(default_factory=SeriesTitles)
    pending: tuple[Any, str] | None = None

    def drop_pending(self) -> None:
        """The result that waits for the reader's word leaves the scene."""
        if self.pending is not None:
            self.pending[0].remove()
            self.pending = None
