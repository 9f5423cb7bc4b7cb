"""A program of Python run once: a verb of the library, a download by pip, a script of the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegPanel.qt_worker import bytes_of, process_environment
from ClamSegWorkflow.process.command_line import library_words, python_program
from ClamSegWorkflow.process.kill import kill_tree
from ClamSegWorkflow.process.launcher import without_launchers_line
from ClamSegWorkflow.process.protocol import LineBuffer

OnEnd = Callable[[int, str, str], None]


class SingleCommand:
    """One process; `on_end(exit_code, stdout, stderr)` is called once, never after `kill`.

    Args:
        words: verb of the library and its arguments.
        on_event: is given the JSON lines as they come.
        arguments: of Python, in the place of a verb.
    """

    def __init__(
        self,
        words: list[str],
        on_end: OnEnd,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        *,
        arguments: list[str] | None = None,
    ) -> None:
        self._on_end, self._on_event = on_end, on_event
        self._out, self._err = b"", b""
        self._buffer = LineBuffer()
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(process_environment())
        self._process.connect("readyReadStandardOutput()", self._read)
        self._process.connect("readyReadStandardError()", self._read_error)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        self._process.start(python_program(), arguments if arguments is not None else library_words(*words))

    def kill(self) -> None:
        """Ends it without a word."""
        if self._process is not None:
            process, self._process = self._process, None
            kill_tree(int(process.processId()), leads_group=False)
            process.kill()
            process.waitForFinished(2000)

    def _read(self) -> None:
        if self._process is None:
            return
        data = bytes_of(self._process.readAllStandardOutput())
        self._out += data
        if self._on_event is not None:
            for event in self._buffer.feed(data):
                self._on_event(event)

    def _read_error(self) -> None:
        if self._process is not None:
            self._err += bytes_of(self._process.readAllStandardError())

    def _failed(self, error: Any) -> None:
        if self._process is not None and error == qt.QProcess.FailedToStart:
            self._end(
                1,
                _("{python_program} could not be started; use Setup, Repair.").format(python_program=python_program()),
            )

    def _finished(self, exit_code: int, exit_status: Any) -> None:
        if self._process is None:
            return
        self._read()
        self._read_error()
        error, killed = without_launchers_line(self._err.decode("utf-8", "replace"))
        if killed or exit_status == qt.QProcess.CrashExit:
            self._end(1, error + "\n" + _("It was killed, perhaps because memory ran out."))
        else:
            self._end(int(exit_code), error)

    def _end(self, exit_code: int, error: str) -> None:
        process, self._process = self._process, None
        # A QProcess must not be deleted by what its own signal calls: it is held until that is over.
        qt.QTimer.singleShot(0, lambda: process)
        self._on_end(exit_code, self._out.decode("utf-8", "replace"), error)
