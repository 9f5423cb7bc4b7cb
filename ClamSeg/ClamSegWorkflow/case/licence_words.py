"""What panel and page say of a model or sample that is for non-commercial use only, and that it is confirmed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ClamSegWorkflow.words import tr as _


def title() -> str:
    """Of the question."""
    return _("Non-commercial use only")


def question(entry: Mapping[str, Any] | None) -> str:
    """What has to be confirmed before a model or a sample is used; '' where nothing has, or no more.

    Args:
        entry: of the list of models or of samples; None for no model.
    """
    from ClamSegLib.model.licence import is_accepted

    if entry is None or not entry.get("non_commercial") or is_accepted(entry["licence"]):
        return ""
    name = entry.get("display_name") or entry.get("title") or entry["name"]
    words = _(
        "'{name}' is under {licence}: for non-commercial use only, and what is made from it is under the same licence. Its text "
        "lies beside it.\n\nDo you use it so? Your answer is kept for this computer's user."
    )
    return words.format(name=name, licence=entry["licence"])


def keep_yes(entry: Mapping[str, Any], where: str) -> None:
    """The licence was confirmed.

    Args:
        where: 'panel' or 'page'.
    """
    from ClamSegLib.model.licence import accept_licence

    accept_licence(entry["licence"], where)


def licence_of(entry: Mapping[str, Any]) -> str:
    """The licence as it is shown beside a model."""
    if entry.get("non_commercial"):
        return _("{licence}, for non-commercial use only").format(licence=entry["licence"])
    return str(entry["licence"])
