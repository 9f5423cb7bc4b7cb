"""The region that one click means: what stands at a share of the click's height over normal tissue and hangs together.

A click into a dark core counts as high as the ring around it: holes of the image are filled before the height is read.
Where the model has marked lesions in this scan, their usual height steadies that of the click. In three dimensions a
region that runs out of its box is cut at its necks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import box_of
from ClamSegLib.outlining.tissue import LOWEST_HEIGHT, Index, Tissue

if TYPE_CHECKING:
    import SimpleITK

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

# In one slice, in three dimensions: chosen on training patients of lgg_flair and open_ms_flair (docs/research/clicks.md).
SHARES = (0.5, 0.6)  # of the click's height
_SMOOTHING_PX = 0.7
_MODELS_PART = 0.35  # of the model's usual height in that of the click (geometric)
_REGIONS_PART = 0.3  # of the first region's own median in the height of the second
_GAP_MM = 9.0  # gaps in the ring around a dark core may be so wide
_LOWEST, _OUTSIDE = -12.0, -16.0  # heights are cut here; what is not organ lies lower still
# A click lower than this, with no ring of this height around it, means a lesion darker than its surroundings.
_DARK, _RING = -1.0, 1.0
REACH_MM = (80.0, 32.0)  # from the click to the sides of its box: in one slice, in three dimensions
_MOST_VOXELS = 400_000
_MOST_KEPT = 4  # surroundings, so that further clicks do not look again at what lies around the first ones
_WITHIN_SLICES = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))], bool)
_MOST_FLOODED = 60_000  # voxels: in larger boxes necks are looked for in every other row and column


@dataclass(frozen=True)
class Surroundings:
    """The box around a click.

    Attributes:
        box: its place in the scan.
        heights: over normal tissue, in spreads, slightly smoothed; darker lesions turned upwards.
        click: the click, counted in the box.
        height: of the click, once its surroundings and the model's lesions have had their say.
        at_click: the height at the click itself, at least that of the ring around it.
        plane: filled heights (row, column) of the click's slice.
    """

    box: Box
    heights: Floats
    click: Index
    height: float
    at_click: float
    plane: Floats
    spacing_mm: tuple[float, float, float]
    usual_share: float
    regions: dict[float, Bools] = field(default_factory=dict, compare=False, repr=False)
    limits: dict[float, float] = field(default_factory=dict, compare=False, repr=False)


@dataclass
class Limits:
    """What a region is grown by; arrays are (slice, row, column) in one box.

    Attributes:
        heights: over normal tissue, in spreads.
        limit: a place belongs to the region where it stands higher.
        usual: height of the first click.
        outside: as high or lower is not organ.
    """

    heights: Floats
    limit: Floats
    usual: float
    outside: float
    spacing_mm: tuple[float, float, float]


def usual_share(tissue: Tissue) -> float:
    """The share of a click's height at which its region ends where nobody asks for a wider or tighter one."""
    return SHARES[0 if tissue.array.shape[0] == 1 else 1]


def surroundings_of(tissue: Tissue, click: Index) -> Surroundings:
    """Looks at what lies around a click inside the organ; what was seen for the last few clicks is kept with the tissue."""
    kept: dict[Index, Surroundings] = tissue.kept
    found = kept.pop(click, None) or _look_around(tissue, click)
    kept[click] = found
    while len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
    return found


def _look_around(tissue: Tissue, click: Index) -> Surroundings:
    box = _box_around(tissue, click)
    heights = _heights(tissue, box)
    inside: Index = (click[0] - box[0].start, click[1] - box[1].start, click[2] - box[2].start)
    plane = _filled(heights[inside[0]], tissue.spacing_mm[1:])
    at_click = float(plane[inside[1:]])
    if at_click < _RING and heights[inside] < _DARK:
        heights = np.where(heights <= _OUTSIDE, _OUTSIDE, -heights).astype(np.float32)
        plane = _filled(heights[inside[0]], tissue.spacing_mm[1:])
        at_click = float(plane[inside[1:]])
        height = max(at_click, LOWEST_HEIGHT)
    else:
        height = max(at_click, LOWEST_HEIGHT)
        if tissue.lesion_height is not None and tissue.lesion_height > LOWEST_HEIGHT:
            height = height ** (1 - _MODELS_PART) * tissue.lesion_height**_MODELS_PART
    return Surroundings(box, heights, inside, height, at_click, plane, tissue.spacing_mm, usual_share(tissue))


