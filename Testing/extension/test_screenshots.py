"""The pictures of the documentation can be taken anew: every section, at the width it has in Slicer, nothing cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from own_models import write_phantoms
from PySide6.QtGui import QImage
from slicer_stand_in import driver, screenshots


def test_every_section_is_pictured_and_none_is_blank_or_cut_off(real_window: Any, tmp_path: Path) -> None:
    labelled = write_phantoms(tmp_path / "labelled images")
    paths = screenshots.take_pictures(real_window, tmp_path, str(labelled))
    assert {path.stem for path in paths} == {f"panel-{name}" for name in screenshots.PICTURES}
    for path in paths:
        image = QImage(str(path))
        assert driver.PANEL_WIDTH - 40 < image.width() <= driver.PANEL_WIDTH, path
        step = range(0, image.width(), 3)
        assert len({image.pixel(x, y) for x in step for y in range(0, image.height(), 3)}) > 10, path
    for section in ("input", "segment", "review", "training", "setup"):
        real_window.open(f"{section}Section")
    assert driver.cut_off(real_window) == []
    assert real_window.dialogs.errors() == []
