"""What is drawn around a place of a slice lies around it in the picture, at any proportions."""

import numpy as np
import pytest
from PIL import Image

from ClamSegLib.segmentation.picture_sheet import Panel, Sheet
from ClamSegLib.segmentation.pictures import _outline


def extent(where: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(where)
    return [rows.min(), rows.max(), columns.min(), columns.max()]


@pytest.mark.parametrize(("shape", "aspect"), [((40, 40), 1.0), ((40, 60), 1.0), ((30, 40), 3.0), ((700, 500), 1.0)])
def test_an_outline_lies_around_what_it_outlines(tmp_path, shape, aspect):
    mask = np.zeros(shape, bool)
    mask[2 : shape[0] // 3, shape[1] // 2 : shape[1] - 3] = True  # above, at the right
    for name, draws in (("plain", False), ("outlined", True)):
        sheet = Sheet(4.0, 3.0)
        panel = Panel(sheet, (0.5, 0.25, 3.0, 2.5), shape, aspect)
        panel.show(mask.astype(np.uint8) * 255)
        if draws:
            _outline(panel, mask, (1.0, 0.0, 0.0), 1.0)
        sheet.save(tmp_path / f"{name}.png")
    plain, outlined = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("plain", "outlined"))
    assert plain.shape == (300, 400, 3)
    pixel = max(panel.width / shape[1], panel.height / shape[0])
    bright, red = extent(plain[..., 1] > 128), extent(outlined[..., 0] - outlined[..., 1] > 128)
    assert np.abs(np.subtract(bright, red)).max() <= 2 + pixel / 2
    assert bright[1] < 150  # above the middle of the sheet, at the right of it
    assert bright[2] + pixel >= 200
