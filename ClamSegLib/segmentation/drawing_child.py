"""The process that draws the pictures of cases for another one (`drawing_process.py`), so that Matplotlib is loaded beside torch.

First line out: {"ready": true}. Requests: a JSON line {"folder", "case"} and the bytes of the arrays that stand in the case as
{"kind", "shape"}, in their order; answers: {"drawn": true}, or {"errno", "strerror", "filename"} of the disk, or {"failed"}.
The end of standard input ends it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ClamSegLib.segmentation.pictured_case import PicturedCase, PicturedSlice
from ClamSegLib.system.loading import loading

with loading():
    from ClamSegLib.segmentation.pictures import write_pictures


def main() -> int:
    """Answers until standard input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    answer: dict[str, Any] = {"ready": True}
    gc.disable()
    while True:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        gc.collect()  # figures are circles; looked for while nobody waits
        line = requests.readline()
        if not line:
            return 0
        request = json.loads(line)
        answer = _drawn(Path(request["folder"]), case_of(request["case"], requests))


def _drawn(folder: Path, case: PicturedCase) -> dict[str, Any]:
    try:
        write_pictures(folder, case)
    except OSError as error:
        return {"errno": error.errno, "strerror": error.strerror or str(error), "filename": str(error.filename or "")}
    except Exception as error:
        return {"failed": type(error).__name__}
    return {"drawn": True}


def case_of(told: dict[str, Any], voxels: BinaryIO) -> PicturedCase:
    """The case that `drawing_process.told_of` told of.

    Args:
        told: its JSON values.
        voxels: gives the bytes of its arrays.
    """
    whole = {name: _value(value, voxels) for name, value in told.items()}
    slices = tuple(PicturedSlice(**each) for each in whole.pop("slices"))
    return PicturedCase(**whole | {"slices": slices, "stage": PicturedSlice(**whole["stage"])})


def _value(told: Any, voxels: BinaryIO) -> Any:
    if isinstance(told, list):
        return tuple(_value(each, voxels) for each in told)
    if not isinstance(told, dict):
        return told
    if told.keys() != {"kind", "shape"}:
        return {name: _value(value, voxels) for name, value in told.items()}
    array = np.empty(told["shape"], np.dtype(told["kind"]))
    content = voxels.read(array.nbytes)
    return np.frombuffer(content, array.dtype).reshape(array.shape)


if __name__ == "__main__":
    sys.exit(main())
