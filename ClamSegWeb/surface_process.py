"""The process that makes surfaces: started with the first ones and kept, since its start takes longer than most of them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from ClamSegWeb.surfaces import MADE
from ClamSegWorkflow.process.command_line import extra_environment, python_program
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.words import tr as _


class SurfaceProcess:
    """One at a time; it ends with `close`, or with the page's own process, whose pipe it reads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._errors: Any = None

    def make(self, folder: Path) -> None:
        """Makes the surfaces of the masks in a folder; waits for them, so it is called in a thread.

        Raises:
            SceneError: the process ended before they were made.
            OSError: it could not be started.
        """
        with self._turn:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(f"{folder}\n")
                process.stdin.flush()
                # Libraries may write lines of their own.
                is_made = any(line.strip() == MADE for line in iter(process.stdout.readline, ""))
            except (OSError, ValueError):  # it is gone, or was closed meanwhile
                is_made = False
            if not is_made:
                raise SceneError(self._last_words(process))

    def close(self) -> None:
        """Ends it; whoever waits for surfaces is told that it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        if self._errors is not None:
            self._errors.close()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [python_program(), "-m", "ClamSegWeb.surfaces"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env={**os.environ, **extra_environment(), "PYTHONIOENCODING": "utf-8"}, text=True, encoding="utf-8",
        )  # fmt: skip
        return self._process

    def _last_words(self, process: subprocess.Popen[str]) -> str:
        code = process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-1:]
        return last[0] if last else _("exit code {code}").format(code=code)
