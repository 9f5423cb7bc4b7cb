"""The pictures of a case: overlay.png for the radiologist, stages.png as the paper's figure 1.

Outlines, not filled areas, so that the tissue stays visible; colours that colour-blind eyes tell apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.inference import CaseResult

_BACKGROUND, _WORDS, _FAINT = "#101214", "#e8e8e8", "#9aa0a6"
_SHOWN_SLICES = 6
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
        place = slice(lesion.first_slice, lesion.last_slice + 1)
        areas = (result.components[place] == lesion.number).sum(axis=(1, 2))
        k = lesion.first_slice + int(np.argmax(areas))
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
    figure = Figure(figsize=(width, height), facecolor=_BACKGROUND, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _aspect(result: CaseResult) -> float:
    row_mm, column_mm = result.canonical_volume.pixel_mm
    return row_mm / column_mm


def _show(axes: Any, result: CaseResult, image: NDArray[Any], **options: Any) -> None:
    axes.imshow(image, aspect=_aspect(result), interpolation="bilinear", **options)
    axes.set_axis_off()


def _outline(axes: Any, mask: NDArray[np.bool_], colour: tuple[float, ...], width: float) -> None:
    if mask.any() and not mask.all():
        # Half a pixel of padding lets outlines close at the border of the picture.
        padded = np.pad(mask, 1).astype(np.float32)
        rows, columns = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
        axes.contour(columns, rows, padded, levels=[0.5], colors=[colour], linewidths=width)


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
    if numbers:
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
    lines += [(Line2D([], [], color=_rgb(c.colour), linewidth=2), c.name) for c in config.conditions]
    legend = figure.legend(
        [line for line, _ in lines],
        [name for _, name in lines],
        loc="outside lower center",
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
    figure = _figure(4.2 * columns, 4.2 * rows + 1.1)
    grid = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axes in grid[len(slices) :]:
        axes.set_axis_off()
    for axes, k in zip(grid, slices, strict=False):
        _overlay(axes, result, k)
        _sides(axes, result)
        _scale_bar(axes, result)
        axes.set_title(_caption(result, k), color=_WORDS, fontsize=10)
    figure.suptitle("\n".join([title, result.summary(), *_doubt(result)]), color=_WORDS, fontsize=12)
    _legend(figure, result)
    figure.savefig(path, dpi=100, facecolor=_BACKGROUND)


def write_stages(path: Path, result: CaseResult) -> None:
    """Writes stages.png: input, organ, crop, probability, disagreement, mask of the most telling slice."""
    k = _stage_slice(result)
    config, box = result.model.config, result.preparation.box
    figure = _figure(19, 4.3)
    axes = figure.subplots(1, 6)
    image = grey(result, k)
    _show(axes[0], result, image, cmap="gray", vmin=0, vmax=1)
    _sides(axes[0], result)
    _show(axes[1], result, image, cmap="gray", vmin=0, vmax=1)
    _outline(axes[1], result.organ.mask[k], _rgb(config.organ.colour), 1.2)
    from matplotlib.patches import Rectangle

    corner = (box.column_start - 0.5, box.row_start - 0.5)
    axes[1].add_patch(
        Rectangle(corner, box.width, box.height, fill=False, edgecolor=_WORDS, linewidth=1, linestyle="--")
    )
    crop = result.preparation.network_input(np.array([k]))[0, 0]
    low, high = (0.0, 1.0) if result.preparation.scale.kind == "window_hu" else (-2.5, 4.0)
    axes[2].imshow(crop, cmap="gray", interpolation="bilinear", vmin=low, vmax=high)
    axes[2].set_axis_off()
    window = (slice(box.row_start, box.row_stop), slice(box.column_start, box.column_stop))
    for place, maps, colours in ((3, result.probability, "inferno"), (4, result.disagreement, "cividis")):
        shown = maps.max(axis=0)[k][window] / 255
        picture = axes[place].imshow(shown, cmap=colours, vmin=0, vmax=1, aspect=_aspect(result))
        axes[place].set_axis_off()
        bar = figure.colorbar(picture, ax=axes[place], fraction=0.045, pad=0.02)
        bar.ax.tick_params(colors=_FAINT, labelsize=8)
    _overlay(axes[5], result, k)
    side, organ = config.image_size, result.organ.label(config.organ)[0]
    names = (
        "input",
        f"{organ}: {result.organ.method}" if organ == config.organ.name else organ,
        f"crop, {side} x {side}",
        "probability",
        "disagreement of the shells",
        "outline",
    )
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, color=_WORDS, fontsize=11)
    words = f"{_caption(result, k)}   {result.summary()}"
    figure.suptitle("\n".join([words, *_doubt(result)]), color=_WORDS, fontsize=11)
    figure.supxlabel(f"ClamSeg, {config.name}. {RESEARCH_ONLY}", color=_FAINT, fontsize=9)
    figure.savefig(path, dpi=100, facecolor=_BACKGROUND)


def _stage_slice(result: CaseResult) -> int:
    """The slice with most lesion, else with the highest probability, else with most organ."""
    for areas in (
        (result.labels > 0).sum(axis=(1, 2)),
        result.probability.max(axis=(0, 2, 3)),
        result.organ.mask.sum(axis=(1, 2)),
    ):
        if areas.max() > 0:
            return int(np.argmax(areas))
    return int(result.canonical_volume.array.shape[0]) // 2
