"""From a canonical volume and its organ mask to network input, and the exact way back.

One in-plane box serves the whole volume; slices are cropped and resized when asked for, so that no float copy
of a scan is ever made. Resizing maps pixel areas (no half-pixel shift), so pasting undoes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.model.config import IntensityConfig, ModelConfig, OrganConfig
from ClamSegLib.model.normative_map import HIGH, LOW, NormativeMap, centre_and_spread, compressed, standardised
from ClamSegLib.organ.clean_values import SMALLEST_SIDE_PX
from ClamSegLib.system.errors import InputError

_LOWEST_HU, _HIGHEST_HU = -32768, 32767


@dataclass(frozen=True)
class Box:
    """In-plane pixels of the crop, half-open."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.row_stop - self.row_start

    @property
    def width(self) -> int:
        """Columns."""
        return self.column_stop - self.column_start

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in a (slice, row, column) array."""
        return slice(None), slice(self.row_start, self.row_stop), slice(self.column_start, self.column_stop)


def organ_box(mask: Array, volume: Volume, organ: OrganConfig) -> Box:
    """The in-plane box of the organ over all slices, with margin, clipped to the image.

    Args:
        mask: (slice, row, column) bool; an empty mask gives the whole image.
        volume: canonical; its spacing decides the margin where it is known.
        organ: margin in mm, and as a share of the box's side where spacing is unknown.
    """
    flat: NDArray[np.bool_] = np.asarray(mask.any(axis=0))
    if not flat.any():
        return Box(0, mask.shape[1], 0, mask.shape[2])
    sides = []
    for axis, pixel_mm in ((1, volume.pixel_mm[0]), (0, volume.pixel_mm[1])):
        found = np.flatnonzero(flat.any(axis=axis))
        start, stop = int(found[0]), int(found[-1]) + 1
        margin = organ.margin_mm / pixel_mm if volume.spacing_known else organ.margin_fraction * (stop - start)
        size = flat.shape[1 - axis]
        start, stop = max(0, start - round(margin)), min(size, stop + round(margin))
        sides.append(_at_least(start, stop, size))
    return Box(*sides[0], *sides[1])


def _at_least(start: int, stop: int, size: int) -> tuple[int, int]:
    """Grows a side to the smallest the network can use."""
    lacking = SMALLEST_SIDE_PX - (stop - start)
    if lacking > 0:
        start = max(0, min(start - lacking // 2, size - SMALLEST_SIDE_PX))
        stop = min(size, start + SMALLEST_SIDE_PX)
    return start, stop


def check_intensity(volume: Volume, config: ModelConfig) -> None:
    """Refuses values that cannot be Hounsfield units for a model that expects them.

    Raises:
        InputError: said with what came and what is expected.
    """
    if config.intensity.kind != "window_hu" or volume.already_windowed:
        return
    if volume.modality not in ("", "CT"):
        raise InputError(
            f"Model '{config.name}' needs CT values in HU; this image is {volume.modality}. Choose another model."
        )
    low, high = float(volume.array.min()), float(volume.array.max())
    # Air around or inside a patient lies near -1000 HU, and no tissue or implant beyond 16 bit.
    if low > -200 or high < -100 or low < _LOWEST_HU or high > _HIGHEST_HU:
        raise InputError(
            f"Model '{config.name}' needs CT values in HU (air near -1000), but this image runs from {low:g} to {high:g}; "
            "apply the rescale slope and intercept, or choose a model for this modality."
        )


@dataclass(frozen=True)
class IntensityScale:
    """What turns values into network input: `kind` and limits of the model, centre and spread of the organ."""

    kind: str
    low: float
    high: float
    centre: float = 0.0
    spread: float = 1.0
    already_windowed: bool = False

    @property
    def display_window(self) -> tuple[float, float]:
        """Lowest and highest value worth showing, in the scan's own units: the window a picture is drawn at."""
        if self.kind == "window_hu":
            return (0.0, 255.0) if self.already_windowed else (self.low, self.high)
        return self.centre - 2.5 * self.spread, self.centre + 4.0 * self.spread


