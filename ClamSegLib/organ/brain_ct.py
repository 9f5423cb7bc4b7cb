"""Inside of the skull in head CT by density: soft tissue that bone surrounds, slice by slice, without any bone.

Works on HU and on 8-bit pictures of the usual brain window. Thin or open skulls (orbits, fractures, operations,
sutures of children) are no hindrance: tissue counts as inside when bone is met in nearly all directions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import Array, Volume

NAME = "brain_ct"
# Brain window of Hssayeni et al., Data 2020, 5(1):14 (level 40, width 120): their pictures are the training data.
WINDOW_HU = (-20.0, 100.0)
_ASSUMED_WIDTH_MM = 250.0  # of a head picture without spacing
_GRID_MM = 1.0
_BONE = 0.9  # of the window, 88 HU
_AROUND_BONE_MM = 3.0
_TISSUE = 0.07  # of the window, -12 HU; fat and air lie below
_LEAST_SURROUNDED = 0.84  # share of directions in which bone is met
_LEAST_SURROUNDED_OPEN, _LEAST_MEAN_OPEN, _SMALLEST_OPEN_CM2 = 0.7, 0.8, 25.0  # where the skull has wide gaps
_RAY_MM = 15.0  # a gap takes a direction away in a ray of its width; a mean over more evens that out
_NECK_MM = 3.0  # thinner passages (foramina, optic canal) are cut
_SMALLEST_CM2, _SMALLEST_PART_CM2 = 2.8, 0.3
_LEAST_RADIUS_MM = 6.5
_BRAIN_RANGE = (0.2, 0.75)  # median of a part, of the window: 4 HU (swollen) to 70 HU (vertex, next to bone)
_MOST_FAT_NEAR = 0.06  # orbit, sinus and the fossae of the face have fat or air within 5 mm, parts of the brain do not
_NEAR_MM = 5.0
_SMALLEST_L, _LARGEST_L = 0.5, 2.2


def find_brain(volume: Volume) -> tuple[Array, float, str]:
    """The inside of the skull of a canonical CT, without bone.

    Returns:
        mask (slice, row, column) bool, quality 0..1 (1 plausible, 0.5 doubtful, 0 nothing), and what is wrong.
    """
    array, (x, y, z) = volume.array, volume.spacing_mm
    pixel_mm = (y, x) if volume.spacing_known else (_ASSUMED_WIDTH_MM / array.shape[2],) * 2
    mask = np.stack([_inside(_of_window(plane, volume.already_windowed), pixel_mm) for plane in array])
    if not mask.any():
        return mask, 0.0, "no inside of a skull was found in this CT"
    litres = float(mask.sum()) * volume.voxel_ml / 1000
    whole = volume.spacing_known and len(array) * z > 100
    if whole and not _SMALLEST_L <= litres <= _LARGEST_L:
        return (
            mask,
            0.5,
            f"the brain found is doubtful: its volume is {litres:.2f} l ({_SMALLEST_L} to {_LARGEST_L} expected)",
        )
    return mask, 1.0, ""


def _of_window(plane: NDArray[np.generic], windowed: bool) -> NDArray[np.float32]:
    """Values as a share of the brain window, 0..1."""
    values = plane.astype(np.float32)
    if windowed:
        return values / np.float32(255)
    low, high = WINDOW_HU
    return np.asarray(np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1), np.float32)


def _inside(values: NDArray[np.float32], pixel_mm: tuple[float, float]) -> NDArray[np.bool_]:
    steps = tuple(max(1, round(_GRID_MM / s)) for s in pixel_mm)
    grid_mm = (steps[0] * pixel_mm[0], steps[1] * pixel_mm[1])
    small = values[:: steps[0], :: steps[1]]
    found = _coarse(small, grid_mm)
    if not found.any():
        return np.zeros(values.shape, bool)
    full = np.repeat(np.repeat(found, steps[0], axis=0), steps[1], axis=1)[: values.shape[0], : values.shape[1]]
    bone = _without_specks(values >= _BONE, pixel_mm)
    rows, columns = _box(full)
    near = ndimage.distance_transform_edt(~bone[rows, columns], sampling=pixel_mm) <= _AROUND_BONE_MM
    kept = np.zeros(values.shape, bool)
    kept[rows, columns] = _without_crumbs(full[rows, columns] & ~near, pixel_mm)
    if kept.sum() * (pixel_mm[0] * pixel_mm[1] / 100) < _SMALLEST_CM2:
        kept[:] = False
    return kept


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(max(0, rows[0] - 8), rows[-1] + 9), slice(max(0, columns[0] - 8), columns[-1] + 9)


def _without_specks(bone: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Without single bright pixels: noise in blood, which is hardly darker than the upper end of the window."""
    labels, count = ndimage.label(bone, np.ones((3, 3), bool))
    if count == 0:
        return bone
    sizes = np.bincount(labels.ravel()) * (pixel_mm[0] * pixel_mm[1])
    sizes[0] = 0
    return np.asarray((sizes >= 3.5)[labels])


