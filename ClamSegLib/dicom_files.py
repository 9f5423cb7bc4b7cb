"""Reading DICOM: series in folders in any order, X-rays, compressed transfer syntaxes.

pydicom reads headers and pixels; patient names and identifiers are never looked at.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.dicom_series import Series, choose_series, list_series, make_series, read_header, slice_normal
from ClamSegLib.errors import InputError
from ClamSegLib.volume import Array, Volume

# Parts of the largest distance between neighbouring slices that may be missing before a gap is named.
_UNEVEN_SHARE = 0.05


def read_dicom(path: Path, *, series: str | None = None) -> Volume:
    """Reads a DICOM file, or a series from a folder.

    Args:
        path: file or folder.
        series: number (from 1, largest first) or UID; None takes the largest and warns when there are others.

    Raises:
        InputError: no image, damaged, an unreadable compression, colour, uneven or missing geometry.
    """
    path = Path(path)
    if path.is_dir():
        chosen, notes = choose_series(list_series(path), series, path)
    else:
        header = read_header(path)
        if header is None:
            raise InputError(f"{path} is not a readable DICOM image; it is damaged or another kind of file.")
        chosen, notes = make_series("", [(path, header)]), []
    first = chosen.headers[0]
    _refuse_other_kinds(chosen.files[0], first)
    if int(first.get("NumberOfFrames") or 1) > 1 and chosen.n_slices == 1:
        return _read_multi_frame(chosen, path, notes)
    if chosen.modality == "XR" or (chosen.n_slices == 1 and slice_normal(first) is None):
        if chosen.n_slices > 1:
            notes.append(f"{chosen.n_slices} pictures in this series; only {chosen.files[0].name} is read.")
        return _read_projection(chosen, path, notes)
    return _read_stack(chosen, path, notes)


def _refuse_other_kinds(path: Path, header: Any) -> None:
    modality = str(header.get("Modality", ""))
    if modality in ("SEG", "RTSTRUCT", "RTDOSE", "PR", "SR", "KO", "REG"):
        raise InputError(f"{path} is a DICOM {modality} object, not an image; name the image series.")
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise InputError(f"{path} is a colour DICOM image; grey values are needed.")


def _pixels(path: Path) -> tuple[Array, Any]:
    """Stored values of a file, decompressed, with its data set."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            return dataset.pixel_array, dataset
    except Exception as error:
        return _pixels_by_itk(path, error)


def _pixels_by_itk(path: Path, error: Exception) -> tuple[Array, Any]:
    """GDCM inside SimpleITK reads what pydicom lacks a decoder for; its values are rescaled already."""
    import pydicom
    import SimpleITK as sitk

    words = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    damaged = InputError(
        f"{path} cannot be decoded ({words}); it is truncated or damaged, or compressed in a way that needs "
        "pip install 'clamseg[dicom]'."
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        lacks_decoder = (
            "plugin" in str(error) or "missing dependencies" in str(error) or "decoder" in str(error).lower()
        )
        if not lacks_decoder:
            raise damaged from error
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except InputError:
        raise
    except Exception as second:
        raise damaged from second
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    return (array[0] if array.shape[0] == 1 else array), dataset


def _rescaled(pixels: Array, header: Any) -> Array:
    """Modality values; int16 where slope and intercept allow, else float32."""
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    if slope == 1 and intercept == 0:
        return pixels
    if slope == 1 and intercept == int(intercept):
        low, high = int(pixels.min()) + int(intercept), int(pixels.max()) + int(intercept)
        kind = np.int16 if low >= -32768 and high <= 32767 else np.int32
        return (pixels.astype(np.int32) + int(intercept)).astype(kind)
    return (pixels.astype(np.float32) * slope + intercept).astype(np.float32)


def _read_projection(chosen: Series, path: Path, notes: list[str]) -> Volume:
    pixels, header = _pixels(chosen.files[0])
    array = _rescaled(pixels, header)
    if str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        # White means little there: mirrored inside the stored range so that bone is bright everywhere.
        array = (
            (int(array.max()) + int(array.min()) - array.astype(np.int64)).astype(array.dtype)
            if array.dtype.kind in "iu"
            else array.max() + array.min() - array
        )
    spacing = header.get("PixelSpacing")
    known = (bool(spacing) and chosen.modality != "XR") or bool(spacing and header.get("PixelSpacingCalibrationType"))
    spacing = spacing or header.get("ImagerPixelSpacing") or (1.0, 1.0)
    row_mm, column_mm = _positive(chosen.files[0], [float(v) for v in spacing])
    if chosen.modality == "XR" and not known:
        notes.append("The pixel spacing of this X-ray is the detector's, not the patient's: sizes are given in pixels.")
    return Volume(
        array[np.newaxis], (column_mm, row_mm, 1.0), spacing_known=known, modality=chosen.modality,
        already_windowed=False, is_picture=True, source=path, slice_files=chosen.files, warnings=tuple(notes),
        description=chosen.description,
    )  # fmt: skip


def _positive(path: Path, values: list[float]) -> list[float]:
    if not all(np.isfinite(v) and 0 < v <= 1000 for v in values):
        raise InputError(f"{path} has the pixel spacing {values} mm; each must be above 0 and at most 1000 mm.")
    return values


def _positions(chosen: Series) -> NDArray[np.float64]:
    places = [h.get("ImagePositionPatient") for h in chosen.headers]
    if any(p is None or len(p) != 3 for p in places):
        raise InputError(
            f"{chosen.files[0].parent} has slices without a position in the patient; export the series again."
        )
    return np.asarray([[float(v) for v in p] for p in places])


def _check_stack(chosen: Series, normal: NDArray[np.float64], notes: list[str]) -> tuple[NDArray[np.float64], float]:
    """Positions (n,3) and slice distance in mm; refuses what is not one stack, names gaps and tilt."""
    first = chosen.headers[0]
    for path, header in zip(chosen.files, chosen.headers, strict=True):
        same = (header.get("Rows"), header.get("Columns")) == (first.get("Rows"), first.get("Columns"))
        other = slice_normal(header)
        if not same or other is None or float(np.dot(other, normal)) < 0.9999:
            raise InputError(
                f"{path.name} has another size or orientation than the rest of its series (a localiser?); "
                "move such files away, or choose another series."
            )
    positions = _positions(chosen)
    if len(positions) == 1:
        thickness = float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1.0)
        return positions, abs(thickness) or 1.0
    along = positions @ normal
    steps = np.diff(along)
    if steps.min() < 1e-3:
        raise InputError(
            f"{chosen.files[0].parent} holds several slices at the same position (time points or echoes in one series); "
            "keep one of each."
        )
    distance = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - distance) > _UNEVEN_SHARE * distance)
    if len(uneven):
        notes.append(
            f"Slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm, {len(uneven)} of {len(steps)} steps differ): "
            "some may be missing; volumes in ml and positions along the stack are approximate."
        )
        distance = float(along[-1] - along[0]) / (len(along) - 1)
    shift = positions[-1] - positions[0]
    tilt_mm = float(np.linalg.norm(shift - np.dot(shift, normal) * normal))
    if tilt_mm > 0.05 * distance * (len(positions) - 1) and tilt_mm > 0.5:
        raise InputError(
            f"{chosen.files[0].parent} is a tilted (sheared) stack, shifted by {tilt_mm:.1f} mm in plane; "
            "load it in Slicer, which straightens such a series, and export it."
        )
    return positions, distance


