"""The second click of a double click: Qt sends `clicked` for it too, and what is under the button may have changed."""

from __future__ import annotations

import time
from typing import Any

import slicer


class QuickClicks:
    """Tells a second click, pressed within the time of a double click after the first one had been carried out.

    Args:
        buttons: a click on one of them right after another is a second one.
    """

    def __init__(self, *buttons: Any) -> None:
        self._done_at: float | None = None
        self._is_second = False
        for button in buttons:
            button.connect("pressed()", self._pressed)

    def _pressed(self) -> None:
        limit_s = int(slicer.app.doubleClickInterval) / 1000
        self._is_second = self._done_at is not None and time.monotonic() - self._done_at < limit_s

    def is_second(self) -> bool:
        """Whether the click that is being told of is a second one."""
        return self._is_second

    def done(self) -> None:
        """A click was carried out, which may have taken long; Qt brings what was clicked meanwhile only now."""
        self._done_at = time.monotonic()
