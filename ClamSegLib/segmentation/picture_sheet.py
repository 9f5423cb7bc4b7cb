"""A dark sheet with pictures, lines and words on it. Pictures are put into the sheet's pixels as they are; Matplotlib draws the rest.

Its axes are not used: with everything that they bring for scales and ticks they took nearly half of the time of a sheet.
Places are given in inches from the lower left corner.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray
from PIL import Image

BACKGROUND, WORDS, FAINT = "#101214", "#e8e8e8", "#9aa0a6"
_DPI = 100
_PIXELS_PER_POINT = _DPI / 72


class Sheet:
    """A sheet of `width` x `height` inches."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=_DPI)
        self.figure.patch.set_visible(False)  # the pictures lie below
        self._pictures: list[tuple[int, int, NDArray[np.uint8]]] = []

    def words(self, x: float, y: float, text: str, size: float, **how: Any) -> None:
        """Words at a place in pixels from the lower left corner; `how` as for Matplotlib's text."""
        how.setdefault("color", WORDS)
        self.figure.text(x, y, text, fontsize=size, transform=IdentityTransform(), **how)

    def line(self, x: list[float], y: list[float], **how: Any) -> None:
        """A line through places in pixels."""
        self.figure.add_artist(Line2D(x, y, color=WORDS, transform=IdentityTransform(), **how))

    def lines(self, places: list[NDArray[np.float64]], colour: tuple[float, ...], width: float) -> None:
        """Lines (points, 2) through places in pixels."""
        self.figure.add_artist(LineCollection(places, colors=[colour], linewidths=width, transform=IdentityTransform()))

    def put(self, left: int, top: int, picture: NDArray[np.uint8]) -> None:
        """Puts a picture (rows, columns, 3) with its upper left corner at a pixel, counted from the sheet's upper left corner."""
        self._pictures.append((left, top, picture))

    def save(self, path: Path) -> None:
        """Writes the sheet as PNG.

        Raises:
            OSError: not writable, disk full.
        """
        renderer = FigureCanvasAgg(self.figure).get_renderer()
        pixels = np.asarray(renderer.buffer_rgba())
        pixels[:] = (*(round(255 * part) for part in to_rgb(BACKGROUND)), 255)
        for left, top, picture in self._pictures:
            pixels[top : top + picture.shape[0], left : left + picture.shape[1], :3] = picture
        with warnings.catch_warnings():
            # A name in letters that the font lacks is drawn as boxes; nobody needs to be told by whom.
            warnings.filterwarnings("ignore", message="Glyph")
            self.figure.draw(renderer)
        # Little compression: the files grow by a tenth, and writing them takes a third of the time.
        Image.fromarray(pixels[..., :3]).save(path, format="PNG", compress_level=2, dpi=(_DPI, _DPI))


class Panel:
    """The place of a picture on a sheet: the largest one of its proportions, in the middle of a box in inches.

    Args:
        shape: rows and columns of the picture.
        aspect: height of its pixels by their width.
    """

    def __init__(
        self, sheet: Sheet, box: tuple[float, float, float, float], shape: tuple[int, ...], aspect: float = 1.0
    ) -> None:
        self.sheet, (self._rows, self._columns) = sheet, shape[:2]
        left, bottom, width, height = (side * _DPI for side in box)
        scale = min(width / self._columns, height / (self._rows * aspect))
        self.width, self.height = (max(1, round(scale * n)) for n in (self._columns, self._rows * aspect))
        self.left = round(left + (width - self.width) / 2)
        self.bottom = round(bottom + (height - self.height) / 2)

    def show(self, values: NDArray[np.uint8], colours: str = "gray", *, smooth: bool = True) -> None:
        """The picture: (rows, columns), 0 to 255 along a colour map of Matplotlib; between its pixels smooth, or as they are."""
        filtered = Image.Resampling.BILINEAR if smooth else Image.Resampling.BOX
        shown = np.asarray(Image.fromarray(values).resize((self.width, self.height), filtered))
        table = colormaps[colours](np.arange(256), bytes=True)[:, :3]
        top = round(self.sheet.height * _DPI) - self.bottom - self.height
        self.sheet.put(self.left, top, table[shown])

    def outline(self, lines: list[NDArray[np.float64]], colour: tuple[float, ...], width: float) -> None:
        """Lines through (column, row) of the picture, whose pixels have their centres at whole numbers."""
        step = np.array([self.width / self._columns, -self.height / self._rows])
        corner = np.array([self.left, self.bottom + self.height])
        self.sheet.lines([(line + 0.5) * step + corner for line in lines], colour, width)

    def line(self, columns: list[float], rows: list[float], **how: Any) -> None:
        """A line through columns and rows of the picture."""
        x = [self.left + (column + 0.5) * self.width / self._columns for column in columns]
        y = [self.bottom + self.height - (row + 0.5) * self.height / self._rows for row in rows]
        self.sheet.line(x, y, **how)

    def words(self, x: float, y: float, text: str, size: float, **how: Any) -> None:
        """Words at a share of the picture's width and height, from its lower left corner."""
        self.sheet.words(self.left + x * self.width, self.bottom + y * self.height, text, size, **how)

    def title(self, text: str, size: float) -> None:
        """Words above the picture."""
        middle, top = self.left + self.width / 2, self.bottom + self.height + 4 * _PIXELS_PER_POINT
        self.sheet.words(middle, top, text, size, ha="center", va="bottom")
