"""What runs took on this computer, from which the next one's time is told."""

from __future__ import annotations

import json
from typing import Any


class RunSpeeds:
    """Seconds of the network a slice by model, device and level, kept with the user's settings.

    Args:
        panel: with `setting` and `keep_setting`.
    """

    def __init__(self, panel: Any) -> None:
        self._panel = panel

    def seconds_a_slice(self, model: str, device: str, level: int) -> float | None:
        """As the last such run took; None before one."""
        found = self._all().get(_key(model, device, level))
        return None if found is None else float(found)

    def keep(self, model: str, device: str, level: int, seconds_a_slice: float) -> None:
        """Keeps what a run took."""
        self._panel.keep_setting("speeds", json.dumps({**self._all(), _key(model, device, level): seconds_a_slice}))

    def _all(self) -> dict[str, float]:
        try:
            return dict(json.loads(self._panel.setting("speeds", "{}")))
        except ValueError:  # written by something else
            return {}


def _key(model: str, device: str, level: int) -> str:
    return f"{model}|{device}|{level}"
