"""The inference worker through QProcess: requests out, events in, killed with all its children on cancel.

Everything arrives by Qt signals on the main thread: Python threads starve while Slicer idles.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegWorkflow.process.command_line import extra_environment, library_words, python_program
from ClamSegWorkflow.process.kill import kill_tree
from ClamSegWorkflow.process.worker_requests import OnEvent, WorkerRequests


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

    After `kill` no callback is called any more.
    """

    def __init__(self, on_log: Callable[[str], None] | None = None) -> None:
        self._process: Any = None
        self._requests = WorkerRequests(on_log)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id of the worker itself, 0 until it said so."""
        return self._requests.pid

    @property
    def log(self) -> deque[str]:
        """What the worker printed last."""
        return self._requests.log

    def request(self, command: str, on_event: OnEvent, **values: Any) -> int:
        """Sends a request; its events come later, never before this returns."""
        if self._process is None:
            self._start()
        number, line = self._requests.add(command, on_event, values)
        self._process.write(line)
        return number

    def kill(self) -> None:
        """Ends the worker and its children at once; pending requests are forgotten."""
        process, pid = self._process, self.pid
        self._forget()
        if process is None:
            return
        self._listen(process, False)
        kill_tree(pid, leads_group=True)
        kill_tree(int(process.processId()), leads_group=False)  # before the worker told its pid, this one is known
        process.kill()
        process.waitForFinished(3000)

    def quit(self) -> None:
        """Ends an idle worker in order, a busy one at once."""
        if self._process is not None and not self._requests.is_waiting:
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
        self._process.start(python_program(), library_words("worker", "--parent", str(os.getpid())))

    def _listen(self, process: Any, on: bool) -> None:
        change = process.connect if on else process.disconnect
        change("readyReadStandardOutput()", self._read)
        change("readyReadStandardError()", self._read_log)
        change("finished(int,QProcess::ExitStatus)", self._finished)
        change("errorOccurred(QProcess::ProcessError)", self._failed)

    def _forget(self) -> None:
        self._process = None
        self._requests.forget()

    def _read(self) -> None:
        if self._process is not None:
            self._requests.feed(bytes_of(self._process.readAllStandardOutput()))

    def _read_log(self) -> None:
        if self._process is not None:
            self._requests.feed_log(bytes_of(self._process.readAllStandardError()))

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
        if self._process is not None:
            self._ended(self._requests.words_of_end(exit_code, crashed=exit_status == qt.QProcess.CrashExit))

    def _ended(self, message: str) -> None:
        process = self._process
        self._listen(process, False)
        self._process = None
        # A QProcess must not be deleted by what its own signal calls: it is held until that is over.
        qt.QTimer.singleShot(0, lambda: process)
        self._requests.fail(message)
