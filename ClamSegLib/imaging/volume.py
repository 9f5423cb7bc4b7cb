"""A scan in memory: values with their place in the patient, and the canonical orientation slices are cut in.

Coordinates are LPS in mm (left, posterior, superior grow), as in ITK and DICOM. Arrays are (slice, row,
column). The canonical orientation of the axial plane has row 0 anterior, column 0 at the patient's right and
slice 0 at the feet; it is reached by permuting and flipping only, so undoing it is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.system.errors import InputError

if TYPE_CHECKING:
    import SimpleITK

Array = NDArray[Any]

# DICOM's word for how a scan was made -> ours.
MODALITY_OF = {"CT": "CT", "MR": "MR", **dict.fromkeys(("CR", "DX", "DR", "XR", "RG", "XA", "RF", "PX"), "XR")}
# For each plane: the patient axis (0 = L, 1 = P, 2 = S) and sign along which slices, rows and columns grow.
_CANONICAL_AXES = {
    "axial": ((2, 1), (1, 1), (0, 1)),
    "coronal": ((1, 1), (2, -1), (0, 1)),
    "sagittal": ((0, 1), (2, -1), (1, 1)),
}
MAXIMUM_IN_PLANE_ANISOTROPY = 3.0
# Scanners write -3072 or so outside their field of view, and up to 32767 in metal.
_LOWEST_OF_CT_HU, _HIGHEST_OF_CT_HU = -3100, 33000
# Shares of the borders, and of all voxels, that a constant around a scan fills at least.
_BORDER_SHARE, _CONSTANT_SHARE = 0.95, 0.30
# The longest side of a scan lies between that of a finger joint and that of a person with room around.
_SMALLEST_SCAN_MM, _LARGEST_SCAN_MM = 10.0, 3000.0


@dataclass(frozen=True)
class Volume:
    """A scan: values and geometry.

    Attributes:
        array: (slice, row, column), the file's own value type (float for fractional slopes); grey values only.
        spacing_mm: (x, y, z): distance between columns, rows, slices.
        origin: LPS mm of voxel (0, 0, 0).
        direction: 3x3 row-major, as SimpleITK's: column k is the LPS direction of axis k of (x, y, z).
        spacing_known: false for pictures and X-rays without calibrated spacing; then mm figures are not given.
        modality: 'CT', 'MR', 'XR' or '' where the file does not tell.
        already_windowed: an 8-bit picture: 0..255 is what a window left.
        is_picture: a single projection or picture (X-ray, PNG): row and column as seen, no patient orientation.
        source: the file or folder it was read from.
        slice_files: DICOM files in the order of the slices of `array` that are there, empty otherwise.
        warnings: what the user should know about the reading.
        description: harmless words from the header for choosing a model (series description, protocol); no names.
        body_part: as the header calls it, in small letters; '' where it does not tell.
        missing_slices: slices of `array` as read that the series lacks; they are empty. Not kept by `canonical`.
        stack_doubt: what is doubtful about places along the stack, in words for a summary; '' where nothing is.
    """

    array: Array
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    spacing_known: bool = True
    modality: str = ""
    already_windowed: bool = False
    is_picture: bool = False
    source: Path | None = None
    slice_files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    description: str = ""
    body_part: str = ""
    missing_slices: tuple[int, ...] = ()
    stack_doubt: str = ""

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml: of the parallelepiped, because the slices of a tilted gantry are sheared."""
        x, y, z = self.spacing_mm
        return x * y * z * abs(float(np.linalg.det(np.reshape(self.direction, (3, 3))))) / 1000.0

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """In-plane spacing (row distance, column distance) in mm."""
        return self.spacing_mm[1], self.spacing_mm[0]

    def to_lps(self, index_zyx: Array) -> Array:
        """Patient coordinates of voxel indices.

        Args:
            index_zyx: (..., 3) indices (slice, row, column), fractions allowed.

        Returns:
            (..., 3) LPS in mm.
        """
        index_xyz = np.asarray(index_zyx, dtype=float)[..., ::-1]
        direction = np.asarray(self.direction, dtype=float).reshape(3, 3)
        moved: Array = np.asarray(self.origin) + (index_xyz * np.asarray(self.spacing_mm)) @ direction.T
        return moved

    def with_array(self, array: Array) -> Volume:
        """Another array on the same grid."""
        if array.shape != self.array.shape:
            raise ValueError(f"array {array.shape} does not fit the grid {self.array.shape}")
        return replace(self, array=array)