def _read_stack(chosen: Series, path: Path, notes: list[str]) -> Volume:
    first = chosen.headers[0]
    normal = slice_normal(first)
    if normal is None:
        raise InputError(f"{chosen.files[0]} has no orientation in the patient; export the series again.")
    positions, distance = _check_stack(chosen, normal, notes)
    slices = []
    for file in chosen.files:
        pixels, header = _pixels(file)
        if pixels.ndim != 2:
            raise InputError(
                f"{file} holds {pixels.ndim}-dimensional pixels among single slices; keep one kind of file."
            )
        slices.append(_rescaled(pixels, header))
    kinds = {s.dtype for s in slices}
    kind = kinds.pop() if len(kinds) == 1 else np.result_type(*(s.dtype for s in slices))
    array = np.stack([s.astype(kind, copy=False) for s in slices])
    row_mm, column_mm = _positive(chosen.files[0], [float(v) for v in first.get("PixelSpacing") or (1.0, 1.0)])
    orientation = np.asarray(first.ImageOrientationPatient, float)
    direction = np.stack([orientation[:3], orientation[3:], normal], axis=1)
    return Volume(
        array, (column_mm, row_mm, distance), tuple(float(v) for v in positions[0]), tuple(direction.ravel().tolist()),  # type: ignore[arg-type]
        spacing_known=bool(first.get("PixelSpacing")), modality=chosen.modality, source=path, slice_files=chosen.files,
        warnings=tuple(notes), description=chosen.description,
    )  # fmt: skip


def _read_multi_frame(chosen: Series, path: Path, notes: list[str]) -> Volume:
    """Enhanced CT and MR: one file, the frames sorted by their own positions."""
    pixels, header = _pixels(chosen.files[0])
    if pixels.ndim != 3:
        raise InputError(f"{chosen.files[0]} holds {pixels.ndim}-dimensional pixels; frames of grey values are needed.")
    frames = header.get("PerFrameFunctionalGroupsSequence")
    shared = header.get("SharedFunctionalGroupsSequence")
    try:
        places = np.asarray([[float(v) for v in f.PlanePositionSequence[0].ImagePositionPatient] for f in frames])
        turned = (shared[0] if "PlaneOrientationSequence" in shared[0] else frames[0]).PlaneOrientationSequence[0]
        measures = (shared[0] if "PixelMeasuresSequence" in shared[0] else frames[0]).PixelMeasuresSequence[0]
    except (AttributeError, IndexError, TypeError) as error:
        raise InputError(
            f"{chosen.files[0]} is a multi-frame image without positions of its frames; export single slices."
        ) from error
    orientation = np.asarray([float(v) for v in turned.ImageOrientationPatient])
    normal = np.cross(orientation[:3], orientation[3:])
    order = np.argsort(places @ normal, kind="stable")
    steps = np.diff((places @ normal)[order])
    if len(steps) and steps.min() < 1e-3:
        raise InputError(
            f"{chosen.files[0]} holds several frames at the same position (a time series); export one time point."
        )
    distance = float(np.median(steps)) if len(steps) else float(measures.get("SliceThickness") or 1.0)
    if len(steps) and np.abs(steps - distance).max() > _UNEVEN_SHARE * distance:
        notes.append("Frames are unevenly spaced; volumes in ml and positions along the stack are approximate.")
    group = shared[0] if "PixelValueTransformationSequence" in shared[0] else frames[0]
    values = group.get("PixelValueTransformationSequence")
    array = pixels[order] if not values else _rescaled(pixels[order], values[0])
    row_mm, column_mm = _positive(chosen.files[0], [float(v) for v in measures.PixelSpacing])
    direction = np.stack([orientation[:3], orientation[3:], normal], axis=1)
    return Volume(
        array, (column_mm, row_mm, distance), tuple(float(v) for v in places[order[0]]), tuple(direction.ravel().tolist()),  # type: ignore[arg-type]
        modality=chosen.modality, source=path, slice_files=chosen.files, warnings=tuple(notes), description=chosen.description,
    )  # fmt: skip
