"""`python -m ClamSegLib <verb>`: the command line."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn


def _end_at_once(_signal: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"error: cancelled; nothing half-written was left\n")
    os._exit(130)


def main() -> int:
    """Entry point of a process: until the command line is loaded and takes over, nothing was begun that needs an end."""
    signal.signal(signal.SIGTERM, _end_at_once)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background Ctrl-C may be ignored
        signal.signal(signal.SIGINT, _end_at_once)
    try:
        from ClamSegLib.cli import main as command_line
    except (MemoryError, OSError, ImportError) as error:
        words = " ".join(str(error).split()) or "memory ran out"
        cure = "close other programs and try again"
        if isinstance(error, ImportError):  # a library is missing, or did not fit into memory
            cure = "install ClamSeg again, or close other programs where memory is short"
        os.write(2, f"error: the program could not be loaded ({words}); {cure}\n".encode())
        return 1
    code = command_line()
    gc.freeze()  # nothing is looked through once more at the end: the system takes the memory back
    _leave(code)
    return code


def _leave(code: int) -> None:
    """Ends the process as Python does, but for taking its modules apart: the system takes them back ten times as fast."""
    if any(not each.daemon for each in threading.enumerate() if each is not threading.main_thread()):
        return  # Python waits for them
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            return
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
