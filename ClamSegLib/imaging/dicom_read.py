"""Reading DICOM: series in folders in any order, X-rays, enhanced multi-frame images, compressed transfer syntaxes.

pydicom reads headers and pixels, GDCM inside SimpleITK the pixels pydicom has no decoder for; patient names and
identifiers are never looked at.
"""

from __future__ import annotations

import tempfile
import warnings
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib.imaging.dicom_geometry import Plane, StackGeometry, planes_of, positive_mm, rescale_of, stack_geometry
from ClamSegLib.imaging.dicom_series import (
    NO_SCANS,
    Series,
    choose_series,
    frame_count,
    list_series,
    make_series,
    numbers,
    read_header,
    scan_folder,
)
from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.silence_c_output import suppress_itk_output

_PIXEL_TAGS = (
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation",
)  # fmt: skip

__all__ = ["Series", "list_series", "read_dicom"]


def read_dicom(path: Path, *, series: str | None = None) -> Volume:
    """Reads a DICOM file, or a series from a folder.

    Args:
        path: file or folder.
        series: number (from 1, largest first) or UID; None takes the largest and warns when there are others.

    Raises:
        InputError: no image, damaged, an unreadable compression, colour, or no single straight stack.
    """
    path = Path(path)
    notes: list[str] = []
    if path.is_dir():
        found, damaged = scan_folder(path)
        chosen, notes = choose_series(found, series, path)
        if damaged:
            names = ", ".join(p.name for p in damaged[:3]) + (" ..." if len(damaged) > 3 else "")
            notes.append(
                f"Files that could not be read (damaged, or you lack the permission) were left out: {names}; slices may be missing."
            )
    else:
        header = read_header(path)
        if header is None:
            raise InputError(f"{path} is not a readable DICOM image; it is damaged or another kind of file.")
        chosen = make_series("", [(path, header)])
    for file, header in zip(chosen.files, chosen.headers, strict=True):
        _refuse_other_kinds(file, header)
    if _is_projection(chosen):
        if len(chosen.files) > 1:
            notes.append(f"{len(chosen.files)} pictures in this series; only {chosen.files[0].name} is read.")
        return _read_projection(chosen, path, notes)
    return _read_stack(chosen, path, notes)


def _refuse_other_kinds(path: Path, header: Any) -> None:
    modality = str(header.get("Modality", ""))
    if modality in NO_SCANS:
        raise InputError(f"{path} is a DICOM {modality} object, not an image; name the image series.")
    if header.get("SamplesPerPixel") not in (None, "", 1):
        raise InputError(f"{path} is a colour DICOM image; grey values are needed.")


def _is_projection(chosen: Series) -> bool:
    """An X-ray, or a lone picture without a place in the patient."""
    first = chosen.headers[0]
    if first.get("PerFrameFunctionalGroupsSequence") or frame_count(first) > 1:
        return False
    return chosen.modality == "XR" or (len(chosen.files) == 1 and not first.get("ImageOrientationPatient"))


def _pixels(path: Path) -> Array:
    """Stored values of a file, decompressed, (rows, columns) or with frames first."""
    import pydicom

    dataset = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            pixels: Array = dataset.pixel_array
            _check_frames_end(dataset)
            return pixels
    except Exception as error:  # pydicom raises many kinds for damaged files
        # Where a decoder was there and failed, the pixels are damaged; GDCM might make up a part of them.
        lacks_decoder = "missing dependencies" in str(error) or isinstance(error, NotImplementedError)
        if dataset is None or not lacks_decoder:
            words = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(f"{path} cannot be decoded ({words}); it is truncated or damaged.") from error
    return _pixels_by_itk(path, dataset)


def _check_frames_end(dataset: Any) -> None:
    """JPEG and JPEG-LS say where they end; decoders fill what is missing with grey and say nothing.

    Raises:
        ValueError: a frame is cut off.
    """
    from pydicom import encaps, uid

    if dataset.file_meta.TransferSyntaxUID not in (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes):
        return
    for number, frame in enumerate(encaps.generate_frames(dataset.PixelData, number_of_frames=frame_count(dataset)), 1):
        if b"\xff\xd9" not in frame[-16:]:  # a byte or more of padding may follow
            raise ValueError(f"the compressed frame {number} is cut off")


