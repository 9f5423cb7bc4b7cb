"""What the pictures of a case show: a few slices with their outlines and words, small enough to be given to another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Array

if TYPE_CHECKING:
    from ClamSegLib.segmentation.segment_volume import CaseResult

_SHOWN_SLICES = 6
OVERLAY, STAGES = "overlay.png", "stages.png"
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class PicturedSlice:
    """A canonical slice of H rows and W columns.

    Attributes:
        grey: (H,W) uint8 at the model's window.
        organ: (H,W) bool.
        labels: (H,W) uint8, number of the condition from 1, 0 for none.
        caption: its number, place and lesions.
    """

    grey: Array
    organ: Array
    labels: Array
    caption: str


@dataclass(frozen=True)
class PicturedCase:
    """All that overlay.png and stages.png show of a case.

    Attributes:
        title: of the case.
        summary: of the result.
        cautions: lines that must not be missed where a picture is passed on alone.
        model: its name.
        organ: in words.
        organ_method: how it was found; '' where that was not as the model asks for.
        organ_colour: of its outline.
        has_outline: whether the organ leaves anything out.
        conditions: name and colour of each.
        plane: of the slices; '' for pictures, which have no sides.
        pixel_mm: rows and columns.
        spacing_known: whether those are millimetres.
        slices: of overlay.png.
        stage: slice of stages.png.
        crop: (S,S) float32, what the network was given of it.
        crop_range: of the values that are shown black and white.
        crop_rows: first row of the crop, and the first below it.
        crop_columns: likewise.
        probability: uint8 in steps of 1/255, the rows and columns of the crop, the strongest condition.
        doubt: likewise, by `doubt_of`.
    """

    title: str
    summary: str
    cautions: tuple[str, ...]
    model: str
    organ: str
    organ_method: str
    organ_colour: Colour
    has_outline: bool
    conditions: tuple[tuple[str, Colour], ...]
    plane: str
    pixel_mm: tuple[float, float]
    spacing_known: bool
    slices: tuple[PicturedSlice, ...]
    stage: PicturedSlice
    crop: Array
    crop_range: tuple[float, float]
    crop_rows: tuple[int, int]
    crop_columns: tuple[int, int]
    probability: Array
    doubt: Array


def pictured(result: CaseResult, title: str) -> PicturedCase:
    """What of a result is shown.

    Args:
        title: of the case.
    """
    from ClamSegLib.segmentation.lesions import doubt_of  # scipy comes with it, which drawing does not need

    config, box, volume = result.model.config, result.preparation.box, result.canonical_volume
    k = _stage_slice(result)
    organ = result.organ.label(config.organ)[0]
    in_window = config.intensity.kind == "window_hu" and config.normative is None
    rows, columns = (box.row_start, box.row_stop), (box.column_start, box.column_stop)
    probability = result.probability[:, k, slice(*rows), slice(*columns)].max(axis=0)
    return PicturedCase(
        title,
        result.summary(),
        _cautions(result),
        config.name,
        organ,
        result.organ.method if organ == config.organ.name else "",
        config.organ.colour,
        not result.organ.mask.all(),
        tuple((condition.shown_name, condition.colour) for condition in config.conditions),
        "" if volume.is_picture else config.plane,
        volume.pixel_mm,
        volume.spacing_known,
        tuple(_slice(result, shown) for shown in telling_slices(result)),
        _slice(result, k),
        result.preparation.image(np.array([k]))[0],
        (0.0, 1.0) if in_window else (-2.5, 4.0),
        rows,
        columns,
        probability,
        doubt_of(probability),
    )


def _slice(result: CaseResult, k: int) -> PicturedSlice:
    return PicturedSlice(grey(result, k), result.organ.mask[k], result.labels[k], _caption(result, k))


def grey(result: CaseResult, k: int) -> NDArray[np.uint8]:
    """Slice k at the model's window (slice of the canonical volume)."""
    values = result.canonical_volume.array[k].astype(np.float32)
    scale = result.preparation.scale
    low, high = scale.display_window
    if scale.kind != "window_hu":
        low, high = max(low, float(values.min())), min(high, max(float(values.max()), low + 1e-3))
    return np.asarray(np.rint(np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255), np.uint8)


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


def _cautions(result: CaseResult) -> tuple[str, ...]:
    """A line where the organ was not found; none where it was."""
    if not result.organ.fell_back:
        return ()
    name = result.model.config.organ.name
    return (
        f"CAUTION: {name} not found, {result.organ.label(result.model.config.organ)[0]}; the result may mean little",
    )


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
