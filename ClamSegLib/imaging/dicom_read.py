"""Reading DICOM: series in folders in any order, X-rays, enhanced multi-frame images, compressed transfer syntaxes.

Patient names and identifiers are never looked at.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegLib.imaging.dicom_ends import ends_doubt
from ClamSegLib.imaging.dicom_geometry import Plane, StackGeometry, planes_of, positive_mm, rescale_of, stack_geometry
from ClamSegLib.imaging.dicom_pixels import decoded, modality_values, padding_of, shown_bright
from ClamSegLib.imaging.dicom_series import (
    NO_SCANS,
    Series,
    choose_series,
    frame_count,
    image_type,
    list_series,
    make_series,
    numbers,
    read_header,
    scan_folder,
    without_localisers,
)
from ClamSegLib.imaging.volume import Array, Volume, inverted
from ClamSegLib.imaging.xray_view import view_of
from ClamSegLib.system.errors import InputError

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
        found, left_out = scan_folder(path)
        left_out.refuse_damaged(path)
        chosen, notes = choose_series(found, series, path)
        notes += left_out.in_words()
    else:
        header = read_header(path)
        if header is None:
            raise InputError(f"{path} is not a readable DICOM image; it is damaged or another kind of file.")
        chosen = make_series("", [(path, header)])
    whole, chosen = chosen, without_localisers(chosen, notes)
    for file, header in zip(chosen.files, chosen.headers, strict=True):
        _refuse_other_kinds(file, header)
    _refuse_odd_series(chosen.files[0], chosen.headers[0])
    _refuse_other_frames(chosen)
    if _is_projection(chosen):
        return _read_projection(chosen, path, notes)
    return _read_stack(chosen, path, notes, len(whole.files) - len(chosen.files))


def _refuse_other_kinds(path: Path, header: Any) -> None:
    modality = str(header.get("Modality", ""))
    if modality in NO_SCANS:
        raise InputError(f"{path} is a DICOM {modality} object, not an image; name the image series.")
    if header.get("SamplesPerPixel") not in (None, "", 1):
        raise InputError(f"{path} is a colour DICOM image; grey values are needed.")


def _refuse_odd_series(path: Path, header: Any) -> None:
    """What holds for all files of a series, by its first one."""
    if str(header.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
        raise InputError(f"{path} is a DICOM image in colours of a palette; grey values are needed.")
    if "MOSAIC" in image_type(header):
        raise InputError(
            f"{path} is a mosaic: one picture that is a sheet of tiles, one for each slice. Convert the series with dcm2niix, "
            "which unpacks it, and name the NIfTI file."
        )


def _refuse_other_frames(chosen: Series) -> None:
    """Positions in another frame of reference say nothing beside these; a frame for each file is what some anonymisers leave."""
    frames = [str(header.get("FrameOfReferenceUID") or "") for header in chosen.headers]
    usual = max(set(frames), key=frames.count)
    odd = [file.name for file, frame in zip(chosen.files, frames, strict=True) if frame not in ("", usual)]
    if odd and frames.count(usual) > 1:
        raise InputError(
            f"{odd[0]} has another FrameOfReferenceUID than the rest of its series, so that nobody knows where it lies beside "
            "them; move such files away, or export the series again."
        )


def _is_projection(chosen: Series) -> bool:
    """An X-ray, or a lone picture without a place in the patient."""
    first = chosen.headers[0]
    if first.get("PerFrameFunctionalGroupsSequence") or frame_count(first) > 1:
        return False
    return chosen.modality == "XR" or (len(chosen.files) == 1 and not first.get("ImageOrientationPatient"))


def _frontal_one(chosen: Series, notes: list[str]) -> tuple[Path, Any]:
    """The picture of a series to read: the first frontal one, else the first; what was left out or is odd is said."""
    members = list(zip(chosen.files, chosen.headers, strict=True))
    views = [view_of(header) for header in chosen.headers]
    # Where one says that it is frontal, it is; where none does, one that says nothing is likelier than a lateral one.
    place = next((k for wanted in ("frontal", "") for k, view in enumerate(views) if view == wanted), 0)
    if len(members) > 1:
        kind = f", the {views[place]} one," if views[place] else ""
        notes.append(
            f"{len(members)} pictures in this series; only {members[place][0].name}{kind} is read. "
            "Name another file to read that one."
        )
    if views[place] in ("lateral", "oblique"):
        notes.append(
            f"The header calls this X-ray {views[place]}; for a model that learned frontal ones the result means nothing."
        )
    return members[place]


def _read_projection(chosen: Series, path: Path, notes: list[str]) -> Volume:
    file, header = _frontal_one(chosen, notes)
    stored, dataset = decoded(file)
    if stored.ndim != 2:
        raise InputError(f"{file} holds {stored.ndim}-dimensional pixels; one grey picture is needed.")
    array = modality_values(stored, dataset, *rescale_of(header, file), file)
    if str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        array = shown_bright(array, padding_of(stored, dataset))
    spacing = numbers(header, "PixelSpacing", file, 2)
    known = spacing is not None and (chosen.modality != "XR" or bool(header.get("PixelSpacingCalibrationType")))
    row_mm, column_mm = positive_mm(file, spacing or numbers(header, "ImagerPixelSpacing", file, 2) or (1.0, 1.0))
    if chosen.modality == "XR" and not known:
        notes.append("The pixel spacing of this X-ray is the detector's, not the patient's: sizes are given in pixels.")
    return Volume(
        array[np.newaxis], (column_mm, row_mm, 1.0), spacing_known=known, modality=chosen.modality,
        already_windowed=array.dtype == np.uint8, is_picture=True, source=path, slice_files=(file,),
        warnings=tuple(notes), description=chosen.description, body_part=chosen.body_part,
    )  # fmt: skip


def _read_stack(chosen: Series, path: Path, notes: list[str], n_left_out: int) -> Volume:
    planes = [
        plane for file, header in zip(chosen.files, chosen.headers, strict=True) for plane in planes_of(file, header)
    ]
    geometry = stack_geometry(planes, chosen.files[0].parent if len(chosen.files) > 1 else chosen.files[0], notes)
    if planes[0].pixel_mm is None:
        notes.append("The series does not tell its pixel spacing: sizes are given in pixels.")
    one_a_file = len(chosen.files) == len(planes)
    if one_a_file and (doubt := ends_doubt(chosen.headers, len(geometry.missing), n_left_out)):
        notes.append(doubt)
    array = _stacked(geometry)
    if chosen.modality == "MR" and str(chosen.headers[0].get("PhotometricInterpretation", "")) == "MONOCHROME1":
        array = inverted(array)  # the numbers of a CT mean the same however they are shown
    return Volume(
        array, geometry.spacing_mm, geometry.origin, geometry.direction,
        spacing_known=planes[0].pixel_mm is not None, modality=chosen.modality, source=path,
        slice_files=tuple(p.file for p in geometry.planes) if one_a_file else chosen.files,
        warnings=tuple(notes), description=chosen.description, body_part=chosen.body_part,
        missing_slices=geometry.missing, stack_doubt=geometry.doubt,
    )  # fmt: skip


def _stacked(geometry: StackGeometry) -> Array:
    """(slice, row, column) on the grid; each file is decoded once and only its own planes are kept.

    A slice that is missing has the lowest value of all others.
    """
    placed = zip(geometry.places, geometry.planes, strict=True)
    numbered = sorted(placed, key=lambda item: (str(item[1].file), item[1].frame))
    stack: Array | None = None
    for file, members in groupby(numbered, key=lambda item: item[1].file):
        pixels, dataset = decoded(file)
        frames = pixels if pixels.ndim == 3 else pixels[np.newaxis]
        for place, plane in members:
            values = _frame(frames, plane, dataset)
            if stack is None:
                stack = np.empty((geometry.places[-1] + 1, *plane.shape), values.dtype)
            elif not np.can_cast(values.dtype, stack.dtype):
                stack = stack.astype(np.result_type(values.dtype, stack.dtype))
            stack[place] = values
    assert stack is not None, "a stack has at least one plane"
    if geometry.missing:
        stack[list(geometry.missing)] = stack[list(geometry.places)].min()
    return stack


def _frame(frames: Array, plane: Plane, dataset: Any) -> Array:
    if plane.frame >= len(frames) or frames.shape[1:] != plane.shape:
        raise InputError(f"{plane.file} holds other pixels than its header says; it is damaged.")
    return modality_values(frames[plane.frame], dataset, plane.slope, plane.intercept, plane.file)
