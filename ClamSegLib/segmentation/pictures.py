"""The pictures of a case: overlay.png for the radiologist, stages.png as the paper's figure 1.

Outlines, not filled areas, so that the tissue stays visible; colours that colour-blind eyes tell apart. Places are
given in inches: matplotlib's own layout would take as long as all the drawing.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from contourpy import contour_generator
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.imaging.volume import box_of
from ClamSegLib.segmentation.picture_sheet import FAINT, WORDS, Panel, Sheet
from ClamSegLib.segmentation.pictured_case import OVERLAY, STAGES, PicturedCase, PicturedSlice
from ClamSegLib.system.words import in_picture

_CHARACTERS_PER_INCH = 11  # of a heading
_SIDE, _CAPTION = 4.2, 0.3  # inches of a slice with its caption, of the caption alone
# Letters at the left, right, top and bottom of a canonical slice.
_SIDES = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def _heading(sheet: Sheet, lines: list[str], size: float) -> float:
    """Words at the top; returns the height they take in inches."""
    text = in_picture("\n".join(lines))
    sheet.figure.text(0.5, 1 - 0.08 / sheet.height, text, color=WORDS, fontsize=size, ha="center", va="top")
    return 0.12 + len(lines) * size * 1.25 / 72


def _panel(sheet: Sheet, case: PicturedCase, box: tuple[float, float, float, float], shown: PicturedSlice) -> Panel:
    """A slice in its box (left, bottom, width, height)."""
    panel = Panel(sheet, box, shown.grey.shape, _aspect(case))
    panel.show(shown.grey)
    return panel


def _aspect(case: PicturedCase) -> float:
    row_mm, column_mm = case.pixel_mm
    return row_mm / column_mm


def _outline(panel: Panel, mask: NDArray[np.bool_], colour: tuple[float, ...], width: float) -> None:
    box = box_of(mask)
    if box is not None and not mask.all():
        # A pixel of padding lets outlines close, also at the border of the picture.
        lines = contour_generator(z=np.pad(mask[box], 1).astype(np.float32)).lines(0.5)
        rows, columns = box
        corner = np.array([columns.start - 1, rows.start - 1])
        panel.outline([line + corner for line in lines], colour, width)


def _sides(panel: Panel, case: PicturedCase) -> None:
    if not case.plane:
        return
    left, right, top, bottom = _SIDES[case.plane]
    for x, y, letter in ((0.015, 0.5, left), (0.985, 0.5, right), (0.5, 0.975, top), (0.5, 0.025, bottom)):
        panel.words(x, y, letter, 9, color=FAINT, ha="center", va="center")


def _scale_bar(panel: Panel, case: PicturedCase) -> None:
    """5 cm, where millimetres are known."""
    if not case.spacing_known:
        return
    rows, columns = case.stage.grey.shape
    length = 50.0 / case.pixel_mm[1]
    if length < 0.6 * columns:
        y = rows * 0.965
        panel.line([columns * 0.04, columns * 0.04 + length], [y, y], linewidth=2)
        panel.words(0.04, 1 - (y - rows * 0.02) / rows, "5 cm", 8, va="bottom")


def _legend(sheet: Sheet, case: PicturedCase) -> None:
    named = [(case.organ, case.organ_colour)] if case.has_outline else []
    lines = [(Line2D([], [], color=_rgb(colour), linewidth=2), name) for name, colour in (*named, *case.conditions)]
    legend = sheet.figure.legend(
        [line for line, _ in lines],
        [name for _, name in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(lines),
        frameon=False,
        labelcolor=WORDS,
        fontsize=10,
        title=f"ClamSeg, {case.model}. {RESEARCH_ONLY}",
        title_fontsize=9,
    )
    legend.get_title().set_color(FAINT)


def _overlay(panel: Panel, case: PicturedCase, shown: PicturedSlice) -> None:
    _outline(panel, shown.organ, _rgb(case.organ_colour), 0.9)
    for number, (_, colour) in enumerate(case.conditions, 1):
        _outline(panel, shown.labels == number, _rgb(colour), 1.4)


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
    sheet = Sheet(_SIDE * columns, (_SIDE + 0.05) * rows + 0.65 + 0.21 * len(lines))
    top = sheet.height - _heading(sheet, lines, 12)
    for number, shown in enumerate(case.slices):
        row, column = divmod(number, columns)
        left, bottom = column * _SIDE + 0.1, top - (row + 1) * (_SIDE + 0.05) + 0.05
        panel = _panel(sheet, case, (left, bottom, _SIDE - 0.2, _SIDE - _CAPTION), shown)
        _overlay(panel, case, shown)
        _sides(panel, case)
        _scale_bar(panel, case)
        panel.title(shown.caption, 10)
    _legend(sheet, case)
    sheet.save(path)


def write_stages(path: Path, case: PicturedCase) -> None:
    """Writes stages.png: input, organ, crop, probability, doubt, mask of the most telling slice."""
    shown = case.stage
    lines = [f"{shown.caption}   {case.summary}", *case.cautions]
    sheet = Sheet(19.2, 4.1 + 0.2 * len(case.cautions))
    _heading(sheet, lines, 11)
    # The two maps have a colour bar beside them.
    boxes = [(left, 0.35, 3.0, 3.0) for left in (0.05, 3.13, 6.21, 9.29, 12.72, 16.15)]
    source, organ, outlined = (_panel(sheet, case, boxes[place], shown) for place in (0, 1, 5))
    _sides(source, case)
    _outline(organ, shown.organ, _rgb(case.organ_colour), 1.2)
    _frame(organ, case)
    crop = Panel(sheet, boxes[2], case.crop.shape)
    low, high = case.crop_range
    crop.show(np.rint(255 * np.clip((case.crop - low) / (high - low), 0, 1)).astype(np.uint8))
    maps = [Panel(sheet, boxes[place], case.probability.shape, _aspect(case)) for place in (3, 4)]
    for panel, box, values, colours in zip(
        maps, boxes[3:5], (case.probability, case.doubt), ("inferno", "cividis"), strict=True
    ):
        panel.show(values, colours, smooth=False)
        _colour_bar(sheet, box[0] + 3.07, colours)
    _overlay(outlined, case, shown)
    names = (
        "input",
        f"{case.organ}: {case.organ_method}" if case.organ_method else case.organ,
        f"crop, {case.crop.shape[-1]} x {case.crop.shape[-1]}",
        "probability",
        "doubt",
        "outline",
    )
    for panel, name in zip((source, organ, crop, *maps, outlined), names, strict=True):
        panel.title(name, 11)
    words = f"ClamSeg, {case.model}. {RESEARCH_ONLY}"
    sheet.figure.text(0.5, 0.02, words, color=FAINT, fontsize=9, ha="center", va="bottom")
    sheet.save(path)


def _frame(panel: Panel, case: PicturedCase) -> None:
    """The crop, dashed."""
    columns = [edge - 0.5 for edge in case.crop_columns]
    rows = [edge - 0.5 for edge in case.crop_rows]
    corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    panel.line([columns[c] for c, _ in corners], [rows[r] for _, r in corners], linewidth=1, linestyle="--")


def _colour_bar(sheet: Sheet, left: float, colours: str) -> None:
    """0 to 1 from bottom to top."""
    bar = Panel(sheet, (left, 0.35, 0.1, 3.0), (256, 10), 300 / 256)
    bar.show(np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 10, axis=1), colours)
    for value in (0.0, 0.5, 1.0):
        bar.words(1.6, value, f"{value:g}", 8, color=FAINT, va="center")
