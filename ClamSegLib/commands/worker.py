"""The inference process behind a front: JSON lines in, JSON lines out, the model kept loaded between cases.

First line out: {"event": "started", "id": null, "pid": N, "clamseg": VERSION, "protocol": 1}.

Requests, one object a line on stdin:
    {"id": 1, "command": "hello"}           versions, what works, devices, models; never fails
    {"id": 2, "command": "inspect", "input": PATH, "model": NAME_OR_DIR, "options": {"device", "organ"}, "outline": null}
        -> organ {method, quality, fell_back, problem}, warnings, slices, plane, spacing_known
        "outline": a file.npy that takes the organ, (slice, row, column) uint8 in the frame of the input.
    {"id": 3, "command": "segment", "input": PATH, "model": NAME_OR_DIR, "output": DIR,
     "options": {of segmentation/options.py, null for the default},
     "series": null, "dicom_seg": false, "overwrite": false,
     "accepted": [], "arrays": false, "pictures": true, "first_slice": null, "first_file": null}
        "accepted": doubts shown before the run, kept in report.json. "arrays": labels.npy, probability.npy and
        components.npy in the frame of the input instead of the compressed image files. An `inspect` of the same
        file, model, device and organ just before is not done again. "first_slice": a voxel [slice, row, column] of the
        input; the slice of the model's plane that holds it, and those beside it, run first by themselves and go to
        "first_file", a file.npy, as in labels.npy, before a `preview`: file, start (their first voxel in the input),
        slices (first and last, canonical). It is provisional: smoothing, the whole volume and the smallest volume
        may change it. No `preview` comes where it failed.
    {"id": 4, "command": "dicom_seg", "segmentation": SEG_NRRD, "input": DICOM_FOLDER, "output": FILE, "model": NAME}
    {"id": 4, "command": "dicom_sr", "labels": NRRD, "lesions": [{of LesionFinding, imaging/dicom_sr.py}],
     "found_by": {of FoundBy, likewise}, "input": DICOM_FOLDER, "output": FILE, "segmentation": FILE}
        "labels": n where the n-th lesion lies. "segmentation" becomes the DICOM SEG that the SR in "output" measures.
    {"id": 5, "command": "read", "input": PATH, "output": DIR, "series": null}
        any scan ClamSeg reads, for a front that reads no files itself: DIR/voxels.npy (slice, row, column) and
        -> shape, spacing_mm, origin, direction (LPS), spacing_known, is_picture, modality, description, warnings,
        missing_slices, stack_doubt; the last two belong into `inspect` and `segment` of a file that a front makes of it
    {"id": 6, "command": "try_engine", "engine": NAME, "model": NAME_OR_DIR}   -> engine, difference of probability
    {"id": 7, "command": "titles", "input": PATH}
        -> series [{uid, patient, description, date, modality, n_slices}], for a screen only
    {"id": 8, "command": "quit"}

Answers carry the id: `progress`, `warning`, `note`, `preview` while it runs, then one `done` (segment: folder, summary) or
`error` (message, code as the exit codes of the command line). Lines that are no request get an error with id
null. The end of stdin ends the process; cancelling is killing it: outputs appear whole or not at all.
Stdout carries nothing else: what libraries print goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ClamSegLib import __version__
from ClamSegLib.commands.worker_dicom import dicom_seg, dicom_sr
from ClamSegLib.commands.worker_request import need
from ClamSegLib.system.device import take_threads
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.installation import drawing_problem, examine_installation, require_torch
from ClamSegLib.system.process import end_with
from ClamSegLib.system.progress import JsonReporter, Reporter

if TYPE_CHECKING:
    from ClamSegLib.segmentation.first_slices import FirstLook
    from ClamSegLib.segmentation.options import SegmentOptions

NAME = "worker"
HELP = "answer JSON requests on standard input, for programs such as the Slicer panel"

_COMMANDS = ("hello", "inspect", "segment", "dicom_seg", "dicom_sr", "read", "titles", "try_engine", "quit")
PROTOCOL = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `worker`."""
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    parser.add_argument("--parent", type=int, default=0, metavar="PID", help="end when this process is gone")


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Answers until told to end; exit code 0."""
    from ClamSegLib.system.silence_c_output import claim_stdout

    answers = claim_stdout("utf-8")
    sys.stdout = sys.stderr
    if arguments.parent:
        end_with(arguments.parent)
    take_threads(arguments.threads)
    return Worker(sys.stdin, answers).run()


class Worker:
    """Answers requests until 'quit' or the end of input."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers
        self._model: Any = None
        self._model_key: tuple[str, Any] | None = None
        self._inspection: Any = None
        self._inspection_key: tuple[Any, ...] | None = None

    def run(self) -> int:
        """Exit code 0 when told to end."""
        from ClamSegLib.imaging.reader_process import reading_apart

        started = {"event": "started", "id": None, "pid": os.getpid(), "clamseg": __version__, "protocol": PROTOCOL}
        self._answers.write(json.dumps(started) + "\n")
        self._answers.flush()
        with reading_apart():
            for line in self._requests:
                if line.strip() and not self._answer(line):
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
        except Exception as error:  # whatever happens, the next request must find a living worker
            words = " ".join(str(error).split())[:300]
            internal = f"Internal error ({type(error).__name__}: {words}); please report it."
            reporter.error(words_of_the_machine(error) or internal, code=1)
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
        if request["command"] == "dicom_seg":
            return dicom_seg(request)
        if request["command"] == "dicom_sr":
            return dicom_sr(request)
        if request["command"] == "read":
            return _read(request, reporter)
        if request["command"] == "titles":
            return _titles(request)
        require_torch()
        if request["command"] == "inspect":
            return self._inspect(request, reporter)
        if request["command"] == "try_engine":
            return self._try_engine(request)
        return self._segment(request, reporter)

    def _load(self, name: str) -> Any:
        """The model, loaded once for all cases until another is asked for or its configuration changes."""
        from ClamSegLib.model.checkpoint import load_model
        from ClamSegLib.model.model_folder import read_config
        from ClamSegLib.model.registry import find_model

        folder = find_model(name)
        key = (str(folder), read_config(folder))  # the same weights may be decoded otherwise
        if key != self._model_key:
            self._model, self._model_key = None, None
            self._model = load_model(folder)
            self._model_key = key
        return self._model

    def _inspection_of(self, request: dict[str, Any], model: Any, options: SegmentOptions, reporter: Reporter) -> Any:
        """The volume with its organ, inspected again only where file, model, device or organ request changed."""
        from ClamSegLib.imaging.reader_process import read_volume
        from ClamSegLib.segmentation.inspection import inspect
        from ClamSegLib.segmentation.missing_slices import with_lacking

        path = Path(request["input"])
        files = [path, Path(options.organ)]
        stamps = tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files if f.is_file())
        told = str([request.get(name) for name in ("series", "missing_slices", "stack_doubt")])
        key = (str(path), stamps, self._model_key, options.device, options.organ, told)
        if path.is_file() and key == self._inspection_key:
            for message in self._inspection.warnings:
                reporter.warning(message)
            return self._inspection
        self._inspection, self._inspection_key = None, None
        reporter.progress(0, 1, "reading")
        volume = with_lacking(read_volume(path, series=request.get("series")), request)
        reporter.progress(0, 1, "finding the organ")
        self._inspection = inspect(volume, model, options, reporter)
        self._inspection_key = key
        return self._inspection

    def _inspect(self, request: dict[str, Any], reporter: JsonReporter) -> dict[str, Any]:
        need(request, "input", "model")
        model = self._load(request["model"])
        found = self._inspection_of(request, model, _options(request), reporter)
        if request.get("outline"):
            need(request, "outline")
            _write_outline(Path(request["outline"]), found, model.config.plane)
        told = {name: getattr(found.organ, name) for name in ("method", "fell_back", "problem")}
        return {
            "organ": {**told, "quality": round(found.organ.quality, 3)},
            "warnings": list(found.warnings),
            "slices": int(found.turned.array.shape[0]),
            "plane": model.config.plane,
            "spacing_known": found.volume.spacing_known,
        }

    def _try_engine(self, request: dict[str, Any]) -> dict[str, Any]:
        from ClamSegLib.engines.self_test import try_engine

        need(request, "engine", "model")
        return {"engine": request["engine"], "difference": try_engine(self._load(request["model"]), request["engine"])}

    def _segment(self, request: dict[str, Any], reporter: JsonReporter) -> dict[str, Any]:
        from ClamSegLib.segmentation.report import CASE, write_case
        from ClamSegLib.segmentation.segment_volume import segment_volume
        from ClamSegLib.system.atomic_output import refuse_existing

        need(request, "input", "model", "output")
        output = Path(request["output"])
        overwrite = bool(request.get("overwrite"))
        refuse_existing(output, overwrite, CASE)
        accepted = request.get("accepted") or []
        if not isinstance(accepted, list) or not all(isinstance(text, str) for text in accepted):
            raise InputError("'accepted' must be a list of sentences.")
        look = _first_look(request, reporter)
        model = self._load(request["model"])
        options = _options(request)
        found = self._inspection_of(request, model, options, reporter)
        result = segment_volume(found.volume, model, options, reporter, found, look)
        self._inspection, self._inspection_key = None, None  # a large scan is not kept in memory for nothing
        reporter.progress(0, 1, "writing")
        pictures = bool(request.get("pictures", True))
        if pictures and drawing_problem():
            reporter.note(drawing_problem())
        write_case(
            result,
            output,
            dicom_seg=bool(request.get("dicom_seg")),
            overwrite=overwrite,
            arrays=bool(request.get("arrays")),
            pictures=pictures,
            accepted=accepted,
        )
        return {"folder": str(output), "summary": result.summary(), "lesions": len(result.lesions)}