def _pixels_by_itk(path: Path, dataset: Any) -> Array:
    """Stored values as GDCM inside SimpleITK decodes them, for compressions pydicom has no decoder for.

    GDCM gets the pixels alone: it scales CT and leaves MR, and nobody's name shall lie in a temporary folder.
    """
    import pydicom
    import SimpleITK as sitk

    bare = pydicom.Dataset()
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    try:
        _check_frames_end(dataset)
        for name in _PIXEL_TAGS:
            if name in dataset:
                setattr(bare, name, dataset[name].value)
        bare["PixelData"] = dataset["PixelData"]
        bare.PhotometricInterpretation = "MONOCHROME2"
        kind = pydicom.uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage
        bare.SOPClassUID = kind if frame_count(dataset) > 1 else pydicom.uid.SecondaryCaptureImageStorage
        bare.SOPInstanceUID = pydicom.uid.generate_uid()
        with tempfile.TemporaryDirectory() as folder, suppress_itk_output():
            bare.save_as(Path(folder) / "pixels.dcm", enforce_file_format=True)
            array: Array = sitk.GetArrayFromImage(sitk.ReadImage(str(Path(folder) / "pixels.dcm")))
    except OSError:
        raise
    except Exception as error:  # pydicom raises many kinds for damaged files, ITK RuntimeError
        raise InputError(
            f"{path} cannot be decoded: it is damaged, or compressed in a way that needs more decoders "
            "(pip install 'clamseg[dicom]')."
        ) from error
    return array[0] if array.ndim == 3 and array.shape[0] == 1 else array


def _rescaled(pixels: Array, slope: float, intercept: float) -> Array:
    """Modality values; int16 where slope and intercept allow, else float32."""
    if slope == 1 and intercept == 0:
        return pixels
    if slope == 1 and intercept == int(intercept) and pixels.dtype.kind in "iu":
        low, high = int(pixels.min()) + int(intercept), int(pixels.max()) + int(intercept)
        kind = np.int16 if low >= -32768 and high <= 32767 else np.int32
        return (pixels.astype(np.int32) + int(intercept)).astype(kind)
    return (pixels.astype(np.float32) * slope + intercept).astype(np.float32)


def _read_projection(chosen: Series, path: Path, notes: list[str]) -> Volume:
    file, header = chosen.files[0], chosen.headers[0]
    array = _pixels(file)
    if array.ndim != 2:
        raise InputError(f"{file} holds {array.ndim}-dimensional pixels; one grey picture is needed.")
    array = _rescaled(array, *rescale_of(header, file))
    if str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        array = _inverted(array)
    spacing = numbers(header, "PixelSpacing", file, 2)
    known = spacing is not None and (chosen.modality != "XR" or bool(header.get("PixelSpacingCalibrationType")))
    row_mm, column_mm = positive_mm(file, spacing or numbers(header, "ImagerPixelSpacing", file, 2) or (1.0, 1.0))
    if chosen.modality == "XR" and not known:
        notes.append("The pixel spacing of this X-ray is the detector's, not the patient's: sizes are given in pixels.")
    return Volume(
        array[np.newaxis], (column_mm, row_mm, 1.0), spacing_known=known, modality=chosen.modality,
        already_windowed=array.dtype == np.uint8, is_picture=True, source=path, slice_files=chosen.files,
        warnings=tuple(notes), description=chosen.description,
    )  # fmt: skip


def _inverted(array: Array) -> Array:
    """White means little in MONOCHROME1: mirrored inside the range it fills, so that bone is bright everywhere."""
    if array.dtype.kind not in "iu":
        mirrored: Array = array.max() + array.min() - array
        return mirrored
    return (int(array.max()) + int(array.min()) - array.astype(np.int64)).astype(array.dtype)


def _read_stack(chosen: Series, path: Path, notes: list[str]) -> Volume:
    planes = [
        plane for file, header in zip(chosen.files, chosen.headers, strict=True) for plane in planes_of(file, header)
    ]
    geometry = stack_geometry(planes, chosen.files[0].parent if len(chosen.files) > 1 else chosen.files[0], notes)
    if planes[0].pixel_mm is None:
        notes.append("The series does not tell its pixel spacing: sizes are given in pixels.")
    one_a_file = len(chosen.files) == len(planes)
    return Volume(
        _stacked(geometry), geometry.spacing_mm, geometry.origin, geometry.direction,
        spacing_known=planes[0].pixel_mm is not None, modality=chosen.modality, source=path,
        slice_files=tuple(p.file for p in geometry.planes) if one_a_file else chosen.files,
        warnings=tuple(notes), description=chosen.description,
    )  # fmt: skip


def _stacked(geometry: StackGeometry) -> Array:
    """(slice, row, column) in the order of the planes; each file is decoded once and only its own planes are kept."""
    numbered = sorted(enumerate(geometry.planes), key=lambda item: (str(item[1].file), item[1].frame))
    stack: Array | None = None
    for file, members in groupby(numbered, key=lambda item: item[1].file):
        pixels = _pixels(file)
        frames = pixels if pixels.ndim == 3 else pixels[np.newaxis]
        for place, plane in members:
            values = _frame(frames, plane)
            if stack is None:
                stack = np.empty((len(geometry.planes), *plane.shape), values.dtype)
            elif not np.can_cast(values.dtype, stack.dtype):
                stack = stack.astype(np.result_type(values.dtype, stack.dtype))
            stack[place] = values
    assert stack is not None, "a stack has at least one plane"
    return stack


def _frame(frames: Array, plane: Plane) -> Array:
    if plane.frame >= len(frames) or frames.shape[1:] != plane.shape:
        raise InputError(f"{plane.file} holds other pixels than its header says; it is damaged.")
    return _rescaled(frames[plane.frame], plane.slope, plane.intercept)