def _without_crumbs(mask: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Without parts below a square centimetre that bone cuts off."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel()) * (pixel_mm[0] * pixel_mm[1] / 100)
    sizes[0] = 0
    return np.asarray(((sizes >= 1.0) | (sizes == sizes.max()))[labels])


def surrounded(bone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Share of 16 directions in which a pixel meets bone before the end of the picture."""
    down, right = _met_above(bone) + _met_above(bone[::-1])[::-1], _met_above(bone.T) + _met_above(bone.T[::-1])[::-1]
    return np.asarray((down + right.T) / 16, np.float32)


def _met_above(bone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """In how many of the directions up to 45 degrees from straight up each pixel meets bone, of 4.

    A line goes 0, 1/2 or 1 columns aside per row; diagonals come up once more in the transposed picture and count half.
    """
    height, width = bone.shape
    met = np.zeros(bone.shape, np.float32)
    for aside, weight in ((0.0, 1.0), (1.0, 0.5), (-1.0, 0.5), (0.5, 1.0), (-0.5, 1.0)):
        line = np.zeros(width, bool)
        for row in range(height):
            step = int(aside) if aside == int(aside) else int(2 * aside) * (row % 2)
            if step > 0:
                line = np.r_[False, line[:-1]]
            elif step < 0:
                line = np.r_[line[1:], False]
            line = line | bone[row]
            met[row] += np.float32(weight) * line
    return met


def _coarse(values: NDArray[np.float32], grid_mm: tuple[float, float]) -> NDArray[np.bool_]:
    bone = _skull(values >= _BONE)
    if not bone.any():
        return bone
    around = surrounded(bone)
    smooth = ndimage.uniform_filter(values, 3)
    tissue = (smooth > _TISSUE) & ~bone
    parts = _parts(values, tissue & (around >= _LEAST_SURROUNDED), bone, smooth, grid_mm)
    # Sutures of a child and gaps left by an operation let directions through: there less must do.
    spread = round(_RAY_MM / grid_mm[0]), round(_RAY_MM / grid_mm[1])
    weaker = tissue & (ndimage.uniform_filter(around, spread) >= _LEAST_SURROUNDED_OPEN)
    if parts.sum() < 0.85 * weaker.sum():
        open_skull = _parts(values, weaker, bone, smooth, grid_mm)
        large = open_skull.sum() * grid_mm[0] * grid_mm[1] > 100 * _SMALLEST_OPEN_CM2
        if large and parts.sum() < 0.85 * open_skull.sum() and around[open_skull].mean() >= _LEAST_MEAN_OPEN:
            parts = open_skull
    filled = ndimage.binary_fill_holes(parts) if parts.any() else parts
    return np.asarray(filled)


def _parts(
    values: NDArray[np.float32],
    soft: NDArray[np.bool_],
    bone: NDArray[np.bool_],
    smooth: NDArray[np.float32],
    grid_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    """What of the surrounded tissue is brain: thick, as dense as brain, and without fat or air beside it."""
    depth = ndimage.distance_transform_edt(soft, sampling=grid_mm)
    labels, _ = ndimage.label(depth > _NECK_MM)
    sizes = np.bincount(labels.ravel()) * (grid_mm[0] * grid_mm[1] / 100)
    low, high = _BRAIN_RANGE
    fat = smooth < _TISSUE
    margin = [int(np.ceil((_NECK_MM + _NEAR_MM) / s)) + 1 for s in grid_mm]
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if sizes[number] < _SMALLEST_PART_CM2:
            continue
        near = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(place, margin, strict=True))
        part = labels[near] == number
        if depth[near][part].max() < _LEAST_RADIUS_MM or not low <= np.median(values[near][part]) <= high:
            continue
        ring = (ndimage.distance_transform_edt(~part, sampling=grid_mm) <= _NECK_MM + _NEAR_MM) & ~bone[near]
        found.append((float(fat[near][ring].mean()) <= _MOST_FAT_NEAR, float(sizes[number]), number))
    kept = np.zeros(values.shape, bool)
    if not found:
        return kept
    largest = max(found)[2]
    for clean, _, number in found:
        if clean or number == largest:
            kept |= labels == number
    return np.asarray((ndimage.distance_transform_edt(~kept, sampling=grid_mm) <= _NECK_MM + 1.0) & soft | kept)


def _skull(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest bright part and what lies within its box: no table, no electrodes, no head rest."""
    labels, count = ndimage.label(bone, np.ones((3, 3), bool))
    if count == 0:
        return bone
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    places = ndimage.find_objects(labels)
    rows, columns = places[int(np.argmax(sizes)) - 1]
    kept = np.zeros(count + 1, bool)
    for number, (r, c) in enumerate(places, 1):
        inside = r.stop > rows.start and r.start < rows.stop and c.stop > columns.start and c.start < columns.stop
        kept[number] = sizes[number] >= 4 and (inside or sizes[number] >= 0.3 * sizes.max())
    return np.asarray(kept[labels])
