"""A training as the panel shows it: events and signs of life to a state, a sentence, curves, a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from ClamSegWorkflow.words import tr as _

LOSS, FIGURES = "loss", "figures"
# What is drawn, as events name it, and what it is called.
_CURVES = {
    LOSS: {"loss": "loss"},
    FIGURES: {
        "criterion": "criterion",
        "agreement": _("agreement with normative targets"),
        "slice_auc": _("slice AUC"),
        "dice": "Dice",
    },
}


class TrainingState(Enum):
    """What a training is doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self in (self.FINISHED, self.STOPPED, self.FAILED, self.KILLED)


@dataclass
class Curve:
    """Points of curves that share their x: step -> values by name."""

    x: list[float] = field(default_factory=list)
    y: dict[str, list[float]] = field(default_factory=dict)


class TrainingProgress:
    """Grows with the events of a training."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = TrainingState.STARTING
        self.stage, self.done, self.total = "", 0, 0
        self.seconds_left: float | None = None
        self.preview: Path | None = None
        self.warnings: list[str] = []
        self.curves = {LOSS: Curve(), FIGURES: Curve()}
        self._finished: bool | None = None
        self._last_words = ""

    def feed(self, events: list[dict[str, Any]]) -> bool:
        """Takes events in; whether a curve grew."""
        grew = False
        for event in events:
            kind = event["event"]
            if kind == "progress":
                self.stage, self.done, self.total = str(event["stage"]), int(event["done"]), int(event["total"])
                self.seconds_left = event.get("seconds_left")
                self._finished = None  # it was gone on with
            elif kind == "metric":
                grew = self._add(event) or grew
            elif kind == "preview":
                self.preview = Path(event["path"])
            elif kind == "warning":
                self.warnings.append(str(event["message"]))
            elif kind == "done":
                self._finished = bool(event.get("finished", True))
        return grew

    def look(self, *, is_running: bool, is_paused: bool, stop_asked: bool, last_words: str = "") -> TrainingState:
        """The state that follows from the events and the signs of life."""
        if is_running:
            begun = bool(self.stage)
            self.state = (
                TrainingState.STOPPING if stop_asked
                else TrainingState.PAUSED if is_paused
                else TrainingState.RUNNING if begun
                else TrainingState.STARTING
            )  # fmt: skip
        elif last_words:
            self._last_words, self.state = last_words, TrainingState.FAILED
        elif self._finished is not None:
            self.state = TrainingState.FINISHED if self._finished else TrainingState.STOPPED
        else:
            self.state = TrainingState.KILLED
        return self.state

    def sentence(self, *, can_go_on: bool = False) -> str:
        """What the user reads."""
        name, at = self.name, self._at()
        if self.state is TrainingState.STARTING:
            return _("'{name}' is starting.").format(name=name)
        if self.state is TrainingState.RUNNING:
            return f"'{name}': {at}{time_left(self.seconds_left)}."
        if self.state is TrainingState.PAUSED:
            return _("'{name}' is paused at {at}.").format(name=name, at=at)
        if self.state is TrainingState.STOPPING:
            return _("'{name}' has been asked to stop; it evaluates what it has learned and keeps the best.").format(
                name=name
            )
        if self.state is TrainingState.FAILED:
            return _("'{name}' ended: {last_words}").format(name=name, last_words=self._last_words)
        if self.state is TrainingState.KILLED:
            validated = bool(self.curves[FIGURES].x)
            more = (
                _("Nothing of it was kept; start it again.") if not can_go_on
                else _("Resume continues from its last validation.") if validated
                else _("It was not validated yet; Resume begins it again.")
            )  # fmt: skip
            return _("'{name}' was killed at {at}, perhaps because memory ran out. {more}").format(
                name=name, at=at, more=more
            )
        how = _("is finished") if self.state is TrainingState.FINISHED else _("was stopped, its best was kept")
        figures = ", ".join(f"{text} {value:.2f}" for text, value in self.best_figures().items())
        more = _(" Resume continues from there.") if self.state is TrainingState.STOPPED and can_go_on else ""
        return _("'{name}' {how}{figures}; it is in the list of models.{more}").format(
            name=name, how=how, figures=": " + figures if figures else "", more=more
        )

    def best_figures(self) -> dict[str, float]:
        """The figures of the validation with the best criterion, by what they are called."""
        curve = self.curves[FIGURES]
        scores = curve.y.get("criterion", [])
        known = [k for k, score in enumerate(scores) if not math.isnan(score)]
        if not known:
            return {}
        best = max(known, key=lambda k: scores[k])
        return {name: values[best] for name, values in curve.y.items() if not math.isnan(values[best])}

    def _at(self) -> str:
        if not self.stage:
            return _("its start")
        words = _("{stage}, {done} of {total}").format(stage=self.stage, done=self.done, total=self.total)
        return words if self.total > 1 else self.stage

    def _add(self, event: dict[str, Any]) -> bool:
        """A point on each curve that the event has a value for; a validation also tells the loss since the last one."""
        step, grew = float(event.get("step", 0)), False
        for kind, names in _CURVES.items():
            values = {
                label: float(event[key]) for key, label in names.items() if isinstance(event.get(key), int | float)
            }
            if values:
                _put(self.curves[kind], step, values)
                grew = True
        return grew


def _put(curve: Curve, x: float, values: dict[str, float]) -> None:
    """Adds a point; a training that was gone on with tells some steps again, and the later word counts."""
    while curve.x and curve.x[-1] >= x:
        curve.x.pop()
        for column in curve.y.values():
            column.pop()
    for name in values:
        curve.y.setdefault(name, [math.nan] * len(curve.x))
    curve.x.append(x)
    for name, column in curve.y.items():
        column.append(values.get(name, math.nan))


def time_left(seconds: float | None) -> str:
    """', about 3 min left', or '' where it is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return _(", {n} s left").format(n=max(1, round(seconds)))
    if seconds < 5400:
        return _(", about {n} min left").format(n=round(seconds / 60))
    return _(", about {n:.1f} h left").format(n=seconds / 3600)
