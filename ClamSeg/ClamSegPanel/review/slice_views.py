"""The slice views of the application: fitted to the scan behind them."""

from __future__ import annotations

import slicer


def fit_slice_views() -> None:
    """Shows the whole scan in every slice view; orientation and slice are kept where they lie in it."""
    manager = slicer.app.layoutManager()
    if manager is None:  # Slicer without a main window
        return
    for name in manager.sliceViewNames():
        manager.sliceWidget(name).sliceLogic().FitSliceToBackground()
