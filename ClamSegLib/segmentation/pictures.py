"""The pictures of a case: overlay.png for the radiologist, stages.png as the paper's figure 1.

Outlines, not filled areas, so that the tissue stays visible; colours that colour-blind eyes tell apart. Places are
given in inches: matplotlib's own layout would take as long as all the drawing.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator
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
from ClamSegLib.organ.crop_and_normalise import Box
from ClamSegLib.segmentation.lesions import doubt_of
from ClamSegLib.segmentation.segment_volume import CaseResult
from ClamSegLib.system.words import in_picture

_BACKGROUND, _WORDS, _FAINT = "#101214", "#e8e8e8", "#9aa0a6"
_SHOWN_SLICES = 6
_CHARACTERS_PER_INCH = 11  # of a heading
_SIDE, _CAPTION, _DPI = 4.2, 0.3, 100  # inches of a slice with its caption, of the caption alone
# Letters at the left, right, top and bottom of a canonical slice.
_SIDES = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def grey(result: CaseResult, k: int) -> NDArray[np.float32]:
    """Slice k at the model's window, 0..1 (slice of the canonical volume)."""
    values = result.canonical_volume.array[k].astype(np.float32)
    scale = result.preparation.scale
    low, high = scale.display_window
    if scale.kind != "window_hu":
        low, high = max(low, float(values.min())), min(high, max(float(values.max()), low + 1e-3))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1), np.float32)


def telling_slices(result: CaseResult, count: int = _SHOWN_SLICES) -> list[int]:
    """Slices worth showing: the largest lesions' largest slices, else evenly spaced ones with organ, in order."""
    n = result.canonical_volume.array.shape[0]
    chosen: list[int] = []
    for lesion in result.lesions:
        if len(chosen) == count:
            break
        place = range(lesion.first_slice, lesion.last_slice + 1)
        k = max(place, key=lambda k: np.count_nonzero(result.components[k] == lesion.number))
        if k not in chosen:
            chosen.append(k)
    shows = np.flatnonzero(result.organ.mask.any(axis=(1, 2)))
    if len(shows) == 0:
        shows = np.arange(n)
    for k in shows[np.linspace(0, len(shows) - 1, count + 2).round().astype(int)[1:-1]]:
        if len(chosen) < min(count, n) and int(k) not in chosen:
            chosen.append(int(k))
    return sorted(chosen)


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
    figure.clear()  # its pictures would stay until Python looks for circles


def _aspect(result: CaseResult) -> float:
    row_mm, column_mm = result.canonical_volume.pixel_mm
    return row_mm / column_mm


def _show(axes: Any, result: CaseResult, image: NDArray[Any], **options: Any) -> None:
    axes.imshow(image, aspect=_aspect(result), interpolation="bilinear", **options)


def _outline(axes: Any, mask: NDArray[np.bool_], colour: tuple[float, ...], width: float) -> None:
    box = box_of(mask)
    if box is not None and not mask.all():
        # A pixel of padding lets outlines close, also at the border of the picture.
        lines = contour_generator(z=np.pad(mask[box], 1).astype(np.float32)).lines(0.5)
        rows, columns = box
        # Matplotlib's own contours would keep the coordinates of every pixel.
        corner = np.array([columns.start - 1, rows.start - 1])
        axes.add_collection(LineCollection([line + corner for line in lines], colors=[colour], linewidths=width))


def _sides(axes: Any, result: CaseResult) -> None:
    if result.canonical_volume.is_picture:
        return
    left, right, top, bottom = _SIDES[result.model.config.plane]
    for x, y, letter in ((0.015, 0.5, left), (0.985, 0.5, right), (0.5, 0.975, top), (0.5, 0.025, bottom)):
        axes.text(x, y, letter, transform=axes.transAxes, color=_FAINT, fontsize=9, ha="center", va="center")


