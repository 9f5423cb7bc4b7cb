"""The second click of a double click: Qt sends `clicked` for it too, and what is under the button may have changed."""

from __future__ import annotations

import time
from typing import Any

import slicer


class QuickClicks:
    """Tells a second click on one button, pressed within the time of a double click after the first had been carried out.

    Args:
        buttons: each has double clicks of its own; a click on another one is no second click.
    """

    def __init__(self, *buttons: Any) -> None:
        self._pressed: Any = None
        self._done: tuple[Any, float] | None = None
        self._is_second = False
        for button in buttons:
            button.connect("pressed()", self._press_of(button))

    def _press_of(self, button: Any) -> Any:
        def pressed() -> None:
            limit_s = int(slicer.app.doubleClickInterval) / 1000
            last, at = self._done if self._done is not None else (None, 0.0)
            self._pressed = button
            self._is_second = last is button and time.monotonic() - at < limit_s

        return pressed

    def is_second(self) -> bool:
        """Whether the click that is being told of is a second one."""
        return self._is_second

    def done(self) -> None:
        """A click was carried out, which may have taken long; Qt brings what was clicked meanwhile only now.

        Not told of a click that was let go by: whoever goes on clicking would never be heard again.
        """
        self._done = (self._pressed, time.monotonic())

    def forget(self) -> None:
        """The next click is a first one, however soon it comes."""
        self._done = None
