"""What a click does when it fails: a sentence in the page, never a silent line in the console."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from ClamSegWorkflow.process.failure_log import log_failure
from ClamSegWorkflow.scene import SceneError

_log = logging.getLogger(__name__)


def user_action(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wraps a method of a section (with `self._page`) that the browser calls.

    What the reader can mend is shown as it is; anything else with `words` and the traceback in the log.

    Args:
        words: what could not be done, translated.
    """

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def act(self: Any, *given: Any, **named: Any) -> Any:
            from ClamSegLib.system.errors import ClamSegError

            try:
                return method(self, *given, **named)
            except (SceneError, ClamSegError) as error:
                self._page.failed(str(error))
            except Exception as failure:
                log_failure(_log, words, failure)
                self._page.failed(words)
            return None

        return act

    return wrap
