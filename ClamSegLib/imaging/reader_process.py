"""Reading files in a process of its own, so that a reader that dies, hangs or takes all memory costs one file.

One process reads all files of a batch, of the worker, of the page; it is started anew when it ended. Voxels come through shared
memory where the system has it, else through a file in a private folder; nothing is pickled.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib.imaging.read_write import check_path
from ClamSegLib.imaging.read_write import read_volume as read_here
from ClamSegLib.imaging.reader_child import from_json
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import Cancelled, ClamSegError, InputError
from ClamSegLib.system.memory import cpu_memory_mb

PROGRAM = (sys.executable, "-P", "-m", "ClamSegLib.imaging.reader_child")
_START_S, _END_S = 60.0, 10.0
# A slow network drive gives a megabyte or a few slices in a second.
_SECONDS, _BYTES_A_SECOND, _SECONDS_A_SLICE = 120.0, 1 << 20, 1.0
_MEMORY_SHARE = 0.8


class ScanReader:
    """Reads files one after the other in another process; any thread may ask.

    Args:
        program: that is started, with the file for voxels and the memory limit as its last words.
        seconds: that reading may take at least; more for large files.
    """

    def __init__(self, program: Sequence[str] = PROGRAM, seconds: float = _SECONDS) -> None:
        self._program, self._seconds = tuple(program), seconds
        self._one_at_a_time = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        self._asked: tuple[object, ...] | None = None  # not answered yet
        self._ready = self._unusable = False
        self._stops = 0
        self._folder: Path | None = None
        self._memory: int | None = None

    def start(self) -> None:
        """Starts the process where none runs, without waiting for it."""
        with self._one_at_a_time:
            if self._process is not None and self._process.poll() is None:
                return
            self._end(self._process)
            voxels, shared = self._voxel_file()
            self._answers, self._ready, self._asked = queue.Queue(), False, None
            library = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH", ""))))
            _, total_mb = cpu_memory_mb()
            limit = str(int((total_mb or 0) * _MEMORY_SHARE))
            self._process = subprocess.Popen(
                [*self._program, voxels, limit], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=shared, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
            threading.Thread(target=_lines, args=(self._process, self._answers), daemon=True).start()

    def begin(self, path: Path, *, series: str | None = None) -> None:
        """Asks for a file that `read` will be called for, without waiting for it; `give_up` where it will not.

        What cannot be asked for is not begun: `read` tells what is wrong with it. Nor is a folder, any file
        of which may change before `read` is called.
        """
        with self._one_at_a_time, suppress(OSError, ValueError, ClamSegError):
            check_path(path)
            state = _state_of(path, series)
            if self._asked == state:
                return  # begun before
            self.give_up()
            if path.is_file():
                self.start()
                self._ask(path, series, state, self._seconds + _slowness(path))

    def give_up(self) -> None:
        """Ends the process where it reads a file that nobody has called `read` for."""
        if self._asked is not None:
            self.stop()

    def read(self, path: Path, *, series: str | None = None) -> Volume:
        """As `read_write.read_volume`, in the other process.

        Raises:
            InputError: also where the file ended the reader, or took it too long.
        """
        path = Path(path)
        check_path(path)
        with self._one_at_a_time:
            state = _state_of(path, series)
            if self._asked != state:
                self.give_up()
            if not self._is_ready():
                return read_here(path, series=series)  # this machine starts no process
            process = self._process
            assert process is not None
            limit_s = self._seconds + _slowness(path)
            try:
                if self._asked is None:
                    self._ask(path, series, state, limit_s)
                answer = self._answers.get(timeout=limit_s)
                self._asked = None
            except queue.Empty:
                self._end(process)
                raise InputError(
                    f"{path} could not be read within {limit_s:.0f} seconds; it is damaged, or its drive does not answer."
                ) from None
            except (OSError, ValueError):  # it ended before, or was stopped
                answer = None
            if answer is None:
                raise InputError(
                    f"{path} ended the process that reads files ({self._how_it_ended(process)}); it is damaged in an unusual way, or larger "
                    "than the memory. Copy or export it again."
                )
            return self._volume(json.loads(answer))

    def stop(self) -> None:
        """Ends the process, also while it reads for another thread, and takes its files away."""
        self._stops += 1
        process, self._process, self._asked = self._process, None, None
        self._end(process)
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _end(process: subprocess.Popen[bytes] | None) -> None:
        if process is None:
            return
        process.kill()
        process.wait()
        with suppress(OSError, ValueError):
            if process.stdin is not None:
                process.stdin.close()

    def _ask(self, path: Path, series: str | None, state: tuple[object, ...], limit_s: float) -> None:
        """Sends the question for a file to the process, which answers when it has read it."""
        assert self._process is not None
        assert self._process.stdin is not None
        asked = {"path": str(path), "series": series, "folder": str(Path.cwd()), "seconds": limit_s}
        self._asked = state  # before it is sent: no answer may come to a question that nobody knows of
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()

    def _is_ready(self) -> bool:
        """Starts it where it does not run; False where it cannot be started here.

        Raises:
            Cancelled: it was stopped meanwhile by somebody else.
        """
        if self._unusable:
            return False
        for _ in range(2):
            stops = self._stops
            try:
                self.start()
                self._ready = self._ready or self._answers.get(timeout=_START_S) is not None
            except (OSError, queue.Empty):
                self._ready = False
            if self._ready:
                return True
            if self._stops != stops:
                raise Cancelled("Reading was stopped.")
            self.stop()
        self._unusable = True
        return False

    def _how_it_ended(self, process: subprocess.Popen[bytes]) -> str:
        with suppress(subprocess.TimeoutExpired):  # its pipe is closed, or a stop was asked for
            process.wait(_END_S)
        self._end(process)
        code = process.returncode
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"code {code}"

    def _voxel_file(self) -> tuple[str, tuple[int, ...]]:
        """The name under which the other process finds the file for voxels, and what it has to inherit for that."""
        if hasattr(os, "memfd_create"):
            self._memory = self._memory if self._memory is not None else os.memfd_create("voxels")
            return f"/proc/self/fd/{self._memory}", (self._memory,)
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="clamseg-reading-"))
        return str(self._folder / "voxels"), ()

    def _volume(self, answer: dict[str, Any]) -> Volume:
        if "error" in answer:
            error = InputError if answer["code"] == InputError.exit_code else ClamSegError
            raise error(answer["error"])
        array = np.empty(answer["shape"], np.dtype(answer["kind"]))
        if self._memory is not None:
            os.lseek(self._memory, 0, os.SEEK_SET)
            with os.fdopen(os.dup(self._memory), "rb", buffering=0) as file:
                _fill(array, file)
            os.ftruncate(self._memory, 0)
        else:
            assert self._folder is not None
            with (self._folder / "voxels").open("rb", buffering=0) as file:
                _fill(array, file)
            os.truncate(self._folder / "voxels", 0)
        return from_json(answer["volume"], array)


def _fill(array: np.ndarray[Any, Any], file: Any) -> None:
    room = memoryview(array.reshape(-1).view(np.uint8))
    while room:
        count = file.readinto(room)
        if not count:
            raise ClamSegError("The voxels of the scan did not arrive; free some memory and try again.")
        room = room[count:]


def _lines(process: subprocess.Popen[bytes], answers: queue.Queue[bytes | None]) -> None:
    """Passes the lines of a process on, and None when it has ended."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put(None)


