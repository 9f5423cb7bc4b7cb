"""A program run once, as in Slicer behind a launcher: what is told of its end, and what stays of it."""

from __future__ import annotations

import os
import signal
from typing import Any

from ClamSegLib.system.process import is_alive

_WAITS = ["-c", "import time; print('begun', flush=True); time.sleep(60)"]


def test_a_killed_program_is_told_as_killed_and_the_launchers_own_line_is_not_shown(window: Any, launcher: Any) -> None:
    from ClamSegPanel.qt_command import SingleCommand

    ends: list[tuple[int, str, str]] = []
    command = SingleCommand([], lambda *end: ends.append(end), arguments=_WAITS)
    window.wait_until(launcher.pids)
    os.kill(launcher.pids()[0], signal.SIGKILL)
    window.wait_until(lambda: ends)
    ((code, _, error),) = ends
    assert (code, error.strip()) == (1, "It was killed, perhaps because memory ran out.")
    assert command is not None


def test_a_cancelled_program_leaves_nothing_behind_its_launcher(window: Any, launcher: Any) -> None:
    from ClamSegPanel.qt_command import SingleCommand

    command = SingleCommand([], lambda *end: None, arguments=_WAITS)
    window.wait_until(launcher.pids)
    command.kill()
    window.wait_until(lambda: not is_alive(launcher.pids()[0]))
