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
    "qMRMLSortFilterProxyModel": {
        "module": "slicer",
        "source": "Slicer/Slicer Libs/MRML/Widgets/qMRMLSortFilterProxyModel.h; qMRMLNodeComboBox.sortFilterProxyModel()",
        "inherits": ["QObject"],
        "properties": {"hiddenNodeIDs": "QStringList"},
        "complete": True,
    },
}
