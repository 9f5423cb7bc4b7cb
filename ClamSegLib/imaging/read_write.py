"""Reading scans and pictures, writing volumes: NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF; DICOM by dicom_files.

A file is looked at before it is read: what it claims to hold must fit the file and the memory, so that a
damaged or hostile header ends in one clear line instead of an exhausted machine.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ClamSegLib.imaging.frames import frame_doubts, leaning_nifti_allowed, nifti_axes, straightened
from ClamSegLib.imaging.meta_image_header import meta_image_voxels
from ClamSegLib.imaging.nifti_header import Header, nifti_voxels, stored_header
from ClamSegLib.imaging.nifti_values import is_scaled, true_values
from ClamSegLib.imaging.nrrd_header import nrrd_voxels
from ClamSegLib.imaging.picture_files import read_picture
from ClamSegLib.imaging.stored_voxels import StoredVoxels, check_stored, proven, read_stored
from ClamSegLib.imaging.volume import Array, Volume, from_header, to_sitk
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.memory import cpu_memory_mb
from ClamSegLib.system.silence_c_output import one_line, suppress_itk_output

if TYPE_CHECKING:
    import SimpleITK

NIFTI_ENDINGS = (".nii", ".nii.gz")
VOLUME_ENDINGS = (*NIFTI_ENDINGS, ".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
ALLOWED = "NIfTI (.nii, .nii.gz), NRRD, MHA, DICOM, PNG, JPEG or TIFF"
# Sides, spacings and voxels beyond these belong to damaged headers, not to patients.
_LARGEST_VOXELS = 4_000_000_000
_LARGEST_SPACING_MM = 1000.0
_FARTHEST_MM = 1e5
_SMALLEST_DETERMINANT = 1e-3
# gzip can shrink zeros a thousandfold, real scans hardly tenfold.
_LARGEST_COMPRESSION = 1100


def ending_of(path: Path) -> str:
    """The ending in lower case that decides the format, '.nii.gz' as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def is_image_file(path: Path) -> bool:
    """Whether the ending names a format that `read_volume` reads."""
    return ending_of(path) in VOLUME_ENDINGS + PICTURE_ENDINGS + DICOM_ENDINGS


def read_volume(path: Path, *, series: str | None = None) -> Volume:
    """Reads a scan or picture.

    Args:
        path: a file, or a folder with a DICOM series.
        series: number (from 1) or UID of the DICOM series where a folder holds several; None takes the
            largest and says so in the warnings.

    Returns:
        The volume with the file's own value type and frame.

    Raises:
        InputError: missing, empty, truncated, damaged, of an unknown format, with impossible geometry, or
            with values that are not grey.
    """
    from ClamSegLib.imaging.dicom_read import read_dicom
    from ClamSegLib.imaging.dicom_signature import is_dicom_file

    path = Path(path)
    check_path(path)
    if path.is_dir():
        return read_dicom(path, series=series)
    _check_file(path)
    ending = ending_of(path)
    if ending in VOLUME_ENDINGS:
        return replace(_read_scan(path), source=path)
    if ending in PICTURE_ENDINGS:
        return replace(read_picture(path), source=path)
    if ending in DICOM_ENDINGS or is_dicom_file(path):
        return read_dicom(path, series=series)
    raise InputError(f"{path} is not an image ClamSeg reads; allowed are {ALLOWED}.")


def readable_name(path: Path | str) -> str:
    """A path or name as it can be shown: undecodable bytes in the file name, as foreign disks leave them, become question marks."""
    return str(path).encode(errors="replace").decode()


def check_path(path: Path) -> None:
    """Refuses what is not there or may not be read, and names that would end C libraries without a word."""
    if readable_name(path) != str(path):
        raise InputError(f"{readable_name(path)} has a name with bytes that are no letters; rename it.")
    try:
        is_there = path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the name and the folder.") from error
    if not is_there:
        raise InputError(f"{path} does not exist; check the name and the folder.")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise InputError(f"{path} cannot be read; you lack the permission.")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or export it again.")


def _image_io(path: Path) -> str:
    return {
        ".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO",
        ".mha": "MetaImageIO", ".mhd": "MetaImageIO",
    }[ending_of(path)]  # fmt: skip


def _read_scan(path: Path) -> Volume:
    """The frame as ITK reads it from the header, the voxels as the file keeps them."""
    import SimpleITK as sitk

    header, stored, notes = _voxels_of(path)
    if stored is not None:
        check_stored(path, stored)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_image_io(path))
    leans = _read_information(reader, path)
    _check_header(path, reader)
    if stored is None or math.prod(reader.GetSize()) != math.prod(stored.sizes):
        raise InputError(f"{path} holds values of a kind that is not read; grey values are needed.")
    # ITK unpacks NIfTI and NRRD faster than Python's zlib does, MetaImage not.
    array = None
    if ending_of(path) in (".nrrd", ".nhdr") if header is None else not is_scaled(header):
        array = proven(stored, lambda: _by_itk(reader, leans))
    if array is None:
        array = read_stored(path, stored)
        array = array if header is None else true_values(array, header, path)
    volume = straightened(from_header(reader, array), path, nifti_axes(reader) if leans else None)
    notes += frame_doubts(reader, volume, path)
    return replace(volume, warnings=(*volume.warnings, *notes))


def _by_itk(reader: SimpleITK.ImageFileReader, leans: bool) -> Array:
    """The voxels as ITK reads them; none where it cannot."""
    with suppress_itk_output(), leaning_nifti_allowed() if leans else nullcontext(), suppress(RuntimeError):
        return np.asarray(_VoxelsOfImage(reader.Execute()))
    return np.empty(0)


