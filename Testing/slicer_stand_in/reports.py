"""What went wrong behind the application's back: Slicer prints it and goes on, a test must fail on it."""

from __future__ import annotations

import sys
import traceback

READ_ONLY = "(read only)"  # ends the type of a property that cannot be written


class Reports:
    """Collects exceptions of slots, timers and observers, and refused connections."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def add(self, text: str) -> None:
        """Keeps a problem and prints it, as Slicer would."""
        self.problems.append(text)
        print(text, file=sys.stderr)

    def add_exception(self, where: str) -> None:
        """Keeps the exception that is being handled."""
        self.add(f"In {where}:\n{traceback.format_exc()}")

    def take(self) -> list[str]:
        """All problems since the last time."""
        taken, self.problems = self.problems, []
        return taken


REPORTS = Reports()