def _scale_bar(axes: Any, result: CaseResult) -> None:
    """5 cm, where millimetres are known."""
    volume = result.canonical_volume
    if not volume.spacing_known:
        return
    rows, columns = volume.array.shape[1:]
    length = 50.0 / volume.pixel_mm[1]
    if length < 0.6 * columns:
        y = rows * 0.965
        axes.plot([columns * 0.04, columns * 0.04 + length], [y, y], color=_WORDS, linewidth=2)
        axes.text(columns * 0.04, y - rows * 0.02, "5 cm", color=_WORDS, fontsize=8, va="bottom")


def _caption(result: CaseResult, k: int) -> str:
    volume = result.canonical_volume
    words = f"slice {k + 1} of {volume.array.shape[0]}" if not volume.is_picture else ""
    if volume.array.shape[0] > 1 and volume.is_picture:
        words = f"picture {k + 1} of {volume.array.shape[0]}"
    if volume.spacing_known and not volume.is_picture:
        centre = volume.to_lps(np.array([k, (volume.array.shape[1] - 1) / 2, (volume.array.shape[2] - 1) / 2]))
        axis = {"axial": 2, "coronal": 1, "sagittal": 0}[result.model.config.plane]
        words += f"   {'LPS'[axis]} {centre[axis]:.1f} mm"
    numbers = [str(x.number) for x in result.lesions if (result.components[k] == x.number).any()]
    if numbers and result.model.config.task == "lesion":
        words += "   lesion " + ", ".join(numbers[:6]) + ("..." if len(numbers) > 6 else "")
    return words


def _doubt(result: CaseResult) -> list[str]:
    """A line that must not be missed where the picture is passed on alone: the organ was not found."""
    if not result.organ.fell_back:
        return []
    name = result.model.config.organ.name
    return [
        f"CAUTION: {name} not found, {result.organ.label(result.model.config.organ)[0]}; the result may mean little"
    ]


