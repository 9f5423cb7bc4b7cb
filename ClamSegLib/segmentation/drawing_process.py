"""Drawing the pictures of cases in a process of its own: Matplotlib is loaded while this one loads torch, and draws while it writes.

Where the process cannot be started or ends, the pictures are drawn here.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import Array
from ClamSegLib.segmentation.pictured_case import PicturedCase
from ClamSegLib.system.installation import drawing_problem

PROGRAM = (sys.executable, "-P", "-m", "ClamSegLib.segmentation.drawing_child")
_LIMIT_S = 120.0


class Drawer:
    """Draws one case after the other in another process; any thread may ask.

    Args:
        program: that is started.
    """

    def __init__(self, program: tuple[str, ...] = PROGRAM) -> None:
        self._program = program
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process where none runs, without waiting for it, nor for a case that is being drawn."""
        if self._one_at_a_time.acquire(blocking=False):  # else it runs, or is just being started
            try:
                self._running()
            finally:
                self._one_at_a_time.release()

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and process.poll() is None:
            return process
        self.stop()
        library = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH", ""))))
        self._process = process = subprocess.Popen(
            self._program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        return process

    def draw(self, case: PicturedCase, folder: Path) -> None:
        """Writes the pictures of a case into a folder; here where the process cannot be started, ends or is stopped.

        Raises:
            OSError: of the disk, as if it were written to here.
        """
        with self._one_at_a_time:
            try:
                answer = self._answer(self._running(), case, folder.absolute())
            except (OSError, ValueError, RuntimeError):  # the last where no thread can be started
                answer = {}
        if "errno" in answer:
            raise OSError(answer["errno"], answer["strerror"], answer["filename"] or None)
        if not answer.get("drawn"):
            draw_here(case, folder)

    @staticmethod
    def _answer(process: subprocess.Popen[bytes], case: PicturedCase, folder: Path) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        arrays: list[Array] = []
        request = {"folder": str(folder), "case": told_of(case, arrays)}
        limit = threading.Timer(_LIMIT_S, process.kill)  # one that stands still is not waited for
        limit.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            for array in arrays:
                process.stdin.write(np.ascontiguousarray(array).data)
            process.stdin.flush()
            for line in process.stdout:
                answer: dict[str, Any] = json.loads(line)
                if "ready" not in answer:
                    return answer
            return {}
        finally:
            limit.cancel()

    def stop(self) -> None:
        """Ends the process, also while it draws."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()


def told_of(value: Any, arrays: list[Array]) -> Any:
    """A pictured case as JSON values.

    Args:
        value: the case, or a part of it.
        arrays: gets its arrays, in the order in which they stand in it.
    """
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"kind": value.dtype.str, "shape": value.shape}
    if isinstance(value, tuple):
        return [told_of(each, arrays) for each in value]
    if is_dataclass(value):
        return {field.name: told_of(getattr(value, field.name), arrays) for field in fields(value)}
    return value


class _Shared:
    """This process's drawer: kept once it runs, used while somebody is in `drawing_apart`."""

    drawer = Drawer()
    users = 0


atexit.register(_Shared.drawer.stop)


def begin_drawing() -> None:
    """Starts the process that will draw, where there is something to draw with, without waiting for it."""
    if not drawing_problem():
        with suppress(OSError):
            _Shared.drawer.start()


@contextmanager
def drawing_apart() -> Iterator[None]:
    """While the block runs, `draw` draws in a process of its own, which goes with the block when that ends early.

    It starts with the first picture, or with `begin_drawing` before.
    """
    _Shared.users += 1
    try:
        yield
    except BaseException:
        _Shared.drawer.stop()
        raise
    finally:
        _Shared.users -= 1


def draw(case: PicturedCase, folder: Path) -> None:
    """Writes the pictures of a case; inside `drawing_apart` in another process."""
    if _Shared.users:
        _Shared.drawer.draw(case, folder)
    else:
        draw_here(case, folder)


def draw_here(case: PicturedCase, folder: Path) -> None:
    """Writes the pictures of a case in this process."""
    from ClamSegLib.segmentation.pictures import write_pictures

    write_pictures(folder, case)
