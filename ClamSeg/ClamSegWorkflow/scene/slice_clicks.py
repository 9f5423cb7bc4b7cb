"""Clicks in slice views as points of the world. A drag is no click: windowing, moving and zooming stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_FARTHEST_PX = 4  # between press and release of a click
_FIRST = 100.0  # before the views' own widgets, from which nothing is taken


class SliceClicks:
    """Watches slice views until `stop`.

    Args:
        views: (slice node, its vtkRenderWindowInteractor).
        on_click: called with a point of the world in RAS, mm, and whether Alt was held.
    """

    def __init__(self, views: Iterable[tuple[Any, Any]], on_click: Callable[[list[float], bool], None]) -> None:
        self._on_click = on_click
        self._pressed: tuple[Any, int, int] | None = None
        self._observed: list[tuple[Any, int]] = []
        for node, interactor in views:
            for event, react in (
                ("LeftButtonPressEvent", self._press),
                ("LeftButtonReleaseEvent", self._release(node)),
            ):
                self._observed.append((interactor, interactor.AddObserver(event, react, _FIRST)))

    def stop(self) -> None:
        """Watches no more."""
        for interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        self._observed.clear()

    def _press(self, interactor: Any, _event: str) -> None:
        self._pressed = (interactor, *interactor.GetEventPosition())

    def _release(self, node: Any) -> Callable[[Any, str], None]:
        def react(interactor: Any, _event: str) -> None:
            pressed, self._pressed = self._pressed, None
            x, y = interactor.GetEventPosition()
            if pressed is None or pressed[0] is not interactor:
                return
            if abs(x - pressed[1]) <= _FARTHEST_PX and abs(y - pressed[2]) <= _FARTHEST_PX:
                ras = node.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))
                self._on_click([float(value) for value in ras[:3]], bool(interactor.GetAltKey()))

        return react
