"""A first look at the slices before a reader's eyes: the same steps on a few slices alone, before all of them run.

What it finds is provisional. Models that smooth across slices, or weigh the whole volume, decide when all slices are known, and
lesions that are too small are dropped then. The maps of the case are made without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Volume, canonical_orientation
from ClamSegLib.organ.crop_and_normalise import Preparation
from ClamSegLib.segmentation.lesions import lesion_mask
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.run_network import run_network
from ClamSegLib.system.device import choose_device
from ClamSegLib.system.errors import Cancelled, InputError

if TYPE_CHECKING:
    from ClamSegLib.model.checkpoint import LoadedModel

# Slices on either side of the one that was asked for.
_BESIDE = 3
# Arithmetic that a processor does in about a second: networks as large look at fewer slices.
_MOST_GFLOP = 50.0


@dataclass(frozen=True)
class FirstSlices:
    """What was found in a few slices so far.

    Attributes:
        labels: (slice, row, column) uint8 in the frame of the input, these slices only: 0 none, 1 organ, 2.. condition number + 1;
            of organ models 0 none, 1.. condition number.
        start: (slice, row, column) of its first voxel in the input.
        first: canonical number of the first slice, from 0.
        last: of the last one.
    """

    labels: NDArray[np.uint8]
    start: tuple[int, int, int]
    first: int
    last: int


@dataclass(frozen=True)
class FirstLook:
    """Which slice is wanted first, and who is told of it.

    Attributes:
        voxel: (slice, row, column) of the input; wanted is the slice of the model's plane that holds it.
        tell: is given what was found; not called where the look failed, which the run itself will tell.
    """

    voxel: tuple[int, int, int]
    tell: Callable[[FirstSlices], None]


def voxel_of(given: Any) -> tuple[int, int, int]:
    """A voxel as a request names it.

    Raises:
        InputError: no three whole numbers from 0 on.
    """
    if not isinstance(given, Sequence) or len(given) != 3 or not all(type(k) is int and k >= 0 for k in given):
        raise InputError(
            f"'first_slice' is {str(given)[:60]!r}; it must be three whole numbers from 0 on: slice, row and column of a voxel."
        )
    return given[0], given[1], given[2]


def check_voxel(voxel: tuple[int, int, int], volume: Volume) -> None:
    """Refuses a voxel outside of the volume.

    Raises:
        InputError: said with the largest one.
    """
    shape = volume.array.shape
    if any(k >= n for k, n in zip(voxel, shape, strict=True)):
        last = ", ".join(str(n - 1) for n in shape)
        raise InputError(f"'first_slice' {list(voxel)} lies outside of the scan, whose last voxel is [{last}].")


def look_first(
    look: FirstLook, volume: Volume, preparation: Preparation, model: LoadedModel, options: SegmentOptions
) -> None:
    """Runs the slice that is wanted and those beside it, and tells of them.

    Args:
        volume: as read.
        preparation: of the canonical volume.

    Raises:
        InputError: the voxel lies outside of the volume.
    """
    check_voxel(look.voxel, volume)
    try:
        found = _slices_around(look.voxel, volume, preparation, model, options)
    except Cancelled:
        raise
    except Exception:
        return  # the case does not need it: what is wrong the run itself will meet, with its ways out and its words
    look.tell(found)


def _slices_around(
    voxel: tuple[int, int, int], volume: Volume, preparation: Preparation, model: LoadedModel, options: SegmentOptions
) -> FirstSlices:
    from ClamSegLib.engines.choose import Work, engine_at_hand, gflop_of_a_slice

    config = preparation.config
    orientation = canonical_orientation(volume, config.plane)
    axis, is_flipped, n = orientation.permutation[0], orientation.flips[0], preparation.n_slices
    middle = n - 1 - voxel[axis] if is_flipped else voxel[axis]
    level = config.level_of(options.level)
    beside = min(_BESIDE, int((_MOST_GFLOP / gflop_of_a_slice(model, level) - 1) / 2))
    first, last = max(0, middle - max(0, beside)), min(n - 1, middle + max(0, beside))
    slab = _slab(preparation, first, last)
    # An engine that is open from an earlier case is the one that the case will run on; else the weights are there in any case.
    work = Work(preparation, model, level, choose_device(options.device), options.engine, options.batch_size)
    run = run_network(slab, model, replace(options, engine="reference"), opened=engine_at_hand(work))
    labels = lesion_mask(run.probability, config.threshold, slab.volume, 0.0)[0]
    if config.task == "lesion":
        labels = np.where(labels > 0, labels + 1, slab.mask).astype(np.uint8)
    own = orientation.undo(labels).copy()
    start = [0, 0, 0]
    start[axis] = n - 1 - last if is_flipped else first
    for k in volume.missing_slices:  # nothing that is said of a slice that is not there is seen
        if start[0] <= k < start[0] + len(own):
            own[k - start[0]] = 0
    return FirstSlices(own, (start[0], start[1], start[2]), first, last)


def _slab(preparation: Preparation, first: int, last: int) -> Preparation:
    """Some slices of a case with the crop, intensity and heights of all."""
    some = slice(first, last + 1)
    heights = None if preparation.heights is None else preparation.heights[some]
    volume = replace(preparation.volume, array=preparation.volume.array[some])
    return replace(preparation, volume=volume, mask=preparation.mask[some], heights=heights)
