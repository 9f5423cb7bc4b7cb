"""The inference process behind a front: JSON lines in, JSON lines out, the model kept loaded between cases.

First line out: {"event": "started", "id": null, "pid": N, "clamseg": VERSION, "protocol": 1}.

Requests, one object a line on stdin:
    {"id": 1, "command": "hello"}           versions, what works, devices, models; never fails
        While torch is loaded there is a `greeting` before `done`: clamseg, python, packages, engines, models.
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
`error` (message, code as the exit codes of the command line). Requests are answered one after the other, but for `hello`: torch
is loaded from the start on, and what needs none of it is answered before the `done` of a `hello` that waits for it. Lines that are no request get an error with id
null. The end of stdin ends the process; cancelling is killing it: outputs appear whole or not at all.
Stdout carries nothing else: what libraries print goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ClamSegLib import __version__
from ClamSegLib.commands.worker_arrays import first_look, write_outline
from ClamSegLib.commands.worker_dicom import dicom_seg, dicom_sr
from ClamSegLib.commands.worker_read import read, titles
from ClamSegLib.commands.worker_request import need
from ClamSegLib.commands.worker_torch import TorchBeside
from ClamSegLib.model.registry import list_models
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.installation import drawing_problem, examine_installation, packages_at_hand
from ClamSegLib.system.process import end_with
from ClamSegLib.system.progress import JsonReporter, Reporter

if TYPE_CHECKING:
    from ClamSegLib.model.checkpoint import LoadedModel
    from ClamSegLib.model.described_model import DescribedModel
    from ClamSegLib.segmentation.inspection import Inspection
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
    return Worker(sys.stdin, answers, arguments.threads).run()


class Worker:
    """Answers requests until 'quit' or the end of input."""

    def __init__(self, requests: TextIO, answers: TextIO, threads: int = 0) -> None:
        self._requests, self._answers = requests, answers
        self._torch = TorchBeside(threads, self._torch_came)
        self._one_at_a_time = threading.Lock()
        self._at_hand: dict[str, Any] = {}
        self._waiting: list[JsonReporter] = []  # of `hello`, until torch is loaded
        self._model: LoadedModel | None = None
        self._model_key: tuple[str, Any] | None = None
        self._inspection: Inspection | None = None
        self._inspection_key: tuple[Any, ...] | None = None

    def run(self) -> int:
        """Exit code 0 when told to end."""
        from ClamSegLib.imaging.reader_process import reading_apart

        started = {"event": "started", "id": None, "pid": os.getpid(), "clamseg": __version__, "protocol": PROTOCOL}
        self._answers.write(json.dumps(started) + "\n")
        self._answers.flush()
        with reading_apart():
            self._at_hand = _at_hand()
            self._torch.begin()
            for line in self._requests:
                with self._one_at_a_time:
                    goes_on = not line.strip() or self._answer(line)
                if not goes_on:
                    break
            with self._one_at_a_time:
                is_awaited = bool(self._waiting)
            if is_awaited:
                self._torch.end()
        return 0

    def _answer(self, line: str) -> bool:
        """Answers one line; False ends the process."""
        reporter = JsonReporter(self._answers, {"id": None})
        try:
            request = self._parsed(line)
            reporter = JsonReporter(self._answers, {"id": request.get("id")})
            if request.get("command") not in _COMMANDS:
                raise InputError(f"The request needs a 'command': one of {', '.join(_COMMANDS)}.")
        except InputError as error:
            reporter.error(str(error), code=error.exit_code)
            return True
        if request["command"] == "hello" and not self._torch.is_through:
            reporter.greeting(**self._at_hand)
            self._waiting.append(reporter)
            return True
        _report(reporter, lambda: self._do(request, reporter))
        return bool(request["command"] != "quit")

    def _torch_came(self) -> None:
        """In the thread that loaded it."""
        with self._one_at_a_time, suppress(OSError):  # who asked is gone: the other thread ends the process
            self._answer_waiting()

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for reporter in waiting:
            _report(reporter, self._hello)

    def _hello(self) -> dict[str, Any]:
        """Versions, what works, devices with free memory, and models."""
        return {"clamseg": __version__, **examine_installation(self._torch.problem()), "models": list_models()}

    def _require_torch(self) -> None:
        """Waits for torch; a `hello` that came before what is done now is answered before it goes on.

        Raises:
            InstallationError: networks cannot run.
        """
        self._torch.wait()
        self._answer_waiting()
        self._torch.require()

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
        if request["command"] == "quit":
            if self._waiting:
                self._torch.wait()
                self._answer_waiting()
            return {}
        if request["command"] == "hello":
            return self._hello()
        if request["command"] == "dicom_seg":
            return dicom_seg(request)
        if request["command"] == "dicom_sr":
            return dicom_sr(request)
        if request["command"] == "read":
            return read(request, reporter)
        if request["command"] == "titles":
            return titles(request)
        if request["command"] == "inspect":
            return self._inspect(request, reporter)
        if request["command"] == "try_engine":
            self._require_torch()
            return self._try_engine(request)
        return self._segment(request, reporter)

    def _load(self, name: str) -> LoadedModel:
        """The model, loaded once for all cases until another is asked for or its configuration changes."""
        from ClamSegLib.model.checkpoint import load_model
        from ClamSegLib.model.model_folder import read_config
        from ClamSegLib.model.registry import find_model

        folder = find_model(name)
        key = (str(folder), read_config(folder))  # the same weights may be decoded otherwise
        if self._model is None or key != self._model_key:
            self._model, self._model_key = None, None
            self._model, self._model_key = load_model(folder), key
        return self._model

    def _known(self, name: str) -> LoadedModel | DescribedModel:
        """The model, loaded where torch is at hand already; else what its folder tells, which is enough to look at a scan."""
        from ClamSegLib.model.described_model import describe_model
        from ClamSegLib.model.registry import find_model

        if self._torch.is_through and not self._torch.problem():
            return self._load(name)
        return describe_model(find_model(name))

    def _inspection_of(
        self, request: dict[str, Any], model: LoadedModel | DescribedModel, options: SegmentOptions, reporter: Reporter
    ) -> Inspection:
        """The volume with its organ, inspected again only where file, model, device or organ request changed."""
        from ClamSegLib.imaging.reader_process import read_volume
        from ClamSegLib.segmentation.inspection import inspect, organ_needs_network
        from ClamSegLib.segmentation.missing_slices import with_lacking

        path = Path(request["input"])
        files = [path, Path(options.organ)]
        stamps = tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files if f.is_file())
        told = str([request.get(name) for name in ("series", "missing_slices", "stack_doubt")])
        key = (str(path), stamps, (str(model.folder), model.config), options.device, options.organ, told)
        if self._inspection is not None and path.is_file() and key == self._inspection_key:
            for message in self._inspection.warnings:
                reporter.warning(message)
            return self._inspection
        self._inspection, self._inspection_key = None, None
        reporter.progress(0, 1, "reading")
        volume = with_lacking(read_volume(path, series=request.get("series")), request)
        reporter.progress(0, 1, "finding the organ")
        if organ_needs_network(model.config, options):
            self._require_torch()
        self._inspection, self._inspection_key = inspect(volume, model, options, reporter), key
        return self._inspection

    def _inspect(self, request: dict[str, Any], reporter: JsonReporter) -> dict[str, Any]:
        need(request, "input", "model")
        model = self._known(request["model"])
        found = self._inspection_of(request, model, _options(request), reporter)
        if request.get("outline"):
            need(request, "outline")
            write_outline(Path(request["outline"]), found, model.config.plane)
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
        look = first_look(request, reporter)
        options = _options(request)
        if self._torch.is_through:  # where networks cannot run no scan is read for nothing
            self._require_torch()
        known = self._known(request["model"])
        found = self._inspection_of(request, known, options, reporter)
        self._require_torch()
        model = self._load(request["model"])
        if (model.folder, model.config) != (known.folder, known.config):  # replaced meanwhile
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


def _at_hand() -> dict[str, Any]:
    """For a greeting; what cannot be listed is left out, and told by the end of the `hello`: other requests need none of it."""
    found: dict[str, Any] = {"clamseg": __version__, "models": []}
    with suppress(Exception):
        found |= packages_at_hand()
    with suppress(Exception):
        found["models"] = list_models()
    return found


def _options(request: dict[str, Any]) -> SegmentOptions:
    """The checked options of a request; null means the default."""
    from ClamSegLib.model.config_json import from_json
    from ClamSegLib.segmentation.options import SegmentOptions

    given = request.get("options") or {}
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value is not None}
    return from_json(SegmentOptions, given, "options")


def _report(reporter: JsonReporter, answer: Callable[[], dict[str, Any]]) -> None:
    """Tells an answer, or what stood in its way: whatever happens, the next request must find a living worker."""
    try:
        reporter.done(**answer())
    except ClamSegError as error:
        reporter.error(str(error), code=error.exit_code)
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        internal = f"Internal error ({type(error).__name__}: {words}); please report it."
        reporter.error(words_of_the_machine(error) or internal, code=1)
