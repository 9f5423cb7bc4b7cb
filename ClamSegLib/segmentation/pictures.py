"""The pictures of a case: overlay.png for the radiologist, stages.png as the paper's figure 1.

Outlines, not filled areas, so that the tissue stays visible; colours that colour-blind eyes tell apart. Places are
given in inches: matplotlib's own layout would take as long as all the drawing.
"""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.imaging.volume import box_of
from ClamSegLib.segmentation.pictured_case import OVERLAY, STAGES, PicturedCase, PicturedSlice
from ClamSegLib.system.words import in_picture

_BACKGROUND, _WORDS, _FAINT = "#101214", "#e8e8e8", "#9aa0a6"
_CHARACTERS_PER_INCH = 11  # of a heading
_SIDE, _CAPTION, _DPI = 4.2, 0.3, 100  # inches of a slice with its caption, of the caption alone
# Letters at the left, right, top and bottom of a canonical slice.
_SIDES = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    return figure


def _panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Any:
    """A place for a picture, in inches from the lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height), frameon=False
    )
    axes.set_axis_off()
    return axes


def _title(axes: Any, words: str, size: float) -> None:
    """Words above a picture, wherever its aspect puts its upper edge."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "bottom"}
    axes.annotate(words, (0.5, 1.0), (0, 4), color=_WORDS, fontsize=size, **place)


def _heading(figure: Figure, lines: list[str], size: float) -> float:
    """Words at the top; returns the height they take in inches."""
    height = float(figure.get_size_inches()[1])
    figure.text(
        0.5, 1 - 0.08 / height, in_picture("\n".join(lines)), color=_WORDS, fontsize=size, ha="center", va="top"
    )
    return 0.12 + len(lines) * size * 1.25 / 72


def _save(figure: Figure, path: Path) -> None:
    # Little compression: the files grow by a tenth, and writing them takes a third of the time.
    with warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes; nobody needs to be told by whom.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, dpi=_DPI, facecolor=_BACKGROUND, pil_kwargs={"compress_level": 2})


def _aspect(case: PicturedCase) -> float:
    row_mm, column_mm = case.pixel_mm
    return row_mm / column_mm


def _show(axes: Any, case: PicturedCase, image: NDArray[Any]) -> None:
    axes.imshow(image, aspect=_aspect(case), interpolation="bilinear", cmap="gray", vmin=0, vmax=255)


def _outline(axes: Any, mask: NDArray[np.bool_], colour: tuple[float, ...], width: float) -> None:
    box = box_of(mask)
    if box is not None and not mask.all():
        # A pixel of padding lets outlines close, also at the border of the picture.
        lines = contour_generator(z=np.pad(mask[box], 1).astype(np.float32)).lines(0.5)
        rows, columns = box
        # Matplotlib's own contours would keep the coordinates of every pixel.
        corner = np.array([columns.start - 1, rows.start - 1])
        axes.add_collection(LineCollection([line + corner for line in lines], colors=[colour], linewidths=width))


def _sides(axes: Any, case: PicturedCase) -> None:
    if not case.plane:
        return
    left, right, top, bottom = _SIDES[case.plane]
    for x, y, letter in ((0.015, 0.5, left), (0.985, 0.5, right), (0.5, 0.975, top), (0.5, 0.025, bottom)):
        axes.text(x, y, letter, transform=axes.transAxes, color=_FAINT, fontsize=9, ha="center", va="center")


def _scale_bar(axes: Any, case: PicturedCase) -> None:
    """5 cm, where millimetres are known."""
    if not case.spacing_known:
        return
    rows, columns = case.stage.grey.shape
    length = 50.0 / case.pixel_mm[1]
    if length < 0.6 * columns:
        y = rows * 0.965
        axes.plot([columns * 0.04, columns * 0.04 + length], [y, y], color=_WORDS, linewidth=2)
        axes.text(columns * 0.04, y - rows * 0.02, "5 cm", color=_WORDS, fontsize=8, va="bottom")


