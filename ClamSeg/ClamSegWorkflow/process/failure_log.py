"""What a log is told of an unforeseen error: its kind and where it arose, never its message, which may name a patient."""

from __future__ import annotations

import logging
import traceback


def log_failure(log: logging.Logger, what: str, error: BaseException) -> None:
    """Logs an error without its message: an OSError says the path, perhaps of a patient's folder.

    Args:
        what: what could not be done, without names.
    """
    log.error("%s\n%s", what, "\n".join(_lines(error)))


def _lines(error: BaseException) -> list[str]:
    """Kind and stack of an error, then of those it came from; innermost call last."""
    lines: list[str] = []
    told: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in told:
        told.add(id(following))
        lines.append(type(following).__name__)
        lines += [f"  {at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(following.__traceback__)]
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return lines