class _VoxelsOfImage:
    """The voxels of an ITK image of nobody else's, which live as long as an array looks at them: a copy takes a fifth of reading."""

    def __init__(self, image: SimpleITK.Image) -> None:
        import SimpleITK as sitk

        self._image = image
        seen = sitk.GetArrayViewFromImage(image).__array_interface__
        self.__array_interface__ = {**seen, "data": (seen["data"][0], False)}


def _voxels_of(path: Path) -> tuple[Header | None, StoredVoxels | None, list[str]]:
    """The header of a NIfTI, where the voxels lie, and what the user should know."""
    ending = ending_of(path)
    if ending in NIFTI_ENDINGS:
        header = stored_header(path)
        return header, nifti_voxels(path, header), []
    if ending in (".mha", ".mhd"):
        return None, *meta_image_voxels(path)
    return None, nrrd_voxels(path), []


def _read_information(reader: SimpleITK.ImageFileReader, path: Path) -> bool:
    """Reads the header; true where it is a NIfTI whose axes are not exactly at right angles, which ITK must be asked for.

    Raises:
        InputError: no such file inside.
    """
    try:
        with suppress_itk_output():
            reader.ReadImageInformation()
        return False
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise _why_unreadable(path, error) from error
    try:
        with suppress_itk_output(), leaning_nifti_allowed():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise _why_unreadable(path, error) from error
    return True


def _why_unreadable(path: Path, error: Exception) -> InputError:
    """The reason in words, damage only where nothing else is known."""
    words = str(error)
    if "orthonormal" in words:
        return InputError(
            f"{path} is a tilted (sheared) stack: its axes are not at right angles; resample it to straight ones in Slicer."
        )
    if "allocate" in words or "bad alloc" in words.lower():
        return InputError(f"{path} does not fit into the memory that is free; close other programs, or crop the scan.")
    return InputError(
        f"{path} cannot be read as {ending_of(path)} ({one_line(error)}); it is truncated, damaged or another kind of file."
    )


def _check_header(path: Path, reader: SimpleITK.ImageFileReader) -> None:
    """Refuses dimensions, components, spacings and sizes that cannot be a scan that fits this file."""
    import SimpleITK as sitk

    dimension, size = reader.GetDimension(), list(reader.GetSize())
    if dimension not in (2, 3) and not (dimension == 4 and size[3] == 1):
        raise InputError(
            f"{path} has {dimension} dimensions ({' x '.join(map(str, size))}); one 3-D volume is needed. "
            "Export a single time point or contrast."
        )
    if reader.GetNumberOfComponents() != 1:
        raise InputError(
            f"{path} has {reader.GetNumberOfComponents()} values per voxel (colour or vectors); grey values are needed."
        )
    spacing = list(reader.GetSpacing())[:3]
    if not all(np.isfinite(s) and 0 < s <= _LARGEST_SPACING_MM for s in spacing):
        raise InputError(
            f"{path} has the voxel spacing {spacing} mm; each must be above 0 and at most {_LARGEST_SPACING_MM:.0f} mm."
        )
    if not all(np.isfinite(v) for v in (*reader.GetOrigin(), *reader.GetDirection())):
        raise InputError(f"{path} has a position or orientation that is not a number; export it again.")
    if any(abs(v) > _FARTHEST_MM for v in reader.GetOrigin()):
        raise InputError(
            f"{path} lies at {[round(v) for v in reader.GetOrigin()]} mm; at most {_FARTHEST_MM:.0f} mm from the origin is allowed."
        )
    if dimension == 2 and abs(np.linalg.det(np.reshape(reader.GetDirection(), (2, 2)))) < _SMALLEST_DETERMINANT:
        raise InputError(
            f"{path} is a single slice stored with two dimensions that lies along another plane than its two axes can say; "
            "save it as a volume of one slice (three dimensions)."
        )
    voxels = int(np.prod([float(s) for s in size]))
    bytes_each = {sitk.sitkUInt8: 1, sitk.sitkInt8: 1, sitk.sitkUInt16: 2, sitk.sitkInt16: 2, sitk.sitkFloat64: 8}.get(
        reader.GetPixelID(), 4
    )
    stored = path.stat().st_size
    detached = ending_of(path) in (".mhd", ".nhdr")
    if voxels > _LARGEST_VOXELS or (not detached and voxels * bytes_each > stored * _LARGEST_COMPRESSION):
        raise InputError(
            f"{path} claims {' x '.join(map(str, size))} voxels ({voxels * bytes_each / 1e9:.1f} GB), "
            f"which a file of {stored} bytes cannot hold; its header is damaged."
        )
    _, total_mb = cpu_memory_mb()
    if total_mb is not None and voxels * bytes_each > total_mb * 2**20:
        raise InputError(
            f"{path} needs {voxels * bytes_each / 1e9:.1f} GB for its {' x '.join(map(str, size))} voxels, more than "
            f"the {total_mb * 2**20 / 1e9:.1f} GB of this machine; crop it, or export fewer slices."
        )


def write_volume(array: Array, volume: Volume, path: Path, *, compress: bool = True) -> None:
    """Writes `array` (slice, row, column) on the grid of `volume`; the ending of `path` decides the format.

    Raises:
        OSError: not writable, disk full (callers write aside with outputs.whole_folder or whole_file).
    """
    import SimpleITK as sitk

    if array.dtype == bool:
        array = array.astype(np.uint8)
    try:
        sitk.WriteImage(to_sitk(array, volume), str(path), useCompression=compress)
    except RuntimeError as error:
        raise as_os_error(path) from error


def as_os_error(path: Path) -> OSError:
    """ITK reports a full disk as a RuntimeError without a reason: ask the file system."""
    import errno
    import shutil

    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else None
    number = errno.ENOSPC if free is not None and free < 1 << 20 else errno.EIO
    return OSError(number, os.strerror(number), str(path))
