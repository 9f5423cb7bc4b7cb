"""Warnings of many cases: the first by the name of what they are about, the rest counted in one line."""

from __future__ import annotations

from typing import Any

from ClamSegLib.system.progress import Reporter

_SHOWN_CASES = 3


class CaseWarnings(Reporter):
    """Passes all on but the warnings of cases after the first few."""

    def __init__(self, shown: Reporter) -> None:
        self._shown, self._case = shown, ""
        self._warned: list[str] = []

    def about(self, case: str) -> None:
        """What comes now is about this case: a path of the labelled folder."""
        self._case = case

    def warning(self, message: str) -> None:
        if self._case not in self._warned:
            self._warned.append(self._case)
        if len(self._warned) <= _SHOWN_CASES:
            self._shown.warning(f"{self._case}: {message}")

    def progress(self, done: int, total: int, stage: str) -> None:
        self._shown.progress(done, total, stage)

    def note(self, message: str) -> None:
        self._shown.note(message)

    def metric(self, **values: Any) -> None:
        self._shown.metric(**values)

    def tell_rest(self, cases: int) -> None:
        """One line on the cases that were not shown, of so many in all."""
        rest = self._warned[_SHOWN_CASES:]
        if rest:
            self._shown.warning(
                f"{len(rest)} further of {cases} images or scans were warned of likewise, among them {', '.join(rest[:_SHOWN_CASES])}. "
                "What lies outside the organ is not learned from: give organ masks, or choose another organ step."
            )
