"""The extension in the real application, through its window: a sample is chosen, Segment clicked, a lesion decided.

Run by ctest. `ClamSegTest` in ClamSeg.py tests what lies below the window.
"""

from __future__ import annotations

import unittest
from typing import Any

import slicer


def segment_through_the_window(widget: Any) -> None:
    """A user's way with the panel; raises AssertionError where it does not lead to a reviewed result.

    Args:
        widget: ClamSegWidget of the running application.
    """
    from ClamSegPanel.self_test import load_sample, wait_until

    slicer.mrmlScene.Clear()
    volume = load_sample("mr-flair-brain")
    widget.ui.volumeSelector.setCurrentNode(volume)
    run = widget.panel.segment.run
    widget.ui.applyButton.click()
    assert run.job.is_busy, f"Segment started nothing: {widget.ui.progressLabel.text}"
    wait_until(lambda: not run.job.is_busy, "segmenting through the window")
    assert run.done == 1, widget.ui.progressLabel.text
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert len(segmentations) == 1
    result = widget.logic.result_of(segmentations[0])
    assert result.certificate().holds
    rows = result.lesions.rows()
    assert widget.ui.lesionTable.rowCount == len(rows) > 0
    widget.ui.lesionTable.selectRow(0)
    widget.ui.acceptButton.click()
    decided = [row for row in result.lesions.rows() if row.decision.value == "accepted"]
    assert len(decided) == 1, "Accept decided nothing"


class ClamSegSelfTest(unittest.TestCase):
    """Needs the running Slicer with the extension built, installed, or given as an additional module path."""

    def test_the_window(self) -> None:
        """With the real worker; left out, in words, where PyTorch does not work."""
        from ClamSegPanel.sample_data import register
        from ClamSegPanel.self_test import wait_until

        register()
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule("ClamSeg")
        widget = slicer.util.getModuleWidget("ClamSeg")
        told: list[str] = []
        widget.logic.look_at_installation(told.append)
        wait_until(lambda: bool(told), "the worker's look at the installation")
        if told[0] or not widget.logic.installation["torch"]:
            self.skipTest(told[0] or " ".join(widget.logic.installation["problems"]))
        segment_through_the_window(widget)
