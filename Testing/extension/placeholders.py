"""Sections of the panel that are not written yet, so that the others can be tested."""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

SECTIONS = {
    "ClamSegPanel.review_section": "ReviewSection",
    "ClamSegPanel.training_section": "TrainingSection",
    "ClamSegPanel.setup_section": "SetupSection",
}


class Placeholder:
    """Takes every call."""

    def __init__(self, panel: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: self.calls.append((name, *arguments))


def place_missing_sections() -> None:
    for module, section in SECTIONS.items():
        if module not in sys.modules and importlib.util.find_spec(module) is None:
            made = types.ModuleType(module)
            setattr(made, section, Placeholder)
            sys.modules[module] = made
