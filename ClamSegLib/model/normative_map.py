"""What normal tissue looks like at each height and place of an organ, learned from normal slices alone.

    mean(h, r, c), spread(h, r, c)   of normal slices at relative height h and place (r, c) of the organ's frame
    z = (x - mean) / (spread + 0.3)  how unlike normal tissue of this place
    m = z_1 - mirror(z_1)            left-right difference, z_1 = z smoothed by 1 px (of 64)
    a = z_0.7 + m / 2                the normative map: neither a network nor a lesion mask

x has median 0 and spread 1 inside the organ. Smoothing and mirroring stay inside it. A network sees (x, z, m) / 2.
Numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

REFERENCE_PX = 64  # smoothing widths are given in pixels of this side
LOW, HIGH = -4.0, 8.0  # values are cut here before they are learned and judged
CHANNEL_SCALE = np.float32(0.5)  # of (x, z, m) as network input: most values then lie in -2..4
_SOFTENING = np.float32(0.3)  # added to the spread: places that never vary must not make lesions of noise
_MIRROR_SMOOTHING_PX = 1.0
_MARGIN_SHARE = 0.04  # of the frame's side beside the organ's box
_MOST_UNLIKE = 12.0  # |z| beyond this says nothing more
_COMPRESSION = 1.5
_FEWEST_PIXELS = 16


@dataclass(frozen=True)
class NormativeMap:
    """Mean and spread of normal tissue.

    Attributes:
        mean: (nodes, size, size) float16, over the heights 0..1.
        spread: likewise.
        config: how it was measured, and how it is applied.
        symmetric: whether left and right of the organ are alike; else m is 0.
    """

    mean: NDArray[np.float16]
    spread: NDArray[np.float16]
    config: NormativeConfig
    symmetric: bool = True

    def at(self, height: float) -> tuple[Floats, Floats]:
        """Mean and spread (size, size) at a relative height, between two nodes in proportion."""
        last = len(self.mean) - 1
        place = float(np.clip(height, 0, 1)) * last
        low = min(int(place), max(0, last - 1))
        share, high = np.float32(place - low), min(low + 1, last)
        mean, spread = (
            field[low].astype(np.float32) * (1 - share) + field[high].astype(np.float32) * share
            for field in (self.mean, self.spread)
        )
        return mean, spread

    def deviation(self, x: Floats, organ: Bools, height: float) -> Floats:
        """z (H,W) of a slice, 0 outside the organ."""
        mean, spread = (from_frame(field, organ, self.config.frame) for field in self.at(height))
        z = (np.clip(x, LOW, HIGH) - mean) / (spread + _SOFTENING)
        return np.where(organ, np.clip(z, -_MOST_UNLIKE, _MOST_UNLIKE), 0).astype(np.float32)

    def z_and_m(self, x: Floats, organ: Bools, heights: Floats) -> tuple[Floats, Floats]:
        """z and the left-right difference m (B,H,W) of slices; 0 outside the organ.

        Args:
            x: (B,H,W), median 0 and spread 1 inside the organ.
            organ: (B,H,W).
            heights: (B,) of the slices in the organ, 0..1.
        """
        z, m = np.zeros(x.shape, np.float32), np.zeros(x.shape, np.float32)
        shown = np.flatnonzero(organ.any(axis=(1, 2)))
        for k in shown:
            z[k] = self.deviation(x[k], organ[k], float(heights[k]))
        if not self.symmetric:
            return z, m
        evened = smoothed(z, organ, _MIRROR_SMOOTHING_PX * x.shape[-1] / REFERENCE_PX)
        for k in shown:
            m[k] = asymmetry(evened[k], organ[k], self.config.frame)
        return z, m

    def apply(self, x: Floats, organ: Bools, heights: Floats) -> tuple[Floats, Floats, Floats]:
        """z, m and the normative map a (B,H,W); arguments as for `z_and_m`."""
        z, m = self.z_and_m(x, organ, heights)
        return z, m, evidence_of(z, m, organ, self.config)

    def channels(self, x: Floats, organ: Bools, heights: Floats) -> Floats:
        """Network input (B,3,S,S); arguments as for `z_and_m`."""
        z, m = self.z_and_m(x, organ, heights)
        out = np.stack([x, z, m], axis=1).astype(np.float32, copy=False)
        out *= CHANNEL_SCALE
        return out

    def save(self, path: Path) -> None:
        """Writes mean and spread as safetensors.

        Raises:
            OutputError: not writable, disk full.
        """
        from safetensors.numpy import save

        with whole_file(path) as part:
            part.write_bytes(save({"mean": self.mean, "spread": self.spread}))

    @staticmethod
    def load(path: Path, config: NormativeConfig, symmetric: bool) -> NormativeMap:
        """Reads what `save` wrote.

        Raises:
            InputError: unreadable, another size than the configuration names, or values that are no numbers.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            fields = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError(f"{path} is not a readable safetensors file ({error}); copy the model again.") from error
        expected = (config.nodes, config.size, config.size)
        shapes = {name: field.shape for name, field in fields.items()}
        if shapes != {"mean": expected, "spread": expected}:
            raise InputError(
                f"{path} does not hold the normative map of config.json: came {shapes}, expected mean and spread of "
                f"{expected}; copy the model again."
            )
        mean, spread = (fields[name].astype(np.float16) for name in ("mean", "spread"))
        if not (np.isfinite(mean).all() and np.isfinite(spread).all() and (spread >= 0).all()):
            raise InputError(f"{path} holds values that are no numbers, or spreads below 0; the model is damaged.")
        return NormativeMap(mean, spread, config, symmetric)