def _legend(figure: Figure, result: CaseResult) -> None:
    config = result.model.config
    lines = []
    if not result.organ.mask.all():
        lines.append(
            (Line2D([], [], color=_rgb(config.organ.colour), linewidth=2), result.organ.label(config.organ)[0])
        )
    lines += [(Line2D([], [], color=_rgb(c.colour), linewidth=2), c.shown_name) for c in config.conditions]
    legend = figure.legend(
        [line for line, _ in lines],
        [name for _, name in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(lines),
        frameon=False,
        labelcolor=_WORDS,
        fontsize=10,
        title=f"ClamSeg, {config.name}. {RESEARCH_ONLY}",
        title_fontsize=9,
    )
    legend.get_title().set_color(_FAINT)


def _overlay(axes: Any, result: CaseResult, k: int) -> None:
    config = result.model.config
    _show(axes, result, grey(result, k), cmap="gray", vmin=0, vmax=1)
    _outline(axes, result.organ.mask[k], _rgb(config.organ.colour), 0.9)
    for number, condition in enumerate(config.conditions, 1):
        _outline(axes, result.labels[k] == number, _rgb(condition.colour), 1.4)


def write_overlay(path: Path, result: CaseResult, title: str) -> None:
    """Writes overlay.png: the most telling slices with outlines of organ and lesions."""
    slices = telling_slices(result)
    columns = min(3, len(slices))
    rows = -(-len(slices) // columns)
    lines = [
        line
        for words in (title, result.summary(), *_doubt(result))
        for line in textwrap.wrap(words, int(_CHARACTERS_PER_INCH * _SIDE * columns))
    ]
    figure = _figure(_SIDE * columns, (_SIDE + 0.05) * rows + 0.65 + 0.21 * len(lines))
    top = float(figure.get_size_inches()[1]) - _heading(figure, lines, 12)
    for number, k in enumerate(slices):
        row, column = divmod(number, columns)
        axes = _panel(
            figure, column * _SIDE + 0.1, top - (row + 1) * (_SIDE + 0.05) + 0.05, _SIDE - 0.2, _SIDE - _CAPTION
        )
        _overlay(axes, result, k)
        _sides(axes, result)
        _scale_bar(axes, result)
        _title(axes, _caption(result, k), 10)
    _legend(figure, result)
    _save(figure, path)


def write_stages(path: Path, result: CaseResult) -> None:
    """Writes stages.png: input, organ, crop, probability, doubt, mask of the most telling slice."""
    k = _stage_slice(result)
    config, box = result.model.config, result.preparation.box
    side, organ = config.image_size, result.organ.label(config.organ)[0]
    lines = [f"{_caption(result, k)}   {result.summary()}", *_doubt(result)]
    figure = _figure(19.2, 4.1 + 0.2 * len(_doubt(result)))
    _heading(figure, lines, 11)
    # The two maps have a colour bar beside them.
    lefts = [0.05, 3.13, 6.21, 9.29, 12.72, 16.15]
    axes = [_panel(figure, left, 0.35, 3.0, 3.0) for left in lefts]
    image = grey(result, k)
    _show(axes[0], result, image, cmap="gray", vmin=0, vmax=1)
    _sides(axes[0], result)
    _show(axes[1], result, image, cmap="gray", vmin=0, vmax=1)
    _outline(axes[1], result.organ.mask[k], _rgb(config.organ.colour), 1.2)
    _frame(axes[1], box)
    crop = result.preparation.image(np.array([k]))[0]
    in_window = config.intensity.kind == "window_hu" and config.normative is None
    low, high = (0.0, 1.0) if in_window else (-2.5, 4.0)
    axes[2].imshow(crop, cmap="gray", interpolation="bilinear", vmin=low, vmax=high)
    window = (slice(box.row_start, box.row_stop), slice(box.column_start, box.column_stop))
    strongest = result.probability[:, k][(slice(None), *window)].max(axis=0)
    for place, shown, colours in ((3, strongest, "inferno"), (4, doubt_of(strongest), "cividis")):
        axes[place].imshow(shown / 255, cmap=colours, vmin=0, vmax=1, aspect=_aspect(result))
        _colour_bar(_panel(figure, lefts[place] + 3.07, 0.35, 0.1, 3.0), colours)
    _overlay(axes[5], result, k)
    names = (
        "input",
        f"{organ}: {result.organ.method}" if organ == config.organ.name else organ,
        f"crop, {side} x {side}",
        "probability",
        "doubt",
        "outline",
    )
    for axis, name in zip(axes, names, strict=True):
        _title(axis, name, 11)
    words = f"ClamSeg, {config.name}. {RESEARCH_ONLY}"
    figure.text(0.5, 0.02, words, color=_FAINT, fontsize=9, ha="center", va="bottom")
    _save(figure, path)


def _frame(axes: Any, box: Box) -> None:
    """The crop, dashed."""
    columns = [box.column_start - 0.5, box.column_stop - 0.5]
    rows = [box.row_start - 0.5, box.row_stop - 0.5]
    corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    axes.plot(
        [columns[c] for c, _ in corners], [rows[r] for _, r in corners], color=_WORDS, linewidth=1, linestyle="--"
    )


def _colour_bar(axes: Any, colours: str) -> None:
    """0 to 1 from bottom to top."""
    axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for value in (0.0, 0.5, 1.0):
        axes.text(1.6, value, f"{value:g}", transform=axes.transAxes, color=_FAINT, fontsize=8, va="center")


def _stage_slice(result: CaseResult) -> int:
    """The slice with most lesion, else with the highest probability, else with most organ."""

    def figures() -> Iterator[Callable[[int], int]]:
        yield lambda k: int(np.count_nonzero(result.labels[k]))
        yield lambda k: int(result.probability[:, k].max())
        yield lambda k: int(np.count_nonzero(result.organ.mask[k]))

    n = int(result.canonical_volume.array.shape[0])
    for of_slice in figures():
        found = [of_slice(k) for k in range(n)]
        if max(found) > 0:
            return int(np.argmax(found))
    return n // 2
