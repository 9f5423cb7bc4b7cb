"""The extension in the real application, through its window: every sample from Sample Data to exported files.

Run by ctest; the SelfTests module runs the same steps. A failure names the step.
"""

from __future__ import annotations

import unittest


class ClamSegSelfTest(unittest.TestCase):
    """Needs the running Slicer with the extension built, installed, or given as an additional module path."""

    def test_the_window(self) -> None:
        """With the real worker; left out, in words, where PyTorch does not work."""
        import slicer

        slicer.util.getModuleWidget("ClamSeg")  # a source tree puts its packages on the path with the module
        from ClamSegPanel.self_test import run_self_test

        slicer.mrmlScene.Clear()
        run_self_test(print)
