"""The module's window, driven as a user drives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from volumes_in_scene import add_volume


def test_without_a_volume_the_window_says_what_to_load(window: Any) -> None:
    assert window.text("volumeFactsLabel") == "Load a CT, MRI or X-ray, or get one from Sample Data."
    assert window.text("applyButton") == "Segment"


def test_apply_without_a_volume_says_so(window: Any) -> None:
    window.click("applyButton")
    assert window.dialogs.errors() == ["Choose a volume first."]


def test_a_volume_of_the_scene_is_offered_and_its_facts_are_shown(window: Any) -> None:
    add_volume(window.scene, np.zeros((4, 8, 8), np.int16), name="scan")
    window.choose("volumeSelector", "scan")
    assert window.text("volumeFactsLabel").endswith("4 slices")


def test_the_panel_can_be_pictured_at_its_width_in_slicer(window: Any, tmp_path: Path) -> None:
    image = window.grab(tmp_path / "panel.png")
    assert image.width() == 500
    assert len({image.pixel(x, y) for x in range(0, 500, 7) for y in range(0, image.height(), 3)}) > 10
