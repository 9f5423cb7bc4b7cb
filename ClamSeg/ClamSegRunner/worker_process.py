"""The inference worker through QProcess: requests out, events in, killed with all its children on cancel.

Everything arrives by Qt signals on the main thread: Python threads starve while Slicer idles.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegRunner.command_line import extra_environment, library_words, python_program
from ClamSegRunner.kill import kill_tree
from ClamSegRunner.protocol import LineBuffer

OnEvent = Callable[[dict[str, Any]], None]
_LOG_LINES = 400
_ENDS = ("done", "error")


def bytes_of(value: Any) -> bytes:
    """Python bytes of what PythonQt gives for a QByteArray."""
    data = value if isinstance(value, bytes | str) else value.data()
    return data.encode("utf-8", "replace") if isinstance(data, str) else bytes(data)


def process_environment() -> Any:
    """The application's environment with what the library needs."""
    environment = qt.QProcessEnvironment.systemEnvironment()
    for name, value in extra_environment().items():
        environment.insert(name, value)
    return environment


class WorkerProcess:
    """Runs requests one after the other in one process, which is started when first needed.

    A request's events go to its callback until 'done' or 'error'. After `kill` no callback is called any more.
    """

    def __init__(self, on_log: Callable[[str], None] | None = None) -> None:
        self._process: Any = None
        self._worker_pid = 0
        self._buffer = LineBuffer()
        self._waiting: dict[int, OnEvent] = {}
        self._next_id = 1
        self._on_log = on_log
        self.log: deque[str] = deque(maxlen=_LOG_LINES)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id of the worker itself, 0 until it said so."""
        return self._worker_pid

    def request(self, command: str, on_event: OnEvent, **values: Any) -> int:
        """Sends a request; its events come later, never before this returns."""
        if self._process is None:
            self._start()
        number = self._next_id
        self._next_id += 1
        self._waiting[number] = on_event
        line = json.dumps({"id": number, "command": command, **values}) + "\n"
        self._process.write(line.encode("ascii"))
        return number

    def kill(self) -> None:
        """Ends the worker and its children at once; pending requests are forgotten."""
        process, pid = self._process, self._worker_pid
        self._forget()
        if process is None:
            return
        self._listen(process, False)
        kill_tree(pid, leads_group=True)
        process.kill()
        process.waitForFinished(3000)

    def quit(self) -> None:
        """Ends an idle worker in order, a busy one at once."""
        if self._process is not None and not self._waiting:
            process = self._process
            self._listen(process, False)
            self._forget()
            process.write(b'{"id": 0, "command": "quit"}\n')
            process.closeWriteChannel()
            if process.waitForFinished(2000):
                return
            process.kill()
            process.waitForFinished(1000)
            return
        self.kill()

    def _start(self) -> None:
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(process_environment())
        self._listen(self._process, True)
        self._buffer = LineBuffer()
        self._process.start(python_program(), library_words("worker", "--parent", str(os.getpid())))

    def _listen(self, process: Any, on: bool) -> None:
        change = process.connect if on else process.disconnect
        change("readyReadStandardOutput()", self._read)
        change("readyReadStandardError()", self._read_log)
        change("finished(int,QProcess::ExitStatus)", self._finished)
        change("errorOccurred(QProcess::ProcessError)", self._failed)

    def _forget(self) -> None:
        self._process, self._worker_pid = None, 0
        self._waiting.clear()

    def _read(self) -> None:
        process = self._process
        if process is None:
            return
        for event in self._buffer.feed(bytes_of(process.readAllStandardOutput())):
            if event["event"] == "started":
                self._worker_pid = int(event.get("pid", 0))
                continue
            if event["event"] == "log":
                self._keep(event["message"])
                continue
            self._deliver(event)
            if self._process is not process:  # a callback cancelled
                return

    def _deliver(self, event: dict[str, Any]) -> None:
        number = event.get("id")
        on_event = self._waiting.get(number) if isinstance(number, int) else None
        if on_event is None:
            return
        if event["event"] in _ENDS:
            del self._waiting[number]
        on_event(event)

    def _read_log(self) -> None:
        if self._process is None:
            return
        for line in bytes_of(self._process.readAllStandardError()).decode("utf-8", "replace").splitlines():
            self._keep(line)

    def _keep(self, line: str) -> None:
        self.log.append(line)
        if self._on_log is not None:
            self._on_log(line)

    def _failed(self, error: Any) -> None:
        if self._process is not None and error == qt.QProcess.FailedToStart:
            self._ended(
                _("The worker could not be started ({python_program}); use Setup, Repair.").format(
                    python_program=python_program()
                )
            )

    def _finished(self, exit_code: int, exit_status: Any) -> None:
        self._read()
        self._read_log()
        if self._process is None:
            return
        crashed = exit_status == qt.QProcess.CrashExit
        how = (
            _("was killed, perhaps because memory ran out")
            if crashed
            else _("ended with code {exit_code}").format(exit_code=exit_code)
        )
        told = next((line for line in reversed(self.log) if line.strip()), "")
        self._ended(
            _("The worker {how}; nothing was changed. Run again, or see the log. {told}")
            .format(how=how, told=told)
            .strip()
        )

    def _ended(self, message: str) -> None:
        waiting = list(self._waiting.values())
        process = self._process
        self._listen(process, False)
        self._forget()
        # A QProcess must not be deleted by what its own signal calls: it is held until that is over.
        qt.QTimer.singleShot(0, lambda: process)
        for on_event in waiting:
            on_event({"event": "error", "message": message, "code": 1})
