"""Mosaics: images whose regions come from two slices at random, so that only local evidence tells the origin.

A network that sees whole slices learns "this slice is diseased" and paints all of it. In a mosaic the seams
follow superpixels of the slices, so that neither a seam nor the surroundings give the origin away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_LOWEST_SHARE, _HIGHEST_SHARE = 0.3, 0.7
_IDS = 256


@dataclass(frozen=True)
class Mosaic:
    """Mixed slices.

    Attributes:
        image: (B,1,S,S).
        from_first: (B,S,S) bool, whether the pixel comes from the first slice.
        organ: (B,S,S) bool, organ of the slice the pixel comes from.
    """

    image: Tensor
    from_first: Tensor
    organ: Tensor

    def take(self, first: Tensor, second: Tensor) -> Tensor:
        """Any per-pixel maps (B,S,S) or (B,K,S,S), mixed as the images are."""
        origin = self.from_first if first.dim() == 3 else self.from_first[:, None]
        return torch.where(origin, first, second)


def _shares(n: int, generator: torch.Generator) -> Tensor:
    """Probability that a region comes from the first slice, drawn per sample, (n, 1)."""
    return _LOWEST_SHARE + (_HIGHEST_SHARE - _LOWEST_SHARE) * torch.rand(n, 1, generator=generator)


def superpixel_origin(first_regions: Tensor, second_regions: Tensor, generator: torch.Generator) -> Tensor:
    """(B,S,S) bool: every superpixel of either slice's map, drawn per sample, comes from the first slice or not."""
    n, device = len(first_regions), first_regions.device
    cut_by_first = torch.rand(n, generator=generator) < 0.5
    from_first = torch.rand(n, _IDS, generator=generator) < _shares(n, generator)
    regions = torch.where(cut_by_first.to(device)[:, None, None], first_regions, second_regions)
    table = from_first.to(device)
    return table.gather(1, regions.long().flatten(1)).view_as(regions)


def tile_origin(
    n: int,
    size: int,
    generator: torch.Generator,
    device: torch.device,
    side_range: tuple[float, float] = (0.125, 0.375),
) -> Tensor:
    """(B,S,S) bool: rectangular tiles with sides of `side_range` of the image, at a random offset."""
    sides = (side_range[0] + (side_range[1] - side_range[0]) * torch.rand(n, 2, generator=generator)) * size
    sides = sides.clamp_min(1.0)
    offset = torch.rand(n, 2, generator=generator) * sides
    line = torch.arange(size)[None, None]
    tile = ((line + offset[..., None]) / sides[..., None]).floor().long() % 16  # (n, 2, size)
    from_first = torch.rand(n, _IDS, generator=generator) < _shares(n, generator)
    ids = (tile[:, 0, :, None] * 16 + tile[:, 1, None, :]).flatten(1)
    return from_first.gather(1, ids).view(n, size, size).to(device)


def rectangle_origin(n: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(B,S,S) bool: CutMix, one rectangle of 20 to 80 % of the area comes from the second slice."""
    random = torch.rand(n, 4, generator=generator)
    area = 0.2 + 0.6 * random[:, 0]
    stretch = torch.exp((random[:, 1] - 0.5) * 1.2)
    height, width = (area.sqrt() * stretch).clamp(max=1.0), (area.sqrt() / stretch).clamp(max=1.0)
    top, left = random[:, 2] * (1 - height), random[:, 3] * (1 - width)
    line = (torch.arange(size) + 0.5)[None] / size
    rows = (line >= top[:, None]) & (line < (top + height)[:, None])
    columns = (line >= left[:, None]) & (line < (left + width)[:, None])
    return ~(rows[:, :, None] & columns[:, None, :]).to(device)


def mosaic(
    kind: str,
    first: Tensor,
    second: Tensor,
    first_regions: Tensor,
    second_regions: Tensor,
    first_organ: Tensor,
    second_organ: Tensor,
    *,
    generator: torch.Generator,
) -> Mosaic:
    """Mixes two batches of slices.

    Args:
        kind: 'superpixel', 'tile', 'mixed' (one of the two per sample), 'cutmix' or 'none' (the first slices).
        first: (B,1,S,S) images.
        second: (B,1,S,S) images.
        first_regions: (B,S,S) uint8 superpixel numbers.
        second_regions: (B,S,S) uint8 superpixel numbers.
        first_organ: (B,S,S) bool.
        second_organ: (B,S,S) bool.
        generator: on the CPU; the same state gives the same mosaic on every device.

    Raises:
        ValueError: unknown kind.
    """
    n, size, device = len(first), first.shape[-1], first.device
    origins: dict[str, Callable[[], Tensor]] = {
        "superpixel": lambda: superpixel_origin(first_regions, second_regions, generator),
        "tile": lambda: tile_origin(n, size, generator, device),
        "cutmix": lambda: rectangle_origin(n, size, generator, device),
        "none": lambda: torch.ones(n, size, size, dtype=torch.bool, device=device),
    }
    if kind == "mixed":
        by_superpixel = (torch.rand(n, 1, 1, generator=generator) < 0.5).to(device)
        from_first = torch.where(by_superpixel, origins["superpixel"](), origins["tile"]())
    elif kind in origins:
        from_first = origins[kind]()
    else:
        raise ValueError(f"mosaic '{kind}' is unknown; allowed are {', '.join(origins)} and mixed")
    image = torch.where(from_first[:, None], first, second)
    return Mosaic(image, from_first, torch.where(from_first, first_organ, second_organ))