@dataclass(frozen=True)
class Orientation:
    """The permutation and flips between a volume's own axes and the canonical ones."""

    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: Array) -> Array:
        """Own (slice, row, column) -> canonical, a view."""
        turned = np.transpose(array, self.permutation)
        return turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]

    def undo(self, array: Array) -> Array:
        """Canonical -> own, a view; exactly the inverse of `apply`."""
        unflipped = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]
        return np.transpose(unflipped, np.argsort(self.permutation))


def canonical_orientation(volume: Volume, plane: str = "axial") -> Orientation:
    """How the volume's axes must be permuted and flipped so that slices lie in `plane`.

    Oblique axes go to the patient axis they are nearest to, each to a different one. Pictures stay as they are.
    """
    if volume.is_picture:
        return Orientation((0, 1, 2), (False, False, False))
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    # cosines[a, k]: patient axis a against array axis k (0 = slice, 1 = row, 2 = column)
    cosines = direction[:, ::-1]
    array_axis_of: dict[int, int] = {}
    remaining = np.abs(cosines).copy()
    for _ in range(3):
        patient_axis, array_axis = divmod(int(np.argmax(remaining)), 3)
        array_axis_of[patient_axis] = array_axis
        remaining[patient_axis, :] = -1.0
        remaining[:, array_axis] = -1.0
    permutation: list[int] = []
    flips: list[bool] = []
    for axis, sign in _CANONICAL_AXES[plane]:
        permutation.append(array_axis_of[axis])
        flips.append(bool(cosines[axis, array_axis_of[axis]] * sign < 0))
    return Orientation((permutation[0], permutation[1], permutation[2]), (flips[0], flips[1], flips[2]))


def canonical(volume: Volume, plane: str = "axial") -> tuple[Volume, Orientation]:
    """The volume in canonical orientation of `plane`, and how to undo it.

    The geometry is carried along: the same voxel keeps its patient coordinates.
    """
    orientation = canonical_orientation(volume, plane)
    array = orientation.apply(volume.array)
    axes = orientation.permutation
    corner = [0, 0, 0]
    for canonical_axis, own_axis in enumerate(axes):
        if orientation.flips[canonical_axis]:
            corner[own_axis] = volume.array.shape[own_axis] - 1
    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    spacing, columns = [], []
    for canonical_axis in (2, 1, 0):  # x, y, z of the canonical volume
        own_xyz = 2 - axes[canonical_axis]
        spacing.append(volume.spacing_mm[own_xyz])
        columns.append(direction[:, own_xyz] * (-1.0 if orientation.flips[canonical_axis] else 1.0))
    origin = volume.to_lps(np.asarray(corner))
    turned = replace(
        volume,
        array=array,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(v) for v in np.stack(columns, axis=1).ravel()),
        missing_slices=(),
    )
    return turned, orientation


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds all of a mask of any dimension; None where it is empty."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        # Axis by axis in what is left: of a small thing in a large volume hardly more than one pass is made.
        rest = mask[tuple(box)]
        found = np.flatnonzero(rest.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if len(found) == 0:
            return None
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)


def box_of_slices(slices: Iterable[NDArray[np.bool_]]) -> tuple[slice, slice, slice] | None:
    """`box_of` a mask that is given slice by slice, so that it need not be in memory as a whole."""
    shows: list[int] = []
    sides: list[tuple[int, int, int, int]] = []
    for k, mask in enumerate(slices):
        rows = np.flatnonzero(mask.any(axis=1))
        if len(rows):
            columns = np.flatnonzero(mask.any(axis=0))
            shows.append(k)
            sides.append((int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])))
    if not shows:
        return None
    top, bottom, left, right = zip(*sides, strict=True)
    return slice(shows[0], shows[-1] + 1), slice(min(top), max(bottom) + 1), slice(min(left), max(right) + 1)


