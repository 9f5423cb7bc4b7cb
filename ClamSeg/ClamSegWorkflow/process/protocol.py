"""Bytes of a process to events: JSON lines, one object each, UTF-8. No Qt, so that every front can use it."""

from __future__ import annotations

import json
from typing import Any

# A line longer than this is no event; what a library prints without an end must not fill the memory.
_LONGEST_LINE_BYTES = 1 << 24


class LineBuffer:
    """Cuts a stream into lines and lines into events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The events completed by `data`; a line that is no event becomes {'event': 'log', 'message': text}."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        return [event for event in map(_event, lines) if event]


def _event(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8", errors="replace").strip()
    if not text:
        return {}
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if isinstance(event, dict) and isinstance(event.get("event"), str):
        return event
    return {"event": "log", "message": text[:1000]}