def intensity_scale(volume: Volume, mask: Array, intensity: IntensityConfig) -> IntensityScale:
    """Measures the organ's median and spread (1.4826 x median absolute deviation), per volume.

    Args:
        mask: (slice, row, column) bool; an empty mask measures the whole image.
    """
    scale = IntensityScale(intensity.kind, intensity.low, intensity.high, already_windowed=volume.already_windowed)
    if intensity.kind == "window_hu":
        return scale
    values = volume.array[mask] if mask.any() else volume.array.ravel()
    # A million voxels settle a median to far below the spread.
    values = values[:: max(1, values.size // 1_000_000)].astype(np.float32)
    centre = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    if spread <= 0:
        spread = float(values.std()) or 1.0
    return replace(scale, centre=centre, spread=spread)


def normalise(slices: Array, scale: IntensityScale) -> NDArray[np.float32]:
    """Values as the network sees them, any shape.

    A CT window is cut into 256 steps, so that a CT and its windowed 8-bit slices are the same input.
    """
    # One copy, worked on in place: over a whole scan the copies would cost more than the arithmetic.
    values: NDArray[np.float32] = slices.astype(np.float32)
    if scale.kind == "window_hu":
        if not scale.already_windowed:
            values -= scale.low
            values /= scale.high - scale.low
            np.clip(values, 0, 1, out=values)
            values *= 255
            np.rint(values, out=values)
        values /= np.float32(255)
        return values
    values -= scale.centre
    values /= scale.spread
    return np.clip(values, scale.low, scale.high, out=values)


def crop_resize(slices: Array, box: Box, image_size: int) -> NDArray[np.float32]:
    """Crops and resizes (S,H,W) to (S,size,size), bilinear, with smoothing where it shrinks."""
    import torch
    from torch.nn.functional import interpolate

    cropped = torch.from_numpy(np.ascontiguousarray(slices[box.slices], dtype=np.float32))[:, None]
    shrinks = max(box.height, box.width) > image_size
    resized = interpolate(
        cropped, size=(image_size, image_size), mode="bilinear", align_corners=False, antialias=shrinks
    )
    result: NDArray[np.float32] = resized[:, 0].numpy()
    return result


def crop_mask(mask: Array, box: Box, image_size: int) -> NDArray[np.bool_]:
    """Crops and resizes a mask (S,H,W) to (S,size,size): what covers at least half of the new pixel."""
    return crop_resize(mask, box, image_size) >= 0.5


def resize_to_box(maps: Array, box: Box) -> NDArray[np.float32]:
    """Undoes `crop_resize` in geometry: (S,size,size) -> (S, height, width) of the box."""
    import torch
    from torch.nn.functional import interpolate

    resized = interpolate(
        torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float32))[:, None],
        size=(box.height, box.width),
        mode="bilinear",
        align_corners=False,
        antialias=min(box.height, box.width) < maps.shape[-1],
    )
    result: NDArray[np.float32] = resized[:, 0].numpy()
    return result


