"""Makes slicer-api.json here from the full list that was read in a running Slicer; one class a line.

    python Testing/slicer_stand_in/shorten_api.py FULL_LIST.json

The full list holds every class the application showed; kept are those that this extension uses or may come to use.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SHORT_LIST = Path(__file__).with_name("slicer-api.json")

_NOT_KEPT = {
    "qt": {
        "QBuffer", "QClipboard", "QCompleter", "QDesktopWidget", "QDockWidget", "QDoubleValidator", "QDrag",
        "QGraphicsOpacityEffect", "QHostInfo", "QIntValidator", "QJsonDocument", "QLocalSocket", "QMainWindow",
        "QMimeData", "QOperatingSystemVersion", "QPropertyAnimation", "QRegExp", "QRegExpValidator", "QSharedMemory",
        "QSortFilterProxyModel", "QSplitter", "QStackedWidget", "QStandardItem", "QStandardItemModel", "QStatusBar",
        "QStylePainter", "QTcpSocket", "QTextStream", "QThread", "QToolBar", "QTransform", "QTreeView", "QTreeWidget",
        "QTreeWidgetItem", "QWhatsThis", "QWidgetAction",
    },
}  # fmt: skip
_KEPT = {
    "ctk": {
        "ctkCheckBox", "ctkCheckableComboBox", "ctkCollapsibleButton", "ctkCollapsibleGroupBox", "ctkComboBox",
        "ctkDirectoryButton", "ctkDoubleSlider", "ctkDoubleSpinBox", "ctkFittedTextBrowser", "ctkMenuButton",
        "ctkMessageBox", "ctkPathLineEdit", "ctkPushButton", "ctkRangeWidget", "ctkSliderWidget",
    },
    "slicer": {
        "app", "app.ioManager()", "app.layoutManager()", "app.moduleManager()", "mainWindow", "qMRMLCheckableNodeComboBox",
        "qMRMLCollapsibleButton", "qMRMLNodeComboBox", "qMRMLPlotView", "qMRMLPlotWidget", "qMRMLSegmentEditorWidget",
        "qMRMLSegmentSelectorWidget", "qSlicerSegmentEditorScriptedEffect", "qMRMLSegmentationShow3DButton", "qMRMLSegmentsTableView",
        "qMRMLSliceControllerWidget", "qMRMLSliceView", "qMRMLSliceWidget", "qMRMLSliderWidget", "qMRMLThreeDView",
        "qMRMLThreeDWidget", "qMRMLVolumeThresholdWidget", "qMRMLWidget", "qSlicerWidget",
    },
}  # fmt: skip


def shorten(full: dict[str, Any]) -> dict[str, Any]:
    """The kept part of the full list, same structure."""
    short = {key: full[key] for key in ("about", "application", "modules")}
    for room in ("qt", "ctk", "slicer"):
        kept = _KEPT.get(room, set(full[room]) - _NOT_KEPT.get(room, set()))
        missing = kept - set(full[room])
        if missing:
            raise SystemExit(f"The full list has no {room} class {sorted(missing)}; give the list of a newer Slicer.")
        short[room] = {name: full[room][name] for name in sorted(kept)}
    short["functions"] = {
        module: functions for module, functions in full["functions"].items() if module != "slicer.logic"
    }
    return short


def write(short: dict[str, Any], path: Path) -> None:
    """One class or function a line, so that differences can be read."""
    lines = []
    for key, value in short.items():
        if key in ("qt", "ctk", "slicer"):
            inner = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in value.items())
            lines.append(f"{json.dumps(key)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    write(shorten(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), SHORT_LIST)
