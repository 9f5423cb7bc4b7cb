"""What a user's click does when it fails: a sentence in a window, never a silent line in the console."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import slicer

from ClamSegWorkflow.scene import SceneError


def user_action(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wraps a method of a section (with `self._panel`) that a signal calls.

    What the user can mend is shown as it is; anything else with `words` and the traceback in the log.

    Args:
        words: what could not be done, translated.
    """

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def act(self: Any, *given: Any) -> Any:
            from ClamSegLib.system.errors import ClamSegError

            with slicer.util.tryWithErrorDisplay(words):
                try:
                    return method(self, *given)
                except (SceneError, ClamSegError) as error:
                    self._panel.failed(str(error))
            return None

        return act

    return wrap
