"""The folder of a running training: lock, events, stop and pause, the table of figures and its curves.

The panel finds a training by `run.lock`, follows it by `events.jsonl`, and steers it by creating the empty
files `stop` (finish now, keep the best) and `pause` (wait until the file is gone).
"""

from __future__ import annotations

import csv
import importlib.util
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TextIO, cast

from ClamSegLib.model.model_folder import MODEL, MODEL_FILES
from ClamSegLib.system.atomic_output import put_back, refuse_existing, whole_file
from ClamSegLib.system.disk import exists, output_error
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.installation import drawing_problem
from ClamSegLib.system.process import TRAINING_LOCK, take_training_lock
from ClamSegLib.system.progress import JsonReporter, Reporter

EVENTS, METRICS, CURVES, STOP, PAUSE = "events.jsonl", "metrics.csv", "curves.png", "stop", "pause"
PREVIEW = "preview.png"
# What an unfinished training needs to go on.
STATE_FOLDER, STATE = "state", "state.safetensors"


def refuse_output(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Raises InputError where a training would write over what it may not: a model, a training, somebody's files."""
    put_back(output.parent)
    if not exists(output):
        return
    if not output.is_dir():
        raise InputError(f"{output} is no folder; choose another output.")
    if MODEL.is_at(output) and not resume:
        refuse_existing(output, overwrite, MODEL)
    begun = any((output / name).exists() for name in (STATE_FOLDER, EVENTS, TRAINING_LOCK))
    if not begun and not MODEL.is_at(output):
        theirs = [name for name in (*MODEL_FILES, METRICS, CURVES) if exists(output / name)]
        if theirs:
            raise InputError(
                f"{output} holds {', '.join(theirs)}, but neither a model nor a training of ClamSeg; choose another output."
            )
    if (output / STATE_FOLDER / STATE).is_file() and not resume and not overwrite:
        raise InputError(
            f"{output} holds a training that was interrupted; go on with --resume, or start anew with --overwrite."
        )


class TrainingFolder:
    """Owns the folder while a training runs; use as a context manager.

    Args:
        steered_by: folder whose `stop` and `pause` files count; its own unless given.

    Raises:
        InputError: another training runs there.
        OutputError: it cannot be written.
    """

    def __init__(
        self, folder: Path, resume: bool, *, tensorboard: bool = False, steered_by: Path | None = None
    ) -> None:
        self.folder = Path(folder)
        self._steered_by = steered_by or self.folder
        self._tensorboard = tensorboard
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise InputError("--tensorboard needs TensorBoard; install it with pip install 'clamseg[tensorboard]'.")
        self._made_folder = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self.folder, error) from error
        self._events: _Events | None = None
        self._resume = resume
        self.rows: list[dict[str, Any]] = []

    def __enter__(self) -> TrainingFolder:
        take_training_lock(self.folder)
        try:
            for name in (STOP, PAUSE):
                (self.folder / name).unlink(missing_ok=True)
            self._events = _Events(self.folder / EVENTS, anew=not self._resume)
        except BaseException as error:
            self.__exit__()
            if isinstance(error, OSError):
                raise output_error(self.folder, error) from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # A model folder is passed on to others: pictures of patients do not stay in it.
        for name in (PREVIEW, TRAINING_LOCK):
            with suppress(OSError):
                (self.folder / name).unlink()

    def forget_refused(self) -> None:
        """Leaves nothing of a training that was refused before its first step; one that goes on is kept."""
        if self._resume:
            return
        shutil.rmtree(self.folder / STATE_FOLDER, ignore_errors=True)
        with suppress(OSError):
            (self.folder / EVENTS).unlink()
            (self.folder / TRAINING_LOCK).unlink()
            if self._made_folder:
                self.folder.rmdir()

    def reporter(self, shown: Reporter) -> Reporter:
        """A reporter that writes events.jsonl and passes everything on to `shown`; says first what cannot be drawn."""
        if self._events is None:
            raise RuntimeError("the folder is not entered")
        told = _Both(JsonReporter(cast(TextIO, self._events)), shown)
        if drawing_problem():
            told.note(drawing_problem())
        return told

    def stop_requested(self) -> bool:
        """Whether someone asked to finish; waits here while a `pause` file exists."""
        while (self._steered_by / PAUSE).exists() and not (self._steered_by / STOP).exists():
            time.sleep(0.5)
        return (self._steered_by / STOP).exists()

    def write_metrics(self) -> None:
        """Writes metrics.csv and, where Matplotlib is installed, curves.png from `rows`."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with whole_file(self.folder / METRICS) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        if not drawing_problem():
            self._write_curves()
        if self._tensorboard:
            self._write_tensorboard()

    def _write_tensorboard(self) -> None:
        """Adds the last row to `tensorboard/` in the folder."""
        from torch.utils.tensorboard import SummaryWriter

        row = self.rows[-1]
        writer: Any = SummaryWriter(self.folder / "tensorboard")
        for name, value in row.items():
            if isinstance(value, float):
                writer.add_scalar(name, value, row["step"])
        writer.close()

    def _write_curves(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for axes, names in (
            (left, ("loss", "hybrid")),
            (right, ("criterion", "agreement", "slice_auc", "dice")),
        ):
            for name in names:
                points = [(row["step"], row[name]) for row in self.rows if isinstance(row.get(name), float)]
                if points:
                    axes.plot(*zip(*points, strict=True), label=name.replace("_", " "))
            axes.set_xlabel("step")
            if axes.lines:
                axes.legend(frameon=False)
        with whole_file(self.folder / CURVES) as path:
            figure.savefig(path, dpi=110)


class _Events:
    """events.jsonl, opened for each line: nothing stays open that a swap of the folder would lose.

    Raises:
        OSError: it cannot be begun.
    """

    def __init__(self, path: Path, anew: bool) -> None:
        self._path = path
        with path.open("wb" if anew else "ab+") as file:
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")  # a full disk cut the last line

    def write(self, text: str) -> None:
        """Adds a line; raises OutputError where the disk is full."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise output_error(self._path, error) from error

    def flush(self) -> None:
        """Every line is written when it comes."""


def _ends_a_line(file: IO[bytes]) -> bool:
    file.seek(-1, 2)
    return file.read(1) == b"\n"


class _Both(Reporter):
    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def progress(self, done: int, total: int, stage: str) -> None:
        for reporter in self._reporters:
            reporter.progress(done, total, stage)

    def metric(self, **values: Any) -> None:
        for reporter in self._reporters:
            reporter.metric(**values)

    def preview(self, **values: Any) -> None:
        for reporter in self._reporters:
            reporter.preview(**values)

    def warning(self, message: str) -> None:
        for reporter in self._reporters:
            reporter.warning(message)

    def note(self, message: str) -> None:
        for reporter in self._reporters:
            reporter.note(message)

    def done(self, **values: Any) -> None:
        for reporter in self._reporters:
            reporter.done(**values)

    def error(self, message: str, **values: Any) -> None:
        for reporter in self._reporters:
            reporter.error(message, **values)
