"""Patient, series and date of DICOM scans as the screen shows them, and the series of a folder to choose from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ClamSegWorkflow.words import tr as _


class SeriesTitles:
    """What the worker read in the headers of a folder, the largest series first; nothing before it answered."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []

    def fill(self, found: list[dict[str, Any]]) -> None:
        """The worker's answer."""
        self._found = found

    def chosen(self, series: str) -> str:
        """UID of the series that is open; the largest where none was asked for."""
        return series or (self._found[0]["uid"] if self._found else "")

    def title(self, series: str) -> str:
        """Patient and series, '' where the header names no patient."""
        entry = self._entry(series)
        return ", ".join(filter(None, (entry["patient"], entry["description"]))) if entry.get("patient") else ""

    def date(self, series: str) -> str:
        """Day of the series, '' where it is not known."""
        return str(self._entry(series).get("date", ""))

    def choices(self, series: str) -> list[dict[str, Any]]:
        """The series of the folder, where it holds several."""
        if len(self._found) < 2:
            return []
        words = _("{description}, {modality}, {n} slices")
        return [
            {
                "uid": entry["uid"],
                "words": words.format(
                    description=entry["description"] or _("no description"), modality=entry["modality"] or "?", n=entry["n_slices"]
                ),
                "chosen": entry["uid"] == self.chosen(series),
            }
            for entry in self._found
        ]  # fmt: skip

    def _entry(self, series: str) -> dict[str, Any]:
        return next((entry for entry in self._found if entry["uid"] == self.chosen(series)), {})


def ask_titles(worker: Any, case: Any, on_done: Callable[[], None]) -> None:
    """Asks for the titles of a scan that is open; its picture comes first. Without an answer it keeps its file's name."""

    def answered(event: dict[str, Any]) -> None:
        if event["event"] == "done":
            case.titles.fill(event["series"])
            on_done()

    worker.request("titles", answered, input=str(case.scan.source))
