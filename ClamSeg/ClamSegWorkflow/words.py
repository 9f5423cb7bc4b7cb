"""Words for the user: translated by Slicer, as they are where only Slicer's core is there."""

from __future__ import annotations

try:
    # The caller's file tells Slicer where the translation is, so the function itself is handed on.
    from slicer.i18n import tr as tr  # noqa: PLC0414
except ImportError:

    def tr(text: str) -> str:
        """The text itself."""
        return text
