"""What the user reads of a bundle that cannot be made or installed; without Qt."""

from __future__ import annotations

from typing import Any

from ClamSegWorkflow.words import tr as _


def bundle_problem(kind: str, values: dict[str, Any]) -> str:
    """The sentence of a `BundleError`, with what to do."""
    sentences = {
        "no_wheels": _("No package was downloaded, so there is nothing to pack."),
        "no_bundle": _("{name} is not an offline bundle of ClamSeg, or it is cut off; copy it again."),
        "other_format": _(
            "The bundle has format {came}, this ClamSeg reads {known}; update ClamSeg, or make the bundle again."
        ),
        "other_python": _(
            "The bundle was made for Python {came}, this Slicer has {here}; make it in a Slicer of the same version."
        ),
        "other_platform": _(
            "The bundle was made for {came}, this computer is {here}; make it on a computer of the same kind."
        ),
        "wrong_place": _("The bundle wants to write '{name}', which is no place of a bundle; do not use it."),
        "not_listed": _("'{name}' and the bundle's list of files do not agree; do not use it; make it again."),
        "damaged": _("'{name}' in the bundle is not the file its list names (SHA-256 differs); copy the bundle again."),
        "disk_full": _("{mb} MB are needed to unpack the bundle in {folder}; free some space."),
        "disk": _("The file system says: {words}. Free some space, or choose another folder."),
    }
    return sentences.get(kind, _("The bundle cannot be used.")).format(**values)
