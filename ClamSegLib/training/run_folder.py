"""The folder of a running training: lock, events, stop and pause, the table of figures and its curves.

The panel finds a training by `run.lock`, follows it by `events.jsonl`, and steers it by creating the empty
files `stop` (finish now, keep the best) and `pause` (wait until the file is gone).
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any, TextIO

from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError, OutputError
from ClamSegLib.system.installation import drawing_problem
from ClamSegLib.system.process import TRAINING_LOCK, process_start, running_training
from ClamSegLib.system.progress import JsonReporter, Reporter

EVENTS, METRICS, CURVES, STOP, PAUSE = "events.jsonl", "metrics.csv", "curves.png", "stop", "pause"
PREVIEW = "preview.png"


class TrainingFolder:
    """Owns the folder while a training runs; use as a context manager.

    Args:
        steered_by: folder whose `stop` and `pause` files count; its own unless given.

    Raises:
        InputError: another training runs there.
    """

    def __init__(
        self, folder: Path, resume: bool, *, tensorboard: bool = False, steered_by: Path | None = None
    ) -> None:
        self.folder = Path(folder)
        self._steered_by = steered_by or self.folder
        self._tensorboard = tensorboard
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise InputError("--tensorboard needs TensorBoard; install it with pip install 'clamseg[tensorboard]'.")
        other = running_training(self.folder)
        if other is not None:
            raise InputError(
                f"A training already runs in {self.folder} (process {other['pid']} on {other['host']}); "
                "stop it by creating a file named 'stop' there, or choose another output."
            )
        self._made_folder = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.folder}: {error.strerror or error}. Choose a folder you may write to."
            ) from error
        self._events: TextIO | None = None
        self._resume = resume
        self.rows: list[dict[str, Any]] = []

    def __enter__(self) -> TrainingFolder:
        for name in (STOP, PAUSE):
            (self.folder / name).unlink(missing_ok=True)
        with whole_file(self.folder / TRAINING_LOCK) as path:
            pid = os.getpid()
            lock = {
                "pid": pid,
                "started": time.time(),
                "host": socket.gethostname(),
                "process_start": process_start(pid),
            }
            path.write_text(json.dumps(lock), encoding="utf-8")
        self._events = (self.folder / EVENTS).open("a" if self._resume else "w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._events is not None:
            self._events.close()
        # A model folder is passed on to others: pictures of patients do not stay in it.
        (self.folder / PREVIEW).unlink(missing_ok=True)
        (self.folder / TRAINING_LOCK).unlink(missing_ok=True)

    def forget_refused(self) -> None:
        """Leaves nothing of a training that was refused before its first step; one that goes on is kept."""
        if self._resume:
            return
        if self._events is not None:
            self._events.close()
        (self.folder / EVENTS).unlink(missing_ok=True)
        (self.folder / TRAINING_LOCK).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        if self._made_folder and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def reporter(self, shown: Reporter) -> Reporter:
        """A reporter that writes events.jsonl and passes everything on to `shown`; says first what cannot be drawn."""
        if self._events is None:
            raise RuntimeError("the folder is not entered")
        told = _Both(JsonReporter(self._events), shown)
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
            (right, ("criterion", "localisation_auc", "agreement", "slice_auc", "dice")),
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
