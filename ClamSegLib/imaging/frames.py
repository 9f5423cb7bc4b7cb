"""Whether the frame a file states can be believed: axes at right angles, stated at all, stated once, and that of another scan.

A frame that leans by no more than rounding does is straightened; one that truly leans is refused, as for DICOM. What is
not stated, or twice, is said in a sentence and never guessed in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.nifti_header import stored_header
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

if TYPE_CHECKING:
    import SimpleITK

Floats = NDArray[np.float64]

# Straightening may move no voxel farther than the longest side of a pixel, or this much.
DRIFT_MM = 1.0
# Cosine between two axes below which they count as exactly at right angles (numbers written with six digits).
_RIGHT_ANGLE = 1e-5
# Parts by which two statements of a voxel's size, degrees by which two of a direction may differ as rounding does.
_SAME_SIZE, _SAME_DIRECTION_DEG, _SAME_PLACE_MM = 0.005, 0.5, 0.5
_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
_UNKNOWN = (
    "The file does not say how it lies in the patient{why}: right and left, front and back may be swapped, and positions in "
    "mm mean little. Rows are taken to run from front to back, columns from the patient's right to left, slices upwards."
)


@contextmanager
def leaning_nifti_allowed() -> Iterator[None]:
    """Lets ITK read a NIfTI whose axes are not exactly at right angles; how far they lean is judged by `straightened`."""
    before = os.environ.get(_PERMISSIVE)
    os.environ[_PERMISSIVE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_PERMISSIVE, None)
        else:
            os.environ[_PERMISSIVE] = before


def straightened(volume: Volume, path: Path, axes: Floats | None = None) -> Volume:
    """The volume on the nearest frame with right angles.

    Args:
        axes: (3, 3) LPS mm that a step along x, y, z leads, as the file states them; the volume's own unless given.

    Raises:
        InputError: a voxel would move farther than rounding explains.
    """
    if volume.is_picture:
        return volume
    spacing = np.asarray(volume.spacing_mm, float)
    if axes is None:
        axes = np.asarray(volume.direction, float).reshape(3, 3) * spacing
    lengths = np.linalg.norm(axes, axis=0)
    if not (lengths > 0).all():
        raise InputError(f"{path} has axes without a direction; export it again.")
    cosines = (axes / lengths).T @ (axes / lengths)
    if np.abs(cosines - np.eye(3)).max() <= _RIGHT_ANGLE:
        return volume
    turned, _, back = np.linalg.svd(axes)
    direction = turned @ back
    last = np.asarray(volume.array.shape[::-1]) - 1
    corners = np.stack(np.meshgrid(*((0, k) for k in last)), -1).reshape(-1, 3)
    drift = float(np.linalg.norm(corners @ (axes - direction * lengths).T, axis=1).max())
    allowed = max(DRIFT_MM, *lengths[:2])
    if drift > allowed:
        raise InputError(
            f"{path} is a tilted (sheared) stack: its axes are not at right angles, and straightening them would move voxels "
            f"by {drift:.1f} mm (up to {allowed:.1f} is taken for rounding). Resample it to straight axes in Slicer (Resample "
            "Scalar/Vector/DWI Volume) and save it."
        )
    return replace(volume, direction=tuple(float(v) for v in direction.ravel()))


def nifti_axes(reader: SimpleITK.ImageFileReader) -> Floats | None:
    """(3, 3) LPS mm per voxel by the sform of a NIfTI, None where it has none or the qform stands for it."""
    if _code(reader, "sform_code") <= 0:
        return None
    rows = [_numbers(reader.GetMetaData(f"srow_{axis}"))[:3] for axis in "xyz"]
    axes = np.diag([-1.0, -1.0, 1.0]) @ np.asarray(rows, float) * _unit_mm(reader)
    return axes if np.isfinite(axes).all() else None


def frame_doubts(reader: SimpleITK.ImageFileReader, volume: Volume, path: Path) -> list[str]:
    """What a file leaves open about its frame, or states twice, in sentences.

    Args:
        reader: has read the header.
        volume: as ITK placed it.
        path: of the file.
    """
    if volume.is_picture:
        return []
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return _nifti_doubts(reader, volume, path)
    if path.suffix.lower() in (".nrrd", ".nhdr") and not reader.HasMetaDataKey("NRRD_space"):
        return [_UNKNOWN.format(why=" (it has no field 'space')")]
    return []


def unknown_frame(why: str) -> str:
    """The sentence for a file that states no frame."""
    return _UNKNOWN.format(why=f" ({why})")


def _nifti_doubts(reader: SimpleITK.ImageFileReader, volume: Volume, path: Path) -> list[str]:
    if _code(reader, "qform_code") <= 0 and _code(reader, "sform_code") <= 0:
        return [_UNKNOWN.format(why=" (qform_code and sform_code are 0)")]
    axes = nifti_axes(reader)
    if axes is None:
        return []
    doubts = []
    taken = np.asarray(volume.spacing_mm)
    stated = np.linalg.norm(axes, axis=0)
    # Along a single slice nobody measures.
    counted = np.asarray(volume.array.shape[::-1]) > 1
    if (np.abs(stated - taken) > _SAME_SIZE * taken)[counted].any():
        doubts.append(
            f"The file states two voxel sizes: {_size(taken)} mm (pixdim) and {_size(stated)} mm (sform). The first is taken, as "
            "Slicer does; where the second is right, all lengths and volumes are wrong by that factor."
        )
    by_qform = _qform(reader, path) if _code(reader, "qform_code") > 0 else None
    if by_qform is not None:
        doubts += _two_frames(volume, by_qform, (axes / stated, _origin(reader, "sform")))
    return doubts


def _two_frames(volume: Volume, by_qform: tuple[Floats, Floats], by_sform: tuple[Floats, Floats]) -> list[str]:
    """Whether qform and sform, each as directions and origin, place the scan differently, and which was taken."""
    angle = _degrees(by_qform[0], by_sform[0])
    apart = float(np.linalg.norm(by_qform[1] - by_sform[1]))
    if angle <= _SAME_DIRECTION_DEG and apart <= _SAME_PLACE_MM:
        return []
    taken = np.asarray(volume.direction).reshape(3, 3), np.asarray(volume.origin)
    off = [_degrees(taken[0], turn) + float(np.linalg.norm(taken[1] - place)) for turn, place in (by_sform, by_qform)]
    names = ("sform", "qform") if off[0] <= off[1] else ("qform", "sform")
    return [
        f"The file states two places in the patient, turned by {angle:.1f} degrees and {apart:.1f} mm apart (qform and sform). "
        f"The {names[0]} is taken, as Slicer does; where the {names[1]} is right, positions and sides are not."
    ]


def _origin(reader: SimpleITK.ImageFileReader, form: str) -> Floats:
    names = ("srow_x", "srow_y", "srow_z") if form == "sform" else ("qoffset_x", "qoffset_y", "qoffset_z")
    place = np.asarray([_numbers(reader.GetMetaData(name))[-1] for name in names])
    return place * (-1.0, -1.0, 1.0) * _unit_mm(reader)


def _unit_mm(reader: SimpleITK.ImageFileReader) -> float:
    """Millimetres of the unit that a NIfTI counts lengths in; the lowest three bits of its field tell it."""
    return {1: 1000.0, 3: 0.001}.get(_code(reader, "xyzt_units") & 7, 1.0)


def _qform(reader: SimpleITK.ImageFileReader, path: Path) -> tuple[Floats, Floats] | None:
    """(3, 3) LPS directions and origin by the quaternion (nifti1.h, method 2), None where it is no rotation."""
    b, c, d = (_numbers(reader.GetMetaData(f"quatern_{name}"))[0] for name in "bcd")
    rest = 1.0 - b * b - c * c - d * d
    if not np.isfinite(rest) or rest < -1e-3:
        return None
    a = float(np.sqrt(max(rest, 0.0)))
    rotation = np.asarray(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    handed = -1.0 if stored_header(path).spacing[0] < 0 else 1.0  # ITK does not tell it
    return np.diag([-1.0, -1.0, 1.0]) @ rotation @ np.diag([1.0, 1.0, handed]), _origin(reader, "qform")


def _degrees(one: Floats, other: Floats) -> float:
    """The largest angle between axes of two frames."""
    return float(np.degrees(np.arccos(np.clip((one * other).sum(axis=0), -1, 1))).max())


def _code(reader: SimpleITK.ImageFileReader, name: str) -> int:
    return int(_numbers(reader.GetMetaData(name))[0]) if reader.HasMetaDataKey(name) else 0


def _numbers(words: str) -> list[float]:
    return [float(word) for word in words.split()]


def _size(spacing: Floats) -> str:
    return " x ".join(f"{step:.4g}" for step in spacing)


def grid_difference(mask: Volume, image: Volume) -> str:
    """How a mask's grid differs from that of its image in words, '' where both are the same; canonical ones compare best.

    Pictures have no frame: only their size counts. A mask that states no place at all lies on its image by its size alone.
    """
    if mask.array.shape != image.array.shape:
        return f"{_shape(mask)} voxels, the image {_shape(image)}"
    if image.is_picture or mask.is_picture:
        return ""
    shape = np.asarray(image.array.shape[::-1])
    # What the last voxel is off by is what a reader sees; a tenth of a voxel is rounding.
    corners = np.stack(np.meshgrid(*((0, k - 1) for k in image.array.shape), indexing="ij"), -1).reshape(-1, 3)
    off = float(np.linalg.norm(mask.to_lps(corners) - image.to_lps(corners), axis=1).max())
    if off <= max(0.1 * min(image.spacing_mm), 0.02):
        return ""
    differs = []
    if not np.allclose(np.asarray(mask.spacing_mm)[shape > 1], np.asarray(image.spacing_mm)[shape > 1], rtol=1e-3):
        differs.append(
            f"spacing {_size(np.asarray(mask.spacing_mm))} mm, the image {_size(np.asarray(image.spacing_mm))}"
        )
    if not np.allclose(mask.direction, image.direction, atol=1e-3):
        differs.append("other directions of its axes")
    if not np.allclose(mask.origin, image.origin, atol=max(0.1 * min(image.spacing_mm), 0.02)):
        differs.append(f"origin {_place(mask)} mm, the image {_place(image)}")
    return "; ".join(differs) or f"corners {off:.2f} mm apart"


def _shape(volume: Volume) -> str:
    return " x ".join(map(str, volume.array.shape))


def _place(volume: Volume) -> str:
    return f"({', '.join(f'{v:.1f}' for v in volume.origin)})"
