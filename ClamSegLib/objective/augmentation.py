"""Random changes of slices: augmentation for training, and the paper's distortions that make positive pairs.

All draws come from a CPU generator and are moved to the device, so that a seed means the same everywhere.
Every slice has one map of its shape, applied alike to images, masks and probability maps.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from ClamSegLib.system.errors import InputError

_LOWEST_RESOLUTION = 0.9
_SMALLEST_SIDE = 0.8
_BEND_NODES = 5


@dataclass(frozen=True)
class AugmentationStrength:
    """Largest changes; values in units of each image's own spread, so that HU windows and z-scores serve alike.

    Attributes:
        gain: contrast is multiplied by 1 - gain .. 1 + gain.
        offset: brightness is shifted by up to this many spreads.
        curve: like a gamma: the slope of dark and bright values changes by up to this share, in opposite ways.
        noise: largest standard deviation of Gaussian noise.
        rotation_degrees: either way.
        smallest_zoom: rows and columns shrink, each on its own, to this share of the image at most.
        shift: along rows and columns, as a share of the image's side.
        elastic: displacement of the nodes of a coarse grid, as a share of the image's side.
        flip: left and right change places in half of the slices.

    Raises:
        InputError: a strength that would fold the image or turn its values round.
    """

    gain: float = 0.25
    offset: float = 0.2
    curve: float = 0.3
    noise: float = 0.08
    rotation_degrees: float = 10.0
    smallest_zoom: float = 0.8
    shift: float = 0.04
    elastic: float = 0.01
    flip: bool = True

    def __post_init__(self) -> None:
        limits = {"gain": 1.0, "curve": 1.0, "elastic": 0.05, "shift": 0.5, "rotation_degrees": 180.0}
        for item in fields(self):
            value, limit = float(getattr(self, item.name)), limits.get(item.name, float("inf"))
            if not 0 <= value <= limit:
                raise InputError(f"Augmentation {item.name} {value} is out of range; allowed is 0 to {limit}.")
        if not 0 < self.smallest_zoom <= 1:
            raise InputError(f"Augmentation smallest_zoom {self.smallest_zoom} must lie above 0 and up to 1.")

    def scaled(self, factor: float, *, flip: bool) -> AugmentationStrength:
        """All strengths times `factor` (0 for no change, 1 for this strength)."""
        names = ("gain", "offset", "curve", "noise", "rotation_degrees", "shift", "elastic")
        weaker = {name: getattr(self, name) * factor for name in names}
        return replace(self, **weaker, smallest_zoom=1 - (1 - self.smallest_zoom) * factor, flip=flip and self.flip)


class _Geometry:
    """Where every output pixel looks in the input, one map per slice.

    Args:
        theta: (B,2,3) affine maps from output to input coordinates (x, y) in -1..1, pixel edges at -1 and 1.
        size: side of the slices.
        bend: (B,2,n,n) displacement in these coordinates on a coarse grid from edge to edge, or None.
    """

    def __init__(self, theta: Tensor, size: int, bend: Tensor | None = None) -> None:
        centres = _pixel_centres(size).to(theta.device)
        of_columns = theta[:, None, None, :, 0] * centres[:, None]  # (B,1,S,2)
        of_rows = theta[:, None, None, :, 1] * centres[:, None, None] + theta[:, None, None, :, 2]  # (B,S,1,2)
        self._grid = of_columns + of_rows
        if bend is not None:
            # Cubic weights of the nodes along one side; as a product over both sides they cost far less than
            # interpolating every pixel.
            nodes = torch.eye(bend.shape[-1], device=bend.device)[None, None]
            weights = interpolate(nodes, size=(size, bend.shape[-1]), mode="bicubic", align_corners=True)[0, 0]
            self._grid = self._grid + torch.einsum("yi,bkij,xj->byxk", weights, bend, weights)

    def resample(self, values: Tensor, mode: str, padding: str) -> Tensor:
        """(B,S,S) or (B,K,S,S) of any type, resampled in at least float32 and given back in its own type."""
        flat = values if values.dim() == 4 else values[:, None]
        working = torch.float64 if flat.dtype == torch.float64 else torch.float32
        moved = grid_sample(
            flat.to(working), self._grid.to(working), mode=mode, padding_mode=padding, align_corners=False
        )
        if flat.dtype == torch.bool:
            moved = moved > 0.5
        elif not flat.is_floating_point():
            moved = moved.round()
        moved = moved.to(flat.dtype)
        return moved if values.dim() == 4 else moved[:, 0]


def _pixel_centres(size: int) -> Tensor:
    return (torch.arange(size) * 2 + 1) / size - 1


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


def _noise(n: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(n,1,S,S) of unit variance: windows at random places of one sheet of normal numbers.

    The sheet is drawn on the CPU, for the same numbers on every device; one number per pixel of the batch would
    take as long there as a GPU's step.
    """
    spare = max(1, size // 2)
    sheet = torch.randn(size + spare, size + spare, generator=generator).to(device)
    row, column = torch.randint(spare + 1, (2, n), generator=generator).to(device)
    return sheet.unfold(0, size, 1).unfold(1, size, 1)[row, column][:, None]


class Augmentation:
    """One random change of shape and values per slice; make it with `sample`."""

    def __init__(self, geometry: _Geometry, values: Tensor, noise: Tensor | None) -> None:
        self._geometry, self._values, self._noise = geometry, values, noise

    @staticmethod
    def sample(
        n: int,
        size: int,
        generator: torch.Generator,
        device: torch.device,
        *,
        strength: AugmentationStrength | None = None,
    ) -> Augmentation:
        """Draws the changes of `n` slices of side `size`; generator is on the CPU."""
        s = strength or AugmentationStrength()
        theta = Augmentation._affine(n, s, generator)
        bend = None
        if s.elastic > 0:
            # A share of the side is twice as much in coordinates of -1..1.
            bend = (torch.rand(n, 2, _BEND_NODES, _BEND_NODES, generator=generator) * 2 - 1) * (2 * s.elastic)
        values = torch.stack(
            [
                1 + _uniform(n, -s.gain, s.gain, generator),
                _uniform(n, -s.offset, s.offset, generator),
                _uniform(n, -s.curve, s.curve, generator),
                _uniform(n, 0.0, s.noise, generator),
            ]
        )
        noise = _noise(n, size, generator, device) if s.noise > 0 else None
        geometry = _Geometry(theta.to(device), size, None if bend is None else bend.to(device))
        return Augmentation(geometry, values.to(device), noise)

    @staticmethod
    def _affine(n: int, s: AugmentationStrength, generator: torch.Generator) -> Tensor:
        """(n,2,3) from output to input: zoom and flip, then rotation, then shift."""
        angle = torch.deg2rad(_uniform(n, -s.rotation_degrees, s.rotation_degrees, generator))
        # Content at 80-100 % of its size: the output looks at more than the input.
        zoom_y, zoom_x = (1 / _uniform(n, s.smallest_zoom, 1.0, generator) for _ in range(2))
        shift_y, shift_x = (_uniform(n, -s.shift, s.shift, generator) * 2 for _ in range(2))
        flip = torch.where(torch.rand(n, generator=generator) < (0.5 if s.flip else 0.0), -1.0, 1.0)
        cos, sin = angle.cos(), angle.sin()
        to_x = torch.stack([cos * zoom_x * flip, -sin * zoom_y, shift_x], dim=1)
        to_y = torch.stack([sin * zoom_x * flip, cos * zoom_y, shift_y], dim=1)
        return torch.stack([to_x, to_y], dim=1)

    def image(self, x: Tensor) -> Tensor:
        """(B,1,S,S) float -> moved, with gain, offset, curve and noise; beyond its edge the image is continued."""
        moved = self._geometry.resample(x, "bilinear", "border")
        values = moved.to(torch.promote_types(x.dtype, torch.float32))
        variance, centre = torch.var_mean(values, dim=(1, 2, 3), keepdim=True, correction=0)
        spread = variance.sqrt().clamp_min(1e-3)
        gain, offset, curve, noise = (v[:, None, None, None] for v in self._values)
        z = (values - centre) / spread
        # The slope of the curve lies in 1 - |curve| .. 1 + |curve|, so that the order of values stays.
        changed: Tensor = gain * (z + curve * ((1 + z * z).sqrt() - 1)) + offset
        if self._noise is not None:
            changed = changed + noise * self._noise
        return (changed * spread + centre).to(x.dtype)

    def nearest(self, x: Tensor) -> Tensor:
        """Masks or numbers (B,S,S) or (B,K,S,S), moved without mixing values; 0 where the slice does not reach."""
        return self._geometry.resample(x, "nearest", "zeros")

    def map(self, x: Tensor) -> Tensor:
        """Float maps (B,S,S) or (B,K,S,S), moved with interpolation; 0 where the slice does not reach."""
        return self._geometry.resample(x, "bilinear", "zeros")


class PairDistortion:
    """The paper's positive pairs: blur to 90-100 % of the resolution, each side stretched or compressed to 80-100 %.

    Compressed and padded: rows and columns shrink, each to its own share, and the rest is padding. Stretched and
    resized back: the central share of rows and of columns fills the picture (compressing a side and resizing it
    back would move nothing). Each happens to half of the slices. Make it with `sample`.

    Attributes:
        valid: (B,S,S) bool, where the distorted slice shows the original and nothing of the padding: there maps
            that sum to 1 still do.
    """

    def __init__(self, geometry: _Geometry, valid: Tensor, resolution: Tensor) -> None:
        self._geometry, self.valid, self._resolution = geometry, valid, resolution

    @staticmethod
    def sample(n: int, size: int, generator: torch.Generator, device: torch.device) -> PairDistortion:
        """Draws the distortions of `n` slices of side `size`; generator is on the CPU."""
        share = _SMALLEST_SIDE + (1 - _SMALLEST_SIDE) * torch.rand(n, 2, generator=generator)  # rows, columns
        padded = torch.rand(n, 1, generator=generator) < 0.5
        resolution = _uniform(n, _LOWEST_RESOLUTION, 1.0, generator)
        scale = torch.where(padded, 1 / share, share)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1] = scale[:, 1], scale[:, 0]
        # Between the centres of the outermost pixels interpolation reads nothing but the original.
        inside = (_pixel_centres(size).abs() * scale[..., None] <= 1 - 1 / size + 1e-6).to(device)  # (n, 2, size)
        valid = inside[:, 0, :, None] & inside[:, 1, None, :]
        return PairDistortion(_Geometry(theta.to(device), size), valid, resolution.to(device))

    def image(self, x: Tensor) -> Tensor:
        """(B,1,S,S) float -> blurred and distorted; padding continues the image's edge."""
        return self._geometry.resample(self._blurred(x), "bilinear", "border").to(x.dtype)

    def map(self, p: Tensor) -> Tensor:
        """Maps (B,S,S) or (B,K,S,S) moved as the image is, differentiable; 0 in the padding."""
        return self._geometry.resample(p, "bilinear", "zeros")

    def _blurred(self, x: Tensor) -> Tensor:
        """Each slice between itself and its copy at 90 % resolution, in at least float32.

        The copy went down and up again; a share of it gives a share of its blur, without a size per slice.
        """
        size, sharp = x.shape[-1], x.to(torch.promote_types(x.dtype, torch.float32))
        small = max(1, round(_LOWEST_RESOLUTION * size))
        down = interpolate(sharp, size=(small, small), mode="bilinear", align_corners=False, antialias=True)
        blurred = interpolate(down, size=(size, size), mode="bilinear", align_corners=False)
        share = ((1 - self._resolution) / (1 - _LOWEST_RESOLUTION))[:, None, None, None].to(sharp.dtype)
        return sharp + share * (blurred - sharp)
