"""Classes that slicer-api.json does not hold, each with the source in which its members were read."""

from __future__ import annotations

from typing import Any

UNLISTED: dict[str, dict[str, Any]] = {
    "QUiLoader": {
        "module": "qt",
        "source": "Slicer/Slicer Base/Python/slicer/util.py, loadUI: qt.QUiLoader().load(file)",
        "inherits": ["QObject"],
        "python": ["load"],
    },
}