def region_of(around: Surroundings, share: float) -> Bools:
    """The region of the click (slice, row, column) in its box; never without the click itself.

    Args:
        share: of the click's height; smaller is wider.

    Returns:
        A mask that cannot be written to: it is kept for the next click.
    """
    if share not in around.regions:
        around.regions[share] = _grown(around, share)
        around.regions[share].flags.writeable = False
    return around.regions[share]


def limits_of(around: Surroundings, share: float) -> Limits:
    """What the region of a share is grown by, for further clicks to move."""
    region_of(around, share)
    limit, heights = around.limits[share], around.heights
    if heights[around.click] <= limit:  # a dark core
        heights = heights.copy()
        k = around.click[0]
        heights[k] = np.where(heights[k] > _OUTSIDE, around.plane, heights[k])
    whole = np.full(heights.shape, limit, np.float32)
    return Limits(heights, whole, around.height, _OUTSIDE, around.spacing_mm)


def _steadied(height: float, own: float) -> float:
    """The click's height with that of its first region."""
    return (1 - _REGIONS_PART) * height + _REGIONS_PART * own


def _limit(around: Surroundings, height: float, share: float) -> float:
    # The click itself always lies above; a wider share lowers that bound too, else a low click could not be widened.
    lowest = 0.95 * max(around.at_click, 0.05) * min(1.0, share / around.usual_share)
    return min(share * height, lowest)


def _grown(around: Surroundings, share: float) -> Bools:
    first = _at_share(around, around.height, share)
    own = float(np.median(around.heights[first]))
    height = _steadied(around.height, max(own, LOWEST_HEIGHT))
    around.limits[share] = _limit(around, height, share)
    return _at_share(around, height, share)


def _at_share(around: Surroundings, height: float, share: float) -> Bools:
    limit = _limit(around, height, share)
    above = around.heights > limit
    k = around.click[0]
    if not above[around.click]:  # a dark core: the ring with what it encloses
        above[k] |= (around.plane > limit) & (around.heights[k] > _OUTSIDE)
    above[around.click] = True
    region = component_at(above, around.click)
    if len(region) > 1 and touches_sides(region):
        region = cut_at_necks(region, around.click, around.spacing_mm)
    return filled_in_slices(region)


def component_at(mask: Bools, point: Index) -> Bools:
    """The part of a mask that hangs together with a point of it, by faces."""
    parts, _ = ndimage.label(mask)
    return np.asarray(parts == parts[point])


def filled_in_slices(mask: Bools) -> Bools:
    """Holes closed, slice by slice."""
    filled, box = mask.copy(), box_of(mask)
    if box is not None:
        # What is not mask and hangs together with the rim around its slice is no hole: all slices in one pass.
        outside, _ = ndimage.label(~np.pad(mask[box], ((0, 0), (1, 1), (1, 1))), _WITHIN_SLICES)
        filled[box] = (outside != outside[:, :1, :1])[:, 1:-1, 1:-1]
    return filled


def touches_sides(mask: Bools) -> bool:
    """Whether a region runs into a side of its box (in the plane; thin stacks end above and below by themselves)."""
    return bool(mask[:, 0].any() or mask[:, -1].any() or mask[:, :, 0].any() or mask[:, :, -1].any())