def evidence_of(z: Floats, m: Floats, organ: Bools, config: NormativeConfig) -> Floats:
    """The normative map a (B,H,W) of slices; 0 outside the organ."""
    evened = smoothed(z, organ, config.smoothing * z.shape[-1] / REFERENCE_PX)
    return np.where(organ, evened + m / 2, 0).astype(np.float32)


def standardised(values: NDArray[np.generic], organ: Bools) -> Floats:
    """Values (any shape) with median 0 and spread 1 (1.4826 x median absolute deviation) inside the organ, cut to -4..8."""
    x = np.asarray(values, np.float32)
    centre, spread = centre_and_spread(x[organ] if organ.any() else x.ravel())
    return np.asarray(np.clip((x - centre) / spread, LOW, HIGH), np.float32)


def centre_and_spread(values: Floats) -> tuple[float, float]:
    """Median, and 1.4826 x median absolute deviation; the standard deviation, or 1, where that is (nearly) 0."""
    centre = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    if spread < 1e-3:
        spread = float(values.std()) or 1.0
    return centre, spread


def compressed(x: Floats) -> Floats:
    """Far values nearer: 1.5 arcsinh(x), for organs whose vessels and walls lie many spreads from their tissue."""
    return np.asarray(_COMPRESSION * np.arcsinh(x), np.float32)


