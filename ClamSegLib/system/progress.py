"""How long work tells about itself: a bar on a terminal, one JSON object a line for the panel, or silence."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from ClamSegLib.system.words import shown


class Reporter:
    """Silent reporter and the interface of all others; library code calls these and never prints."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """`done` of `total` units of `stage` are finished."""

    def metric(self, **values: Any) -> None:
        """Figures of a running training, e.g. step=10, loss=0.3."""

    def preview(self, **values: Any) -> None:
        """A picture that can be shown now, e.g. path='overlay.png'."""

    def warning(self, message: str) -> None:
        """Something the user should know although the work goes on."""

    def note(self, message: str) -> None:
        """One line of plain information."""

    def done(self, **values: Any) -> None:
        """The work, or one case of a batch, is finished."""

    def error(self, message: str, **values: Any) -> None:
        """The work, or one case of a batch, failed."""


class KeepWarnings(Reporter):
    """Passes everything on and keeps the warnings for the report; begins with those said before."""

    def __init__(self, shown: Reporter, before: Sequence[str] = ()) -> None:
        self.shown, self.warnings = shown, list(before)

    def progress(self, done: int, total: int, stage: str) -> None:
        self.shown.progress(done, total, stage)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
        self.shown.warning(message)

    def note(self, message: str) -> None:
        self.shown.note(message)


class Stopwatch:
    """Seconds of each stage, added up: `with stage("crop"): ...`."""

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Adds the time of the block to that of the stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class _TimeLeft:
    def __init__(self) -> None:
        self._stage = ""
        self._start_s = 0.0
        self._first_done = 0

    def seconds(self, done: int, total: int, stage: str) -> float | None:
        now_s = time.monotonic()
        if stage != self._stage:
            self._stage, self._start_s, self._first_done = stage, now_s, done
        finished = done - self._first_done
        if finished <= 0:
            return None
        return round((now_s - self._start_s) / finished * (total - done), 1)


class JsonReporter(Reporter):
    """One JSON object per line, flushed, as the panel reads them."""

    def __init__(self, stream: TextIO | None = None, extra: dict[str, Any] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._extra = extra or {}
        self._time_left = _TimeLeft()

    def _write(self, event: str, **values: Any) -> None:
        line = json.dumps({"event": event, **self._extra, **values}, default=str)
        self._stream.write(line + "\n")
        self._stream.flush()

    def progress(self, done: int, total: int, stage: str) -> None:
        seconds_left = self._time_left.seconds(done, total, stage)
        self._write("progress", done=done, total=total, stage=stage, seconds_left=seconds_left)

    def metric(self, **values: Any) -> None:
        self._write("metric", **values)

    def preview(self, **values: Any) -> None:
        self._write("preview", **values)

    def greeting(self, **values: Any) -> None:
        """What a worker knows of itself before everything is loaded."""
        self._write("greeting", **values)

    def warning(self, message: str) -> None:
        self._write("warning", message=message)

    def note(self, message: str) -> None:
        self._write("note", message=message)

    def done(self, **values: Any) -> None:
        self._write("done", **values)

    def error(self, message: str, **values: Any) -> None:
        self._write("error", message=message, **values)


class TerminalReporter(Reporter):
    """A progress bar on stderr when it is a terminal, plain lines otherwise."""

    _WIDTH = 28

    def __init__(self, stream: TextIO | None = None) -> None:
        self._given = stream
        self._is_terminal = bool(getattr(self._stream, "isatty", lambda: False)())
        self._time_left = _TimeLeft()
        self._bar_shown = False
        self._last_s = 0.0

    @property
    def _stream(self) -> TextIO:
        """Standard error as it is now: while a file is read, it leads past what C libraries print."""
        return self._given or sys.stderr

    def _line(self, text: str) -> None:
        if self._bar_shown:
            self._stream.write("\r\x1b[K")
            self._bar_shown = False
        self._stream.write(shown(text, line_ends=True) + "\n")
        self._stream.flush()

    def progress(self, done: int, total: int, stage: str) -> None:
        seconds_left = self._time_left.seconds(done, total, stage)
        now_s = time.monotonic()
        if not self._is_terminal or (done < total and now_s - self._last_s < 0.1):
            return
        self._last_s = now_s
        filled = int(self._WIDTH * done / max(total, 1))
        left = "" if seconds_left is None else f"  {seconds_left:.0f} s left"
        self._stream.write(f"\r\x1b[K{stage:<24} [{'#' * filled}{'.' * (self._WIDTH - filled)}] {done}/{total}{left}")
        self._bar_shown = done < total
        if not self._bar_shown:
            self._stream.write("\n")
        self._stream.flush()

    def metric(self, **values: Any) -> None:
        shown = (
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
        )
        self._line("  ".join(shown))

    def warning(self, message: str) -> None:
        self._line(f"warning: {message}")

    def note(self, message: str) -> None:
        self._line(message)

    def error(self, message: str, **values: Any) -> None:
        case = str(values.get("case", ""))
        self._line(f"error: {message}" if case in message else f"error: {case}: {message}")


class QuietReporter(TerminalReporter):
    """Silent about progress, never about warnings and failures."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """Nothing is shown."""

    def metric(self, **values: Any) -> None:
        """Nothing is shown."""

    def note(self, message: str) -> None:
        """Nothing is shown."""


def make_reporter(kind: str) -> Reporter:
    """The reporter for `--progress`: 'bar' (default), 'json' or 'none'."""
    if kind == "json":
        return JsonReporter()
    return QuietReporter() if kind == "none" else TerminalReporter()
