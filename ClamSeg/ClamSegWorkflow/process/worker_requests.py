"""Requests to the inference worker and their answers, whatever carries the bytes: ids out, events to who asked."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ClamSegWorkflow.process.failure_log import log_failure
from ClamSegWorkflow.process.launcher import without_launchers_line
from ClamSegWorkflow.process.protocol import LineBuffer
from ClamSegWorkflow.words import tr as _

OnEvent = Callable[[dict[str, Any]], None]
_LOG_LINES = 400
_log = logging.getLogger(__name__)
_ENDS = ("done", "error")


class WorkerRequests:
    """What one worker process was asked and has not answered yet.

    A request's events go to its callback until 'done' or 'error'. After `forget` no callback is called any more.

    Attributes:
        pid: process id of the worker itself, 0 until it said so.
        log: what it printed last.
    """

    def __init__(self, on_log: Callable[[str], None] | None = None) -> None:
        self._buffer = LineBuffer()
        self._waiting: dict[int, OnEvent] = {}
        self._next_id = 1
        self._on_log = on_log
        self._turn = 0
        self._killed = False
        self.pid = 0
        self.log: deque[str] = deque(maxlen=_LOG_LINES)

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._waiting)

    def add(self, command: str, on_event: OnEvent, values: dict[str, Any]) -> tuple[int, bytes]:
        """Number of a new request, and the line to write."""
        number = self._next_id
        self._next_id += 1
        self._waiting[number] = on_event
        return number, (json.dumps({"id": number, "command": command, **values}) + "\n").encode("ascii")

    def feed(self, data: bytes) -> None:
        """Takes what the worker wrote; calls back for every event, until a callback forgets the process."""
        turn = self._turn
        for event in self._buffer.feed(data):
            if event["event"] == "started":
                self.pid = int(event.get("pid", 0))
            elif event["event"] == "log":
                self._keep(event["message"])
            else:
                self._deliver(event)
            if self._turn != turn:  # a callback cancelled
                return

    def feed_log(self, data: bytes) -> None:
        """Takes what the worker wrote to its error stream."""
        text, killed = without_launchers_line(data.decode("utf-8", "replace"))
        self._killed = self._killed or killed
        for line in text.splitlines():
            self._keep(line)

    def forget(self) -> None:
        """The process is gone or will be: pending requests get no answer."""
        self._turn += 1
        self._buffer = LineBuffer()
        self.pid = 0
        self._killed = False
        self._waiting.clear()

    def fail(self, message: str) -> None:
        """The process is gone: every pending request gets an error."""
        waiting = list(self._waiting.values())
        self.forget()
        for on_event in waiting:
            on_event({"event": "error", "message": message, "code": 1})

    def words_of_end(self, exit_code: int, *, crashed: bool) -> str:
        """What a user reads of a worker that ended by itself."""
        how = (
            _("was killed, perhaps because memory ran out")
            if crashed or self._killed
            else _("ended with code {exit_code}").format(exit_code=exit_code)
        )
        told = next((line for line in reversed(self.log) if line.strip()), "")
        words = _("The worker {how}; nothing was changed. Run again, or see the log. {told}")
        return words.format(how=how, told=told).strip()

    def _deliver(self, event: dict[str, Any]) -> None:
        number = event.get("id")
        on_event = self._waiting.get(number) if isinstance(number, int) else None
        if on_event is None:
            return
        if event["event"] in _ENDS and isinstance(number, int):
            del self._waiting[number]
        try:
            on_event(event)
        except Exception as failure:  # the worker and what else waits for it go on
            log_failure(_log, str(event["event"]), failure)

    def _keep(self, line: str) -> None:
        self.log.append(line)
        if self._on_log is not None:
            self._on_log(line)