def paste_resized(maps: Array, box: Box, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The same in the whole plane: (S,size,size) -> (S,H,W), 0 outside the box."""
    pasted = np.zeros((len(maps), *shape), np.float32)
    pasted[box.slices] = resize_to_box(maps, box)
    return pasted


@dataclass(frozen=True)
class Preparation:
    """A canonical volume ready for the network; slices are made when asked for.

    Attributes:
        mask: (slice, row, column) bool, organ.
        normative: what normal tissue looks like, for networks that see how a slice differs from it.
        heights: (slice,) relative height of each slice in the organ, 0..1.
        standard: centre and spread of the windowed values inside the organ, for models that compare with normal tissue.
        lowest: value of the volume, which is put around the organ where the model does not keep what lies there; else 0.
    """

    volume: Volume
    mask: Array
    box: Box
    scale: IntensityScale
    config: ModelConfig
    normative: NormativeMap | None = None
    heights: NDArray[np.float32] | None = None
    standard: tuple[float, float] = (0.0, 1.0)
    lowest: np.generic | float = 0.0

    @property
    def n_slices(self) -> int:
        """Slices of the volume, all of which are analysed."""
        return int(self.volume.array.shape[0])

    @property
    def network_pixel_px(self) -> float:
        """How many pixels of a slice one pixel of the network's grid covers."""
        return self.box.height * self.box.width / self.config.image_size**2

    def network_input(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(B,C,size,size) of the slices `indices`: the image alone, or with how it differs from normal tissue."""
        image = self.image(indices)
        if self.normative is None:
            return image[:, None]
        return self.normative.channels(image, self.organ_input(indices), self._heights(indices))

    def evidence(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The normative map a (B,size,size) of the slices `indices`: neither network nor mask.

        Raises:
            ValueError: the model knows no normal tissue.
        """
        if self.normative is None:
            raise ValueError("the model has no normative map")
        image, organ, heights = self.image(indices), self.organ_input(indices), self._heights(indices)
        return self.normative.apply(image, organ, heights)[2]

    def _heights(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        heights = relative_heights(self.mask) if self.heights is None else self.heights
        return np.asarray(heights[indices], np.float32)

    def image(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Crops (B,size,size) of the slices `indices`, as the network or the map of normal tissue takes them."""
        cropped = self._cropped(indices)
        normative = self.config.normative
        if normative is None:
            return cropped
        if normative.standardised == "slice":
            pairs = zip(cropped, self.organ_input(indices), strict=True)
            cropped = np.stack([standardised(one, inside) for one, inside in pairs])
        elif self.config.intensity.kind == "window_hu":
            centre, spread = self.standard
            cropped = np.clip(
                (cropped - np.float32(centre)) / np.float32(spread), LOW, HIGH if not normative.compressed else None
            )
        return compressed(cropped) if normative.compressed else cropped

    def _cropped(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        values = self.volume.array[indices][self.box.slices]
        prepared = normalise(values, self.scale)
        if not self.config.organ.keep_background:
            background = normalise(np.asarray([self.lowest]), self.scale)[0]
            prepared = np.where(self.mask[indices][self.box.slices], prepared, background)
        whole = Box(0, self.box.height, 0, self.box.width)
        return crop_resize(prepared, whole, self.config.image_size)

    def organ_input(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(B,size,size) organ of the slices `indices`."""
        return crop_mask(self.mask[indices], self.box, self.config.image_size)

    def paste(self, maps: Array) -> NDArray[np.float32]:
        """(B,size,size) maps back into the plane of the volume, (B,row,column)."""
        return paste_resized(maps, self.box, (self.volume.array.shape[1], self.volume.array.shape[2]))


def prepare(
    volume: Volume,
    organ_mask: Array,
    config: ModelConfig,
    normative: NormativeMap | None = None,
    heights: NDArray[np.float32] | None = None,
) -> Preparation:
    """Box and intensity of a canonical volume.

    Args:
        normative: of models that compare with normal tissue; without it only `image` and `organ_input` are theirs.
        heights: (slice,) relative heights where they are known otherwise than from the organ.

    Raises:
        InputError: values that the model cannot work on.
    """
    check_intensity(volume, config)
    box, scale = organ_box(organ_mask, volume, config.organ), intensity_scale(volume, organ_mask, config.intensity)
    wanted = config.normative
    standard = (0.0, 1.0)
    if wanted is not None and wanted.standardised == "volume" and scale.kind == "window_hu":
        values = volume.array[organ_mask] if organ_mask.any() else volume.array.ravel()
        standard = centre_and_spread(normalise(values[:: max(1, values.size // 1_000_000)], scale))
    if heights is None and wanted is not None:
        heights = relative_heights(organ_mask)
    lowest = 0.0 if config.organ.keep_background else volume.array.min()
    return Preparation(volume, organ_mask, box, scale, config, normative, heights, standard, lowest)


def relative_heights(mask: Array) -> NDArray[np.float32]:
    """Height (slice,) of each slice between the first and last that show the organ, 0..1; 0.5 for a single picture."""
    n = len(mask)
    if n == 1:
        return np.array([0.5], np.float32)
    shows = np.flatnonzero(mask.any(axis=(1, 2)))
    first, last = (int(shows[0]), int(shows[-1])) if len(shows) else (0, n - 1)
    return np.clip((np.arange(n) - first) / max(1, last - first), 0.0, 1.0).astype(np.float32)
