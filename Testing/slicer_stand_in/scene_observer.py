"""Observers of the real scene for widgets: they end with their widget, and their failures are kept."""

from __future__ import annotations

from typing import Any

import shiboken6

from slicer_stand_in.signals import guarded


class SceneObserver:
    """Calls `refresh` when nodes of the scene come, go, or change; `forget` ends it."""

    def __init__(self, scene: Any, refresh: Any) -> None:
        self._refresh = refresh
        self._observed: list[tuple[Any, int]] = []
        events = ("NodeAddedEvent", "NodeRemovedEvent", "EndBatchProcessEvent", "EndCloseEvent", "EndImportEvent")
        for event in events:
            self._observed.append((scene, scene.AddObserver(getattr(scene, event), self._called)))

    def also(self, node: Any, event: Any) -> None:
        """Observes a node, too."""
        self._observed.append((node, node.AddObserver(event, self._called)))

    def forget(self) -> None:
        """No call any more."""
        for each, tag in self._observed:
            each.RemoveObserver(tag)
        self._observed = []

    def _called(self, caller: Any, event: str) -> None:
        if not shiboken6.isValid(self._refresh.__self__):  # the widget is gone, the scene is not
            self.forget()
            return
        guarded(f"the observer of {event}", self._refresh, ())