def _legend(figure: Figure, case: PicturedCase) -> None:
    named = [(case.organ, case.organ_colour)] if case.has_outline else []
    lines = [(Line2D([], [], color=_rgb(colour), linewidth=2), name) for name, colour in (*named, *case.conditions)]
    legend = figure.legend(
        [line for line, _ in lines],
        [name for _, name in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(lines),
        frameon=False,
        labelcolor=_WORDS,
        fontsize=10,
        title=f"ClamSeg, {case.model}. {RESEARCH_ONLY}",
        title_fontsize=9,
    )
    legend.get_title().set_color(_FAINT)


def _overlay(axes: Any, case: PicturedCase, shown: PicturedSlice) -> None:
    _show(axes, case, shown.grey)
    _outline(axes, shown.organ, _rgb(case.organ_colour), 0.9)
    for number, (_, colour) in enumerate(case.conditions, 1):
        _outline(axes, shown.labels == number, _rgb(colour), 1.4)


def write_pictures(folder: Path, case: PicturedCase) -> None:
    """Writes both pictures of a case.

    Raises:
        OSError: not writable, disk full.
    """
    write_overlay(folder / OVERLAY, case)
    write_stages(folder / STAGES, case)


def write_overlay(path: Path, case: PicturedCase) -> None:
    """Writes overlay.png: the most telling slices with outlines of organ and lesions."""
    columns = min(3, len(case.slices))
    rows = -(-len(case.slices) // columns)
    lines = [
        line
        for words in (case.title, case.summary, *case.cautions)
        for line in textwrap.wrap(words, int(_CHARACTERS_PER_INCH * _SIDE * columns))
    ]
    figure = _figure(_SIDE * columns, (_SIDE + 0.05) * rows + 0.65 + 0.21 * len(lines))
    top = float(figure.get_size_inches()[1]) - _heading(figure, lines, 12)
    for number, shown in enumerate(case.slices):
        row, column = divmod(number, columns)
        axes = _panel(
            figure, column * _SIDE + 0.1, top - (row + 1) * (_SIDE + 0.05) + 0.05, _SIDE - 0.2, _SIDE - _CAPTION
        )
        _overlay(axes, case, shown)
        _sides(axes, case)
        _scale_bar(axes, case)
        _title(axes, shown.caption, 10)
    _legend(figure, case)
    _save(figure, path)


def write_stages(path: Path, case: PicturedCase) -> None:
    """Writes stages.png: input, organ, crop, probability, doubt, mask of the most telling slice."""
    shown = case.stage
    lines = [f"{shown.caption}   {case.summary}", *case.cautions]
    figure = _figure(19.2, 4.1 + 0.2 * len(case.cautions))
    _heading(figure, lines, 11)
    # The two maps have a colour bar beside them.
    lefts = [0.05, 3.13, 6.21, 9.29, 12.72, 16.15]
    axes = [_panel(figure, left, 0.35, 3.0, 3.0) for left in lefts]
    _show(axes[0], case, shown.grey)
    _sides(axes[0], case)
    _show(axes[1], case, shown.grey)
    _outline(axes[1], shown.organ, _rgb(case.organ_colour), 1.2)
    _frame(axes[1], case)
    low, high = case.crop_range
    axes[2].imshow(case.crop, cmap="gray", interpolation="bilinear", vmin=low, vmax=high)
    for place, values, colours in ((3, case.probability, "inferno"), (4, case.doubt, "cividis")):
        axes[place].imshow(values / 255, cmap=colours, vmin=0, vmax=1, aspect=_aspect(case))
        _colour_bar(_panel(figure, lefts[place] + 3.07, 0.35, 0.1, 3.0), colours)
    _overlay(axes[5], case, shown)
    names = (
        "input",
        f"{case.organ}: {case.organ_method}" if case.organ_method else case.organ,
        f"crop, {case.crop.shape[-1]} x {case.crop.shape[-1]}",
        "probability",
        "doubt",
        "outline",
    )
    for axis, name in zip(axes, names, strict=True):
        _title(axis, name, 11)
    words = f"ClamSeg, {case.model}. {RESEARCH_ONLY}"
    figure.text(0.5, 0.02, words, color=_FAINT, fontsize=9, ha="center", va="bottom")
    _save(figure, path)


def _frame(axes: Any, case: PicturedCase) -> None:
    """The crop, dashed."""
    columns = [edge - 0.5 for edge in case.crop_columns]
    rows = [edge - 0.5 for edge in case.crop_rows]
    corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    axes.plot(
        [columns[c] for c, _ in corners], [rows[r] for _, r in corners], color=_WORDS, linewidth=1, linestyle="--"
    )


def _colour_bar(axes: Any, colours: str) -> None:
    """0 to 1 from bottom to top."""
    axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for value in (0.0, 0.5, 1.0):
        axes.text(1.6, value, f"{value:g}", transform=axes.transAxes, color=_FAINT, fontsize=8, va="center")
