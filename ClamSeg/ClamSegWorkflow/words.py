"""Words for the user: translated by Slicer, as they are where only Slicer's core is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:

    def tr(text: str) -> str:
        """Slicer's function has no types."""

else:
    try:
        # The caller's file tells Slicer where the translation is, so the function itself is handed on.
        from slicer.i18n import tr as tr  # noqa: PLC0414
    except ImportError:

        def tr(text: str) -> str:
            """The text itself."""
            return text