def _first_look(request: dict[str, Any], reporter: JsonReporter) -> FirstLook | None:
    """The look at some slices before all others that a request asks for; what it finds is written, then told."""
    from ClamSegLib.segmentation.first_slices import FirstLook, FirstSlices, voxel_of

    if request.get("first_slice") is None:
        return None
    need(request, "first_file")
    path = Path(request["first_file"])

    def tell(found: FirstSlices) -> None:
        _write_own(path, found.labels, "first look")
        reporter.preview(file=str(path), start=list(found.start), slices=[found.first, found.last])

    return FirstLook(voxel_of(request["first_slice"]), tell)


def _write_outline(path: Path, found: Any, plane: str) -> None:
    """The organ in the frame of the input."""
    from ClamSegLib.imaging.volume import canonical_orientation

    _write_own(path, canonical_orientation(found.volume, plane).undo(found.organ.mask), "outline")


def _write_own(path: Path, array: Any, what: str) -> None:
    """Writes an array in the frame of the input as uint8.

    Raises:
        OutputError: not writable, disk full.
    """
    import numpy as np

    from ClamSegLib.system.errors import OutputError

    try:
        np.save(path, np.ascontiguousarray(array).astype(np.uint8), allow_pickle=False)
    except OSError as error:
        raise OutputError(
            f"The {what} cannot be written to {path} ({error.strerror}); choose another place."
        ) from error