def check_plane(volume: Volume, plane: str) -> None:
    """Refuses a plane whose in-plane voxels are more anisotropic than 3:1, naming the plane that fits.

    Raises:
        InputError: as said; nothing is ever resampled through-plane to make a plane fit.
    """
    if volume.is_picture:
        return

    def anisotropy(candidate: str) -> float:
        turned, _ = canonical(volume, candidate)
        row_mm, column_mm = turned.pixel_mm
        return max(row_mm, column_mm) / min(row_mm, column_mm)

    if anisotropy(plane) <= MAXIMUM_IN_PLANE_ANISOTROPY:
        return
    best = min(_CANONICAL_AXES, key=anisotropy)
    raise InputError(
        f"The {plane} slices of this volume have pixels {anisotropy(plane):.1f} times longer than wide "
        f"(up to {MAXIMUM_IN_PLANE_ANISOTROPY:.0f} is allowed): it was acquired in {best} slices. "
        f"Use a model for {best} slices, or a volume acquired in {plane} slices."
    )


def check_complete(volume: Volume, path: Path) -> None:
    """Refuses a series that lacks slices, where masks and tables count them.

    Raises:
        InputError: said with how many.
    """
    if volume.missing_slices:
        raise InputError(
            f"{path} lacks {len(volume.missing_slices)} of its {volume.array.shape[0]} slices, so that nobody knows how masks and "
            "tables count them. Copy or export the series again."
        )


def looks_like_hu(lowest: float, highest: float) -> bool:
    """Whether a scan's extreme values reach from air near -1000 HU to above water, as CT does and neither MR nor pictures do."""
    return _LOWEST_OF_CT_HU <= lowest <= -500 and 0 < highest <= _HIGHEST_OF_CT_HU


def lies_around(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask fills the borders of the slices and more than 30 % of a scan, as what surrounds a stripped brain."""
    borders = (mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1])
    return all(float(border.mean()) > _BORDER_SHARE for border in borders) and float(mask.mean()) > _CONSTANT_SHARE


def constant_around(array: Array) -> float | None:
    """The value that surrounds a scan (`lies_around`), None where no single one does."""
    candidate = array[len(array) // 2, 0, 0]
    # Most scans fail at their first border, before the whole is compared.
    if float((array[:, 0] == candidate).mean()) <= _BORDER_SHARE or not lies_around(array == candidate):
        return None
    return float(candidate)


def size_doubt(volume: Volume) -> str:
    """What is odd about the size of a scan in a sentence, '' where it could be a part of a patient.

    A spacing in metres or micrometres makes every volume in ml wrong, and lesions vanish below the smallest volume.
    """
    if not volume.spacing_known:
        return ""
    slices, rows, columns = volume.array.shape
    sides = [count * step for count, step in zip((columns, rows, slices), volume.spacing_mm, strict=True)]
    if _SMALLEST_SCAN_MM <= max(sides) <= _LARGEST_SCAN_MM:
        return ""
    size = " x ".join(f"{side:.3g}" for side in sides)
    return (
        f"The scan measures {size} mm by its header, which no part of a patient does; its voxel spacing may be in another "
        "unit. Lengths and volumes are as wrong, and lesions may be dropped as too small."
    )


def inverted(array: Array) -> Array:
    """A picture whose white means little, mirrored inside the range it fills, so that bone is bright everywhere."""
    if array.dtype.kind not in "iu":
        mirrored: Array = array.max() + array.min() - array
        return mirrored
    return (int(array.max()) + int(array.min()) - array.astype(np.int64)).astype(array.dtype)


def from_header(reader: SimpleITK.ImageFileReader, voxels: Array) -> Volume:
    """The volume of a file whose header SimpleITK has read; a picture of two dimensions becomes one slice.

    Args:
        reader: of a file of two or three dimensions, or four with a single time point.
        voxels: one after the other, the first axis fastest.
    """
    size, spacing, origin = reader.GetSize(), reader.GetSpacing(), reader.GetOrigin()
    directions = np.asarray(reader.GetDirection()).reshape(len(size), len(size))
    if len(size) == 2:
        direction = np.eye(3)
        direction[:2, :2] = directions
        array = voxels.reshape(1, *size[::-1])
        frame = (spacing[0], spacing[1], 1.0), (origin[0], origin[1], 0.0)
        return Volume(array, *frame, tuple(float(v) for v in direction.ravel()), is_picture=True)
    array = voxels.reshape(size[2::-1])
    frame = (spacing[0], spacing[1], spacing[2]), (origin[0], origin[1], origin[2])
    return Volume(array, *frame, tuple(float(v) for v in directions[:3, :3].ravel()))


def to_sitk(array: Array, volume: Volume) -> SimpleITK.Image:
    """`array` (slice, row, column) as a SimpleITK image on the grid of `volume`."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(volume.origin)
    image.SetDirection(volume.direction)
    return image