def cut_at_necks(mask: Bools, point: Index, spacing_mm: tuple[float, float, float], depth_mm: float = 1.0) -> Bools:
    """The part of a mask around a point, parted from others where both are wider than the neck between them.

    Args:
        spacing_mm: between slices, rows, columns.
        depth_mm: by so much is the neck narrower than the narrower part, measured from the border inwards.
    """
    import SimpleITK as sitk

    depths = sitk.GetArrayFromImage(inwards_mm(mask, spacing_mm))
    # The watershed is what takes time: in a large box every other row and column shows the necks as well.
    thin = 2 if mask.size > _MOST_FLOODED and min(mask.shape[1:]) > 2 else 1
    coarse = sitk.GetImageFromArray(np.ascontiguousarray(depths[:, ::thin, ::thin]))
    basins = sitk.GetArrayFromImage(
        sitk.MorphologicalWatershed(coarse, level=depth_mm, markWatershedLine=False, fullyConnected=False)
    )
    if thin > 1:
        basins = basins.repeat(thin, axis=1).repeat(thin, axis=2)[:, : mask.shape[1], : mask.shape[2]]
    at = _deepest_beside(depths, point, thin)
    own = mask & (basins == basins[at])
    own[point] = True
    return component_at(own, point)


def _deepest_beside(depths: Floats, point: Index, thin: int) -> Index:
    """The sample of the thinned rows and columns beside a point that lies deepest."""
    k, j, i = point
    beside = [
        (row, column)
        for row in {j // thin * thin, min(-(-j // thin) * thin, (depths.shape[1] - 1) // thin * thin)}
        for column in {i // thin * thin, min(-(-i // thin) * thin, (depths.shape[2] - 1) // thin * thin)}
    ]
    row, column = min(beside, key=lambda at: float(depths[k, at[0], at[1]]))
    return k, row, column


def part_of_seeds(
    mask: Bools, seeds: Sequence[Index], others: Sequence[Index], spacing_mm: tuple[float, float, float]
) -> Bools:
    """The part of a mask that belongs to `seeds` rather than to `others`: it is parted where it is narrow between them."""
    import SimpleITK as sitk

    markers = np.zeros(mask.shape, np.uint8)
    for value, places in ((1, others), (2, seeds)):
        for place in places:
            markers[place] = value
    image = sitk.GetImageFromArray(markers)
    image.SetSpacing(spacing_mm[::-1])
    flooded = sitk.MorphologicalWatershedFromMarkers(
        inwards_mm(mask, spacing_mm), image, markWatershedLine=False, fullyConnected=False
    )
    part: Bools = mask & (sitk.GetArrayFromImage(flooded) == 2)
    return part


def inwards_mm(mask: Bools, spacing_mm: tuple[float, float, float]) -> SimpleITK.Image:
    """Signed distance from the border of a mask, deepest in its middle, as an image."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    return sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)


def _box_around(tissue: Tissue, click: Index) -> Box:
    flat = tissue.array.shape[0] == 1
    reach = REACH_MM[0 if flat else 1]
    while True:
        sides = [
            slice(max(0, at - round(reach / mm)), min(size, at + round(reach / mm) + 1))
            for at, mm, size in zip(click, tissue.spacing_mm, tissue.array.shape, strict=True)
        ]
        if np.prod([side.stop - side.start for side in sides]) <= _MOST_VOXELS:
            return sides[0], sides[1], sides[2]
        reach *= 0.9


def _heights(tissue: Tissue, box: Box) -> Floats:
    values = (tissue.array[box].astype(np.float32) - np.float32(tissue.centre)) / np.float32(tissue.spread)
    finest = min(tissue.spacing_mm)
    sigma = [
        _SMOOTHING_PX * finest / mm if size > 1 else 0.0
        for mm, size in zip(tissue.spacing_mm, values.shape, strict=True)
    ]
    values = ndimage.gaussian_filter(values, sigma, truncate=3.0)
    heights: Floats = np.maximum(values, np.float32(_LOWEST))
    if tissue.organ is not None:
        heights[~tissue.organ[box]] = _OUTSIDE
    return heights


def _filled(plane: Floats, pixel_mm: tuple[float, ...]) -> Floats:
    """A slice whose dark holes, also those with gaps in their rim, are raised to the lowest pass out of them."""
    import SimpleITK as sitk

    size = [2 * max(0, round(_GAP_MM / mm / 2)) + 1 for mm in pixel_mm]
    closed = np.maximum(ndimage.grey_closing(plane, size=size, mode="nearest"), plane)
    closed[plane <= _OUTSIDE] = _OUTSIDE
    filled: Floats = sitk.GetArrayFromImage(sitk.GrayscaleFillhole(sitk.GetImageFromArray(closed)))
    return filled