def _options(request: dict[str, Any]) -> SegmentOptions:
    """The checked options of a request; null means the default."""
    from ClamSegLib.model.config_json import from_json
    from ClamSegLib.segmentation.options import SegmentOptions

    given = request.get("options") or {}
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value is not None}
    return from_json(SegmentOptions, given, "options")


def _hello() -> dict[str, Any]:
    """Versions, what works, devices with free memory, and models."""
    from ClamSegLib.model.registry import list_models

    return {"clamseg": __version__, **examine_installation(), "models": list_models()}


def _read(request: dict[str, Any], reporter: JsonReporter) -> dict[str, Any]:
    """A scan as an array in a folder of its own, and where it lies."""
    import numpy as np

    from ClamSegLib.imaging.reader_process import read_volume
    from ClamSegLib.system.atomic_output import whole_file

    need(request, "input", "output")
    reporter.progress(0, 1, "reading")
    volume = read_volume(Path(request["input"]), series=request.get("series"))
    folder = Path(request["output"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made a folder ({error.strerror}); name another 'output'.") from error
    with whole_file(folder / "voxels.npy") as part, part.open("wb") as file:
        np.save(file, np.ascontiguousarray(volume.array), allow_pickle=False)
    return {
        "file": str(folder / "voxels.npy"),
        "shape": list(volume.array.shape),
        "spacing_mm": list(volume.spacing_mm),
        "origin": list(volume.origin),
        "direction": list(volume.direction),
        "spacing_known": volume.spacing_known,
        "is_picture": volume.is_picture,
        "modality": volume.modality,
        "description": " ".join(filter(None, (volume.description, volume.body_part))),
        "warnings": list(volume.warnings),
        "missing_slices": list(volume.missing_slices),
        "stack_doubt": volume.stack_doubt,
    }


def _titles(request: dict[str, Any]) -> dict[str, Any]:
    """What people call the series of a DICOM folder or file."""
    from ClamSegLib.imaging.dicom_titles import series_titles

    need(request, "input")
    return {"series": [asdict(title) for title in series_titles(Path(request["input"]))]}
