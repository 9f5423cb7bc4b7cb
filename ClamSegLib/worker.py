"""The inference process behind the panel: JSON lines in, JSON lines out, the model kept loaded between cases.

Requests, one object a line on stdin:
    {"id": 1, "command": "hello"}                       versions, devices, models
    {"id": 2, "command": "segment", "input": PATH, "model": NAME_OR_DIR, "output": DIR,
     "options": {"device", "level", "organ", "threshold", "batch_size", "minimum_volume_ml"},
     "series": null, "dicom_seg": false, "overwrite": false}
    {"id": 3, "command": "dicom_seg", "segmentation": SEG_NRRD, "input": DICOM_FOLDER, "output": FILE, "model": NAME}
    {"id": 4, "command": "quit"}

Answers carry the id: `progress`, `warning`, `note` while it runs, then one `done` (segment: folder, summary) or
`error` (message, code as the exit codes of the command line). Lines that are no request get an error with id
null. The end of stdin ends the process; cancelling is killing it: outputs appear whole or not at all.
Stdout carries nothing else: what libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from ClamSegLib import __version__
from ClamSegLib.errors import ClamSegError, InputError
from ClamSegLib.progress import JsonReporter

_COMMANDS = ("hello", "segment", "dicom_seg", "quit")
_OPTIONS = {
    "device": str,
    "level": int,
    "organ": str,
    "threshold": float,
    "batch_size": int,
    "minimum_volume_ml": float,
}


def claim_stdout() -> TextIO:
    """Takes the real stdout for answers and points file descriptor 1 at stderr, also for C libraries."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


class Worker:
    """Answers requests until 'quit' or the end of input."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers
        self._model: Any = None
        self._model_key: tuple[str, str] | None = None

    def run(self) -> int:
        """Exit code 0 when told to end."""
        for line in self._requests:
            if not line.strip():
                continue
            if not self._answer(line):
                break
        return 0

    def _answer(self, line: str) -> bool:
        """Answers one line; False ends the process."""
        reporter = JsonReporter(self._answers, {"id": None})
        try:
            request = self._parsed(line)
            reporter = JsonReporter(self._answers, {"id": request.get("id")})
            if request.get("command") not in _COMMANDS:
                raise InputError(f"The request needs a 'command': one of {', '.join(_COMMANDS)}.")
            if request["command"] == "quit":
                reporter.done()
                return False
            reporter.done(**self._do(request, reporter))
        except ClamSegError as error:
            reporter.error(str(error), code=error.exit_code)
        except MemoryError:
            reporter.error("Memory ran out; close other programs, or use a smaller batch.", code=1)
        except Exception as error:  # whatever happens, the next request must find a living worker
            words = " ".join(str(error).split())[:300]
            reporter.error(f"Internal error ({type(error).__name__}: {words}); please report it.", code=1)
        return True

    @staticmethod
    def _parsed(line: str) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError("The line is not JSON; send one JSON object a line.") from error
        if not isinstance(request, dict):
            raise InputError("The line is no JSON object; send one JSON object a line.")
        return request

    def _do(self, request: dict[str, Any], reporter: JsonReporter) -> dict[str, Any]:
        if request["command"] == "hello":
            return _hello()
        if request["command"] == "segment":
            return self._segment(request, reporter)
        return _dicom_seg(request)

    def _load(self, name: str) -> Any:
        """The model, loaded once for all cases until another is asked for or its file changes."""
        from ClamSegLib.checkpoint import load_model, read_config
        from ClamSegLib.registry import find_model

        folder = find_model(name)
        key = (str(folder), read_config(folder).weights_sha256)
        if key != self._model_key:
            self._model, self._model_key = None, None
            self._model = load_model(folder)
            self._model_key = key
        return self._model

    def _segment(self, request: dict[str, Any], reporter: JsonReporter) -> dict[str, Any]:
        from ClamSegLib.inference import SegmentOptions, segment_volume
        from ClamSegLib.outputs import refuse_existing
        from ClamSegLib.report import write_case
        from ClamSegLib.volume_files import read_volume

        _need(request, "input", "model", "output")
        output = Path(request["output"])
        refuse_existing(output, bool(request.get("overwrite")))
        model = self._load(request["model"])
        options = SegmentOptions(**_options(request.get("options") or {}))
        reporter.progress(0, 1, "reading")
        volume = read_volume(Path(request["input"]), series=request.get("series"))
        result = segment_volume(volume, model, options, reporter)
        reporter.progress(0, 1, "writing")
        write_case(result, output, dicom_seg=bool(request.get("dicom_seg")), overwrite=bool(request.get("overwrite")))
        return {"folder": str(output), "summary": result.summary(), "lesions": len(result.lesions)}


def _need(request: dict[str, Any], *names: str) -> None:
    missing = [name for name in names if not isinstance(request.get(name), str) or not request[name]]
    if missing:
        raise InputError(f"The request '{request['command']}' needs {', '.join(missing)} as text.")


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Checked options; null means the default."""
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise InputError(f"Unknown options {', '.join(unknown)}; allowed are {', '.join(_OPTIONS)}.")
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        kind = _OPTIONS[name]
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or isinstance(value, bool):
            raise InputError(f"Option {name} must be {kind.__name__}, came {value!r}.")
        checked[name] = kind(value)
    if not 0 < checked.get("threshold", 0.5) < 1 or checked.get("batch_size", 1) < 1:
        raise InputError("threshold must lie between 0 and 1, and batch_size must be at least 1.")
    return checked


def _hello() -> dict[str, Any]:
    """Versions, devices with free memory, and models."""
    import platform

    import torch

    from ClamSegLib.device import free_memory_bytes
    from ClamSegLib.registry import list_models

    devices: list[dict[str, Any]] = [
        {"name": "cpu", "description": platform.processor() or platform.machine(), "free_mb": None}
    ]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.device("cuda", index)
        free = free_memory_bytes(device)
        devices.append(
            {"name": str(device), "description": torch.cuda.get_device_name(device), "free_mb": (free or 0) // 2**20}
        )
    return {"clamseg": __version__, "torch": torch.__version__, "devices": devices, "models": list_models()}


def _dicom_seg(request: dict[str, Any]) -> dict[str, Any]:
    """DICOM SEG from a (corrected) segmentation file and the series it was drawn on."""
    from ClamSegLib.dicom_seg import write_dicom_seg
    from ClamSegLib.outputs import whole_file
    from ClamSegLib.segmentation_file import read_segmentation
    from ClamSegLib.volume_files import read_volume

    _need(request, "segmentation", "input", "output")
    volume = read_volume(Path(request["input"]), series=request.get("series"))
    segments = read_segmentation(Path(request["segmentation"]), volume)
    with whole_file(Path(request["output"])) as part:
        write_dicom_seg(part, segments, volume, series_description=f"ClamSeg {request.get('model', '')}".strip())
    return {"file": request["output"]}
