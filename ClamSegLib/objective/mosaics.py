"""Mosaics: images whose regions come from two slices at random, so that only local evidence tells the origin.

A network that sees whole slices learns "this slice is diseased" and paints all of it. In a mosaic the seams
follow superpixels of the slices, so that neither a seam nor the surroundings give the origin away. Seams are
hard: a blend would make pixels of no origin, and nothing showed that it helps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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


def mosaic(
    first: Tensor,
    second: Tensor,
    first_regions: Tensor,
    second_regions: Tensor,
    first_organ: Tensor,
    second_organ: Tensor,
    *,
    generator: torch.Generator,
) -> Mosaic:
    """Mixes two batches of slices along their superpixels.

    Args:
        first: (B,1,S,S) images.
        second: (B,1,S,S) images.
        first_regions: (B,S,S) uint8 superpixel numbers.
        second_regions: (B,S,S) uint8 superpixel numbers.
        first_organ: (B,S,S) bool.
        second_organ: (B,S,S) bool.
        generator: on the CPU; the same state gives the same mosaic on every device.
    """
    from_first = superpixel_origin(first_regions, second_regions, generator)
    image = torch.where(from_first[:, None], first, second)
    return Mosaic(image, from_first, torch.where(from_first, first_organ, second_organ))
