"""The slice views of the application: fitted to the scan behind them, and one large view for a picture."""

from __future__ import annotations

from typing import Any

import slicer


def fit_slice_views() -> None:
    """Shows the whole scan in every slice view, at its middle slice; the orientation stays."""
    manager = slicer.app.layoutManager()
    if manager is None:  # Slicer without a main window
        return
    for name in manager.sliceViewNames():
        manager.sliceWidget(name).sliceLogic().FitSliceToBackground()


class PictureLayout:
    """One view while an X-ray is under review, of which the others would show a line; the reader's layout afterwards."""

    def __init__(self) -> None:
        self._before: int | None = None
        self._is_readers = False

    def follow(self, volume: Any) -> bool:
        """Takes the layout for a scan; a reader who chose another one for pictures keeps it.

        Returns:
            Whether the one view was opened now; it has its size when Qt has laid it out.
        """
        manager = slicer.app.layoutManager()
        one = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
        if manager is None:
            return False
        now = int(manager.layout)
        if self._before is not None and now != one:  # changed by the reader while a picture was there
            self._before, self._is_readers = None, True
        is_picture = volume.GetImageData().GetDimensions()[2] == 1
        if is_picture and now != one and not self._is_readers:
            self._before = now
            manager.setLayout(one)
            return True
        if not is_picture and self._before is not None:
            manager.setLayout(self._before)
            self._before = None
        return False