def _state_of(path: Path, series: str | None) -> tuple[object, ...]:
    """What a file was asked for by, and its size and time then: one that changes after it was begun is read anew."""
    try:
        told = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the name and the folder.") from error
    return path.absolute(), series, told.st_size, told.st_mtime_ns


def _slowness(path: Path) -> float:
    """Seconds more that a large file or a folder of many may take."""
    if path.is_dir():
        return _SECONDS_A_SLICE * sum(len(names) for _, _, names in os.walk(path))
    return path.stat().st_size / _BYTES_A_SECOND


class _Shared:
    """This process's reader: kept once it runs, used while somebody is in `reading_apart`."""

    reader = ScanReader()
    users = 0


atexit.register(_Shared.reader.stop)


@contextmanager
def reading_apart(at_once: bool = True) -> Iterator[None]:
    """While the block runs, `read_volume` of this file reads in a process of its own.

    When the block ends early, a file that is being read is given up.

    Args:
        at_once: start it now, without waiting for it; else with the first file, where there may be none.
    """
    if at_once:
        with suppress(OSError):
            _Shared.reader.start()
    _Shared.users += 1
    try:
        yield
    except BaseException:
        _Shared.reader.stop()
        raise
    finally:
        _Shared.users -= 1
        if not _Shared.users:
            _Shared.reader.give_up()


def begin_reading(path: Path, *, series: str | None = None) -> None:
    """Inside `reading_apart`: begins a file that `read_volume` will be called for, while something else is done."""
    _Shared.reader.begin(path, series=series)


def read_volume(path: Path, *, series: str | None = None) -> Volume:
    """As `read_write.read_volume`; inside `reading_apart` in another process, so that a reader that ends costs one file."""
    if _Shared.users:
        return _Shared.reader.read(path, series=series)
    return read_here(path, series=series)
