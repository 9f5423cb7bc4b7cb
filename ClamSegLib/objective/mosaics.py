"""Mosaics: images whose regions come from two slices at random, so that only local evidence tells the origin.

A network that sees whole slices learns "this slice is diseased" and paints all of it. In a mosaic the seams
follow superpixels of the slices, so that neither a seam nor the surroundings give the origin away. Seams are
hard: a blend would make pixels of no origin, and nothing showed that it helps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ClamSegLib.system.errors import InputError

MOSAIC_KINDS = ("superpixel", "tile", "mixed", "cutmix", "none")
TILE_SIDES = (0.125, 0.375)  # shares of the image's side
_LOWEST_SHARE, _HIGHEST_SHARE = 0.3, 0.7
_IDS = 256  # region numbers are uint8


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
    """(B,S,S) bool: each superpixel comes from the first slice or not; one slice's map, drawn per sample, cuts."""
    n, device = len(first_regions), first_regions.device
    cut_by_first = (torch.rand(n, generator=generator) < 0.5).to(device)
    from_first = (torch.rand(n, _IDS, generator=generator) < _shares(n, generator)).to(device)
    regions = torch.where(cut_by_first[:, None, None], first_regions, second_regions)
    return from_first.gather(1, regions.flatten(1).long()).view(regions.shape)


def tile_origin(
    n: int,
    size: int,
    generator: torch.Generator,
    device: torch.device,
    side_range: tuple[float, float] = TILE_SIDES,
) -> Tensor:
    """(B,S,S) bool: rectangular tiles at a random offset, each from the first slice or not.

    Args:
        side_range: smallest and largest side of a tile as shares of the image's side; height and width are drawn apart.

    Raises:
        InputError: `side_range` is not 0 < smallest <= largest <= 1.
    """
    smallest, largest = side_range
    if not 0 < smallest <= largest <= 1:
        raise InputError(f"Tile sides {side_range} must be two rising shares of the image's side, above 0 up to 1.")
    sides = ((smallest + (largest - smallest) * torch.rand(n, 2, generator=generator)) * size).clamp_min(1.0)
    offset = torch.rand(n, 2, generator=generator) * sides
    # Tile numbers along rows and columns, (n, 2, size): worked out on the CPU, where rounding is the same for all.
    tile = ((torch.arange(size) + offset[..., None]) / sides[..., None]).floor().long()
    across = int(size / max(1.0, smallest * size)) + 2
    from_first = (torch.rand(n, across * across, generator=generator) < _shares(n, generator)).to(device)
    rows, columns = tile.to(device).unbind(1)
    return from_first.gather(1, (rows[:, :, None] * across + columns[:, None, :]).flatten(1)).view(n, size, size)


def rectangle_origin(n: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(B,S,S) bool: CutMix, one rectangle of 20 to 80 % of the area comes from the second slice."""
    random = torch.rand(n, 4, generator=generator)
    side = (0.2 + 0.6 * random[:, 0]).sqrt()
    stretch = torch.exp((random[:, 1] - 0.5) * 1.2)
    # A side that would leave the image is cut to it, and the other grows: the share stays as drawn.
    height = (side * stretch).clamp(min=side.square(), max=torch.ones(n))
    width = side.square() / height
    top, left = random[:, 2] * (1 - height), random[:, 3] * (1 - width)
    line = (torch.arange(size) + 0.5)[None] / size
    rows = ((line >= top[:, None]) & (line < (top + height)[:, None])).to(device)
    columns = ((line >= left[:, None]) & (line < (left + width)[:, None])).to(device)
    return ~(rows[:, :, None] & columns[:, None, :])


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
    side_range: tuple[float, float] = TILE_SIDES,
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
        side_range: sides of tiles, see `tile_origin`.

    Raises:
        InputError: unknown kind, or tile sides out of range.
    """
    n, size, device = len(first), first.shape[-1], first.device
    origins: dict[str, Callable[[], Tensor]] = {
        "superpixel": lambda: superpixel_origin(first_regions, second_regions, generator),
        "tile": lambda: tile_origin(n, size, generator, device, side_range),
        "cutmix": lambda: rectangle_origin(n, size, generator, device),
        "none": lambda: torch.ones(n, size, size, dtype=torch.bool, device=device),
    }
    if kind == "mixed":
        by_superpixel = (torch.rand(n, 1, 1, generator=generator) < 0.5).to(device)
        from_first = torch.where(by_superpixel, origins["superpixel"](), origins["tile"]())
    elif kind in origins:
        from_first = origins[kind]()
    else:
        raise InputError(f"Mosaic '{kind}' is unknown; allowed are {', '.join(MOSAIC_KINDS)}.")
    image = torch.where(from_first[:, None], first, second)
    return Mosaic(image, from_first, torch.where(from_first, first_organ, second_organ))
