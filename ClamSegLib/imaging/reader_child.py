"""The process that reads files for another one (`reader_process.py`): JSON lines in, JSON lines out, voxels in a file.

First line out: {"ready": true}. Requests: {"path", "series", "folder", "seconds"}; answers: {"kind", "shape", "volume"} with the
voxels in the file that the command line names, or {"error", "code"}. The end of standard input ends it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import ClamSegError

# What makes a file's reading end although nobody waits for it any more.
_SECONDS_AFTER = 5


def main(words: list[str]) -> int:
    """Answers until standard input ends.

    Args:
        words: the file for voxels, and the most memory that this process may take, in MB; 0 for no limit.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    _limit_memory(int(words[1]))
    with suppress(ImportError):  # loaded before the first file comes
        import SimpleITK  # noqa: F401

        if not _is_asked():  # for DICOM only
            import pydicom.pixels  # noqa: F401
    _say(answers, {"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if str(Path.cwd()) != request["folder"]:
            os.chdir(request["folder"])
        _say(answers, _answer(request, Path(words[0])))
    return 0


def _is_asked() -> bool:
    """Whether a file is waited for already; False also where that cannot be known."""
    with suppress(OSError, ValueError):  # on Windows only sockets can be asked
        return bool(select.select([sys.stdin], [], [], 0)[0])
    return False


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _limit_memory(memory_mb: int) -> None:
    if os.name == "nt" or not memory_mb:
        return
    import resource

    with suppress(OSError, ValueError):  # a lower limit may stand already
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with suppress(OSError):  # where memory runs out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _answer(request: dict[str, Any], voxels: Path) -> dict[str, Any]:
    if hasattr(signal, "alarm"):  # ends this process even where C code never comes back
        signal.alarm(int(request["seconds"]) + _SECONDS_AFTER)
    try:
        volume = read_volume(Path(request["path"]), series=request["series"])
        array = np.ascontiguousarray(volume.array)
        with voxels.open("wb") as file:
            array.tofile(file)
        return {"kind": array.dtype.str, "shape": array.shape, "volume": as_json(volume)}
    except ClamSegError as error:
        return {"error": str(error), "code": error.exit_code}
    except MemoryError:
        return {
            "error": f"{request['path']} does not fit into the memory that is free; close other programs.",
            "code": 2,
        }
    except OSError as error:
        return {"error": f"{request['path']} cannot be read ({error.strerror or error}).", "code": 1}
    except Exception as error:  # whatever happens, the next file must find a living reader
        words = " ".join(str(error).split())[:300]
        return {
            "error": f"{request['path']}: internal error ({type(error).__name__}: {words}); please report it.",
            "code": 1,
        }
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def as_json(volume: Volume) -> dict[str, Any]:
    """All but the voxels."""
    values = {field.name: getattr(volume, field.name) for field in fields(Volume) if field.name != "array"}
    values["source"] = None if volume.source is None else str(volume.source)
    values["slice_files"] = [str(file) for file in volume.slice_files]
    return values


def from_json(values: dict[str, Any], array: np.ndarray[Any, Any]) -> Volume:
    """The volume that `as_json` tells of."""
    told: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    told["source"] = None if told["source"] is None else Path(told["source"])
    told["slice_files"] = tuple(Path(file) for file in told["slice_files"])
    return Volume(array, **told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
