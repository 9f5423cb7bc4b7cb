"""The states of a run, and which may follow which."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class State(Enum):
    """What the panel is doing."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    IMPORTING = "importing"
    CANCELLING = "cancelling"
    FAILED = "failed"


_NEXT = {
    State.IDLE: {State.STARTING},
    State.STARTING: {State.RUNNING, State.CANCELLING, State.FAILED},
    State.RUNNING: {State.IMPORTING, State.CANCELLING, State.FAILED},
    State.IMPORTING: {State.IDLE, State.STARTING, State.CANCELLING, State.FAILED},
    State.CANCELLING: {State.IDLE},
    State.FAILED: {State.STARTING, State.IDLE},
}


class Job:
    """Holds the state and tells who listens; an impossible step is an error of the program, not of the user."""

    def __init__(self, on_change: Callable[[State], None] | None = None) -> None:
        self.state = State.IDLE
        self._on_change = on_change

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way, so that a second click must do nothing but cancel."""
        return self.state in (State.STARTING, State.RUNNING, State.IMPORTING, State.CANCELLING)

    def move(self, state: State) -> None:
        """Goes to `state`.

        Raises:
            ValueError: it cannot follow the present one.
        """
        if state not in _NEXT[self.state]:
            raise ValueError(f"{state.value} cannot follow {self.state.value}")
        self.state = state
        if self._on_change is not None:
            self._on_change(state)
