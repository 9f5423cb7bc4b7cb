"""Random changes of slices that come with how they differ from normal tissue: all channels and the target move together.

One turn, zoom, stretch, shift and flip for image, differences, target and organ in one call; then a gain for all
channels and an offset for those that a brighter image moves (x and z, not left minus right).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

TURN = float(np.deg2rad(15.0))
ZOOM = 0.15  # largest, as a logarithm; the stretch is half of it
SHIFT = 0.08  # of half the side
GAIN = 0.1  # standard deviation of the logarithm
OFFSET = 0.1  # standard deviation, in the unit of the network's input


def augment_channels(
    image: Tensor, maps: Tensor, organ: Tensor, strength: float, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Image, maps and organ of slices with one random change each; 0 where a slice does not reach.

    Args:
        image: (B,3,S,S) of x, z and m.
        maps: (B,K,S,S) that move along.
        organ: (B,S,S) bool.
        strength: 0 (nothing) to 1.
        flip: left and right may change places; m of a flipped slice is the flipped m.
        generator: on the CPU.
    """
    n, device = len(image), image.device
    theta = _theta(n, strength, flip, generator).to(device)
    parts = [image, maps, organ[:, None].float()]
    grid = affine_grid(theta, [n, 1, *image.shape[-2:]], align_corners=False)
    moved = grid_sample(torch.cat(parts, 1), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    image, maps, inside = torch.split(moved, [part.shape[1] for part in parts], dim=1)
    organ = inside[:, 0] > 0.5
    gain, offset = torch.randn(2, n, 1, 1, 1, generator=generator).to(device) * strength
    moves = torch.ones(1, image.shape[1], 1, 1, device=device)
    moves[:, 2:] = 0
    image = image * (GAIN * gain).exp() + OFFSET * offset * moves * organ[:, None]
    return image, maps, organ


def _theta(n: int, strength: float, flip: bool, generator: torch.Generator) -> Tensor:
    """(n,2,3) from output to input."""
    turn, zoom, stretch, right, down = (torch.rand(5, n, generator=generator) * 2 - 1) * strength
    angle, zoom, stretch = turn * TURN, (zoom * ZOOM).exp(), (stretch * ZOOM / 2).exp()
    mirror = torch.where(torch.rand(n, generator=generator) < (0.5 if flip else 0.0), -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * zoom * stretch * mirror, -angle.sin() * zoom / stretch
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * zoom * stretch * mirror, angle.cos() * zoom / stretch
    theta[:, 0, 2], theta[:, 1, 2] = right * SHIFT, down * SHIFT
    return theta
