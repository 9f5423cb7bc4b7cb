"""What is asked of a run, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ClamSegWorkflow.case.result import Result
from ClamSegWorkflow.case.run_state import State


@dataclass(frozen=True)
class RunOptions:
    """What the user chose for a run.

    Attributes:
        model: entry of the worker's model list.
        config: its config.json.
        device: 'auto', 'cpu', 'cuda:N'.
        level: 1..depth, None for the model's own.
        organ: 'auto', 'none', a method of the library ('strip_skull'), 'segment' or 'roi'.
        organ_node: segmentation or ROI for the last two.
        organ_segment: segment id for 'segment'.
        threshold: None for the model's own.
    """

    model: dict[str, Any]
    config: dict[str, Any]
    device: str = "auto"
    level: int | None = None
    organ: str = "auto"
    organ_node: Any = None
    organ_segment: str = ""
    threshold: float | None = None


def own_level(model: dict[str, Any]) -> int:
    """The level that a model, an entry of the worker's list, runs at where none is asked for."""
    return int(model.get("default_level") or model["levels"])


class RunListener:
    """Whom a run tells; the silent one, and the interface of all others."""

    def state_changed(self, state: State) -> None:
        """The run is in another state."""

    def progressed(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """`done` of `total` units of a stage; a total of 0 where it is not known."""

    def looked_first(self, words: str) -> None:
        """A first look at some slices is drawn, provisional; it goes when the run ends."""

    def said(self, text: str) -> None:
        """A warning or a note for the log."""

    def finished_case(self, result: Result, certificate: str) -> None:
        """A result is in the scene."""

    def failed(self, text: str) -> None:
        """The run ended with failures, one sentence a line; nothing of the failed cases is in the scene."""

    def measured(self, model: str, device: str, level: int, seconds_a_slice: float) -> None:
        """How fast the network was, for the next estimate."""

    def confirms(self, volume: str, doubts: list[str]) -> bool | None:
        """Whether to go on although something does not fit; None where `SegmentationRun.answer` will tell later."""
        return False
