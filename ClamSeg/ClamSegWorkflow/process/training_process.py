"""A training that goes on when Slicer closes: started apart, followed by its files, steered by its files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ClamSegWorkflow.process.command_line import extra_environment, library_words, python_program
from ClamSegWorkflow.process.protocol import LineBuffer

_STOP, _PAUSE, _EVENTS, _LOCK = "stop", "pause", "events.jsonl", "run.lock"
# A child that ended stays in the list of processes, as if it lived, until its parent asks for it.
_children: list[subprocess.Popen[bytes]] = []


def start_training(words: list[str], log: Path) -> int:
    """Starts `train` apart from this process; returns its pid.

    Args:
        words: the verb's arguments, e.g. ['DATA', '--output', 'FOLDER'].
        log: file that takes what the training prints.
    """
    environment = {**os.environ, **extra_environment()}
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [python_program(), *library_words("train", *words, "--progress", "json")],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            **apart,
        )
    _children.append(process)
    return process.pid


def _bury_ended() -> None:
    _children[:] = [process for process in _children if process.poll() is None]


def running_trainings(models_folder: Path) -> list[Path]:
    """Folders below `models_folder` in which a training runs now."""
    from ClamSegLib.system.process import running_training

    _bury_ended()
    locks = sorted(models_folder.glob(f"*/{_LOCK}")) if models_folder.is_dir() else []
    return [lock.parent for lock in locks if running_training(lock.parent) is not None]


class TrainingFollower:
    """Reads the events of a training folder as they come; also of a training that another Slicer started."""

    def __init__(self, folder: Path, log: Path | None = None, *, grace_s: float = 60.0) -> None:
        self.folder = Path(folder)
        self._log = log
        self._position = 0
        self._buffer = LineBuffer()
        self._started_s = time.monotonic()
        self._grace_s = grace_s
        self._seen = False

    def new_events(self) -> list[dict[str, Any]]:
        """Events since the last call; cheap enough for a timer."""
        try:
            size = (self.folder / _EVENTS).stat().st_size
            if size < self._position:  # begun again
                self._position, self._buffer = 0, LineBuffer()
            if size == self._position:
                return []
            with (self.folder / _EVENTS).open("rb") as file:
                file.seek(self._position)
                data = file.read(1 << 20)
        except OSError:
            return []
        self._position += len(data)
        return self._buffer.feed(data)

    def is_running(self) -> bool:
        """Whether the training lives; one that was just started and has not locked its folder yet counts."""
        from ClamSegLib.system.process import running_training

        _bury_ended()
        if running_training(self.folder) is not None:
            self._seen = True
            return True
        fresh = not self._seen and time.monotonic() - self._started_s < self._grace_s
        return fresh and not self.last_words()

    def last_words(self) -> str:
        """The error a training ended with before or after it had a folder; '' where there is none."""
        if self._log is None or not self._log.is_file():
            return ""
        events = LineBuffer().feed(self._log.read_bytes() + b"\n")
        errors = [event["message"] for event in events if event["event"] == "error"]
        return str(errors[-1]) if errors else ""

    def stop(self) -> None:
        """Asks the training to finish now and keep the best model."""
        (self.folder / _PAUSE).unlink(missing_ok=True)
        (self.folder / _STOP).touch()

    def pause(self) -> None:
        """Asks it to wait."""
        (self.folder / _PAUSE).touch()

    def go_on(self) -> None:
        """Lets a paused training go on."""
        (self.folder / _PAUSE).unlink(missing_ok=True)

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether it was asked to finish."""
        return (self.folder / _STOP).exists()

    @property
    def is_paused(self) -> bool:
        """Whether it was asked to wait."""
        return (self.folder / _PAUSE).exists()