def smoothed(field: Floats, organ: Bools, sigma: float) -> Floats:
    """Gaussian mean over the pixels inside the organ, slice by slice (B,H,W); 0 outside."""
    from scipy import ndimage

    if not organ.any():
        return np.zeros(field.shape, np.float32)
    reach = int(4 * sigma) + 1
    rows, columns = (
        slice(max(0, int(f[0]) - reach), int(f[-1]) + reach + 1)
        for f in (np.flatnonzero(organ.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    )
    inside = organ[:, rows, columns]
    in_plane = (0, sigma, sigma)
    weight = ndimage.gaussian_filter(inside.astype(np.float32), in_plane, mode="constant")
    total = ndimage.gaussian_filter(np.where(inside, field[:, rows, columns], 0), in_plane, mode="constant")
    found = np.zeros(field.shape, np.float32)
    found[:, rows, columns] = np.where(inside, total / np.maximum(weight, 1e-3), 0)
    return found


def asymmetry(z: Floats, organ: Bools, frame: str) -> Floats:
    """z minus its mirror image at the frame's middle (H,W); 0 outside the organ and where the mirror shows none."""
    first, last = _columns_of_frame(organ, frame)
    column = first + last - np.arange(organ.shape[1])
    there = (column >= 0) & (column < organ.shape[1])
    column = np.clip(column, 0, organ.shape[1] - 1)
    mirrored, inside = z[:, column], organ[:, column] & there
    return np.where(organ & inside, z - mirrored, 0).astype(np.float32)


def _columns_of_frame(organ: Bools, frame: str) -> tuple[int, int]:
    """First and last column of the frame: its middle is that of the organ, or of the crop."""
    if frame == "crop" or np.count_nonzero(organ) < _FEWEST_PIXELS:
        return 0, organ.shape[1] - 1
    found = np.flatnonzero(organ.any(axis=0))
    return int(found[0]), int(found[-1])


def _side_of_frame(organ: Bools, frame: str, axis: int, size: int) -> tuple[float, float]:
    """step, offset with slice place = step * frame place + offset along an axis (pixel centres at whole numbers)."""
    length = organ.shape[axis]
    if frame == "crop" or np.count_nonzero(organ) < _FEWEST_PIXELS:
        step, middle = length / size, (length - 1) / 2
    else:
        found = np.flatnonzero(organ.any(axis=1 - axis))
        step = (found[-1] + 1 - found[0]) / (size * (1 - 2 * _MARGIN_SHARE))
        middle = (found[0] + found[-1]) / 2
    return float(step), float(middle - step * (size - 1) / 2)


def _interpolated(field: Floats, places: NDArray[np.floating], axis: int, *, goes_on: bool) -> Floats:
    """Linear interpolation of a field (H,W) at places along an axis; beyond the ends the rim goes on, or there is nothing.

    As a product of matrices this would wake the threads of NumPy's linear algebra, which then stand in the way of torch's:
    the network took two to three times as long (docs/research/performance.md). `scipy.ndimage.affine_transform` gives the same to
    within 5e-7 and takes three to four times as long as this, once or twice a slice.
    """
    last = field.shape[axis] - 1
    inside = np.clip(places, 0, last)
    low = np.minimum(inside.astype(np.int64), max(0, last - 1))
    share = np.expand_dims((inside - low).astype(np.float32), 1 - axis)
    lower, upper = (np.take(field, place, axis) for place in (low, np.minimum(low + 1, last)))
    found = lower + (upper - lower) * share
    if not goes_on:
        found *= np.expand_dims((places >= 0) & (places <= last), 1 - axis)
    return np.asarray(found, np.float32)


def from_frame(field: Floats, organ: Bools, frame: str) -> Floats:
    """A field of the frame (size, size) on the pixels (H,W) of the slice; the rim goes on beyond the frame."""
    size = field.shape[-1]
    for axis in (0, 1):
        step, offset = _side_of_frame(organ, frame, axis, size)
        field = _interpolated(field, (np.arange(organ.shape[axis]) - offset) / step, axis, goes_on=True)
    return field


def to_frame(field: Floats, organ: Bools, frame: str, size: int) -> Floats:
    """A field of a slice (H,W) on the frame's pixels (size, size); 0 where the slice ends."""
    from scipy import ndimage

    places, sigma = [], []
    for axis in (0, 1):
        step, offset = _side_of_frame(organ, frame, axis, size)
        places.append(np.arange(size) * step + offset)
        sigma.append(max(0.0, 0.4 * (step - 1)))  # a frame coarser than the slice must not pick single pixels
    if max(sigma) > 0.05:
        field = ndimage.gaussian_filter(field.astype(np.float32), sigma)
    field = field.astype(np.float32)
    for axis in (0, 1):
        field = _interpolated(field, places[axis], axis, goes_on=False)
    return field
