"""Names for people: a model or a condition is shown by its display name, and kept in files by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ClamSegWorkflow.words import tr as _


def shown_name(named: Mapping[str, Any]) -> str:
    """What people read of a model's entry, a config.json, or a condition in it: its display name, else its id."""
    return str(named.get("display_name") or named["name"])


def _for_list(entry: Mapping[str, Any]) -> str:
    if entry.get("non_commercial"):
        return _("{name}, non-commercial").format(name=shown_name(entry))
    return shown_name(entry)


def model_titles(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """One title per model for a list to choose from; two of the same display name are told apart by their id."""
    names = [_for_list(entry) for entry in entries]
    often = Counter(names)
    return [
        f"{name} ({entry['name']})" if often[name] > 1 and name != entry["name"] else name
        for name, entry in zip(names, entries, strict=True)
    ]
