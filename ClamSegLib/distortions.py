"""Random changes of slices: augmentation for training, and the paper's distortions that make positive pairs.

All draws come from a CPU generator and are moved to the device, so that a seed means the same everywhere.
Shapes change by one affine map per slice, applied alike to images, masks and probability maps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate


@dataclass(frozen=True)
class AugmentationStrength:
    """Largest changes, in units of the image's own spread for values and as said for shapes."""

    gain: float = 0.25
    offset: float = 0.2
    curve: float = 0.3
    noise: float = 0.08
    rotation_degrees: float = 10.0
    smallest_zoom: float = 0.8
    shift: float = 0.04
    flip: bool = True

    def scaled(self, factor: float, *, flip: bool) -> AugmentationStrength:
        """All strengths times `factor` (0..1)."""
        return replace(
            self,
            gain=self.gain * factor,
            offset=self.offset * factor,
            curve=self.curve * factor,
            noise=self.noise * factor,
            rotation_degrees=self.rotation_degrees * factor,
            smallest_zoom=1 - (1 - self.smallest_zoom) * factor,
            shift=self.shift * factor,
            flip=flip and self.flip,
        )


class _Affine:
    """One affine map per slice, from output to input coordinates, (B,2,3) in -1..1."""

    def __init__(self, theta: Tensor, size: int) -> None:
        self._grid = affine_grid(theta, [len(theta), 1, size, size], align_corners=False)

    def resample(self, values: Tensor, mode: str, padding: str) -> Tensor:
        """(B,S,S) or (B,K,S,S) of any type, resampled and given back in its own type."""
        flat = values if values.dim() == 4 else values[:, None]
        moved = grid_sample(
            flat if flat.is_floating_point() else flat.float(),
            self._grid.to(flat.dtype if flat.is_floating_point() else torch.float32),
            mode=mode,
            padding_mode=padding,
            align_corners=False,
        )
        if not flat.is_floating_point():
            moved = moved.round().to(flat.dtype) if flat.dtype != torch.bool else moved > 0.5
        return moved if values.dim() == 4 else moved[:, 0]


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


class Augmentation:
    """One random change of shape and values per slice; make it with `sample`."""

    def __init__(self, affine: _Affine, values: Tensor, noise: Tensor | None) -> None:
        self._affine, self._values, self._noise = affine, values, noise

    @staticmethod
    def sample(
        n: int,
        size: int,
        generator: torch.Generator,
        device: torch.device,
        *,
        strength: AugmentationStrength | None = None,
    ) -> Augmentation:
        """Draws the changes of `n` slices of side `size`."""
        s = strength or AugmentationStrength()
        angle = torch.deg2rad(_uniform(n, -s.rotation_degrees, s.rotation_degrees, generator))
        # Zooming out to 80-100 %: the output looks at a larger part of the input plane.
        zoom_y, zoom_x = (1 / _uniform(n, s.smallest_zoom, 1.0, generator) for _ in range(2))
        shift_y, shift_x = (_uniform(n, -s.shift, s.shift, generator) * 2 for _ in range(2))
        flip = torch.where(torch.rand(n, generator=generator) < (0.5 if s.flip else 0.0), -1.0, 1.0)
        cos, sin = angle.cos(), angle.sin()
        theta = torch.stack(
            [
                torch.stack([cos * zoom_x * flip, -sin * zoom_y, shift_x], dim=1),
                torch.stack([sin * zoom_x * flip, cos * zoom_y, shift_y], dim=1),
            ],
            dim=1,
        )
        values = torch.stack(
            [
                1 + _uniform(n, -s.gain, s.gain, generator),
                _uniform(n, -s.offset, s.offset, generator),
                _uniform(n, -s.curve, s.curve, generator),
                _uniform(n, 0.0, s.noise, generator),
            ]
        )
        noise = torch.randn(n, 1, size, size, generator=generator) if s.noise > 0 else None
        return Augmentation(
            _Affine(theta.to(device), size), values.to(device), None if noise is None else noise.to(device)
        )

    def image(self, x: Tensor) -> Tensor:
        """(B,1,S,S) -> moved, and with gain, offset, a monotone curve and noise in units of each image's spread."""
        moved = self._affine.resample(x, "bilinear", "border")
        centre = moved.flatten(1).mean(1)[:, None, None, None]
        spread = moved.flatten(1).std(1).clamp_min(1e-3)[:, None, None, None]
        gain, offset, curve, noise = (v[:, None, None, None] for v in self._values)
        z = (moved - centre) / spread
        # Monotone for |curve| < 1/2 whatever the values: z + c z tanh(z)/2 bends bright and dark apart.
        z = z + 0.5 * curve * z * torch.tanh(z.abs())
        z = gain * z + offset
        if self._noise is not None:
            z = z + noise * self._noise
        return z * spread + centre

    def nearest(self, x: Tensor) -> Tensor:
        """Masks or numbers (B,S,S), moved without mixing values; 0 where the slice does not reach."""
        return self._affine.resample(x, "nearest", "zeros")

    def map(self, x: Tensor) -> Tensor:
        """Float maps (B,K,S,S), moved with interpolation; 0 where the slice does not reach."""
        return self._affine.resample(x, "bilinear", "zeros")


class PairDistortion:
    """The paper's positive pairs: blur to 90-100 % of the resolution, each side compressed to 80-100 %.

    Half of the slices are resized back to full size along each compressed side (a stretch of the content), the
    other half keep the compressed size and are padded. Make it with `sample`.

    Attributes:
        valid: (B,S,S) bool, where the distorted slice shows content of the original.
    """

    def __init__(self, affine: _Affine, valid: Tensor, resolution: Tensor) -> None:
        self._affine, self.valid, self._resolution = affine, valid, resolution

    @staticmethod
    def sample(n: int, size: int, generator: torch.Generator, device: torch.device) -> PairDistortion:
        """Draws the distortions of `n` slices of side `size`."""
        share = 0.8 + 0.2 * torch.rand(n, 2, generator=generator)  # (rows, columns)
        padded = torch.rand(n, generator=generator) < 0.5
        resolution = 0.9 + 0.1 * torch.rand(n, generator=generator)
        # Padded: content shrinks to its share of the picture. Resized back: the central share fills the picture.
        scale = torch.where(padded[:, None], 1 / share, share)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1] = scale[:, 1], scale[:, 0]
        line = (torch.arange(size) * 2 + 1) / size - 1
        inside = (line.abs()[None, None] * scale[..., None]) <= 1 + 1e-6  # (n, 2, size)
        valid = inside[:, 0, :, None] & inside[:, 1, None, :]
        return PairDistortion(_Affine(theta.to(device), size), valid.to(device), resolution.to(device))

    def image(self, x: Tensor) -> Tensor:
        """(B,1,S,S) -> blurred and distorted."""
        return self._affine.resample(self._blurred(x), "bilinear", "border")

    def map(self, p: Tensor) -> Tensor:
        """Maps (B,K,S,S) moved as the image is, differentiable; 0 in the padding."""
        return self._affine.resample(p, "bilinear", "zeros")

    def _blurred(self, x: Tensor) -> Tensor:
        """Mix of the image and its copy at 90 % resolution, so that each slice has its own resolution."""
        size = x.shape[-1]
        small = interpolate(x, size=max(1, round(0.9 * size)), mode="bilinear", align_corners=False, antialias=True)
        blurred = interpolate(small, size=size, mode="bilinear", align_corners=False)
        share = ((1 - self._resolution) / 0.1)[:, None, None, None].to(x.dtype)
        return x + share * (blurred - x)
