"""The extension in the real application: it is found, loaded, and its self-test passes. Run by ctest."""

from __future__ import annotations

import unittest

import slicer


class ClamSegSelfTest(unittest.TestCase):
    """Needs the running Slicer with the extension built, installed, or given as an additional module path."""

    def test_the_module_passes_its_own_test(self) -> None:
        """From the shipped samples to a reviewed segmentation, with the real worker."""
        slicer.selfTests["ClamSeg"](msec=100)
