"""The folder of a case: masks, maps, table, pictures and report, written whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.imaging.nrrd_write import write_nrrd
from ClamSegLib.imaging.seg_nrrd import Segment, write_segmentation
from ClamSegLib.imaging.volume import Array, box_of_slices
from ClamSegLib.segmentation.drawing_process import draw
from ClamSegLib.segmentation.lesions import slice_columns, write_lesions
from ClamSegLib.segmentation.pictured_case import OVERLAY, STAGES, pictured
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.folder_kind import FolderKind
from ClamSegLib.system.installation import drawing_problem
from ClamSegLib.system.memory import peak_memory_mb
from ClamSegLib.system.sparse_memory import zeros_on_demand

if TYPE_CHECKING:
    from ClamSegLib.segmentation.segment_volume import CaseResult

SEGMENTATION, PROBABILITY = "segmentation.seg.nrrd", "probability.nrrd"
LESIONS, REPORT, DICOM_SEG = "lesions.csv", "report.json", "segmentation.dcm"
# The SR measures the segments of the SEG beside it.
DICOM_SR, LESIONS_SEG = "lesions.sr.dcm", "lesions.seg.dcm"
# What of an archive is known by: the input a result was made from, and that it was stored (ClamSegLib/archive).
RECORD, STORED = "record.json", "stored.json"
_ARRAYS = ("labels.npy", "probability.npy", "strongest.npy", "components.npy")
CASE = FolderKind(
    "a segmented case",
    REPORT,
    ("clamseg", "model"),
    (
        SEGMENTATION,
        PROBABILITY,
        LESIONS,
        OVERLAY,
        STAGES,
        REPORT,
        DICOM_SEG,
        DICOM_SR,
        LESIONS_SEG,
        RECORD,
        STORED,
        *_ARRAYS,
    ),
    second=RECORD,
)


def segments_of(result: CaseResult) -> list[Segment]:
    """Organ and one segment per condition, in the frame of the input; ids are stable over runs."""
    config = result.model.config
    segments = []
    if config.task == "lesion":
        mask = result.in_own_frame(result.organ.mask)
        name, terminology = result.organ.label(config.organ)
        segments.append(Segment("organ", name, mask, config.organ.colour, terminology))
    prefix = "lesion-" if config.task == "lesion" else "organ-"
    for number, condition in enumerate(config.conditions, 1):
        mask = result.in_own_frame(_where(result.labels, number))
        segments.append(
            Segment(prefix + condition.name, condition.shown_name, mask, condition.colour, condition.terminology)
        )
    return segments


def _where(labels: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    """Where the labels say `number`, in memory of that size only."""
    mask = zeros_on_demand(labels.shape, np.bool_)
    box = box_of_slices(own == number for own in labels)
    if box is not None:
        np.equal(labels[box], number, out=mask[box])
    return mask


def report_of(result: CaseResult, accepted: Sequence[str] = ()) -> dict[str, Any]:
    """What report.json says; the geometry is the input's own.

    Args:
        accepted: doubts that the user was shown before the run and went on with.
    """
    config, volume = result.model.config, result.volume
    organ_name, organ_terminology = result.organ.label(config.organ)
    return {
        "summary": result.summary(),
        "search": result.search.to_json(),
        "smallest": result.smallest,
        "notice": RESEARCH_ONLY,
        "clamseg": __version__,
        "input": volume.source.name if volume.source else "",
        "model": {
            "name": config.name,
            "display_name": config.shown_name,
            "weights_sha256": config.weights_sha256,
            "level": result.level,
            "levels": config.network.heads,
            "threshold": result.threshold,
            "plane": config.plane,
        },
        "device": result.device,
        "window": [float(f"{value:.6g}") for value in result.preparation.scale.display_window],
        "engine": result.engine,
        "organ": {
            "name": organ_name,
            "terminology": organ_terminology,
            "method": result.organ.method,
            "quality": round(result.organ.quality, 3),
            "problem": result.organ.problem,
            "fell_back": result.organ.fell_back,
        },
        "geometry": {
            "shape_slice_row_column": list(volume.array.shape),
            "spacing_mm_xyz": list(volume.spacing_mm),
            "spacing_known": volume.spacing_known,
            "origin_lps_mm": list(volume.origin),
            "direction": list(volume.direction),
            "crop_rows": [result.preparation.box.row_start, result.preparation.box.row_stop],
            "crop_columns": [result.preparation.box.column_start, result.preparation.box.column_stop],
        },
        "slices": {
            "total": int(result.canonical_volume.array.shape[0]),
            "analysed": result.n_slices,
            "smoothed": result.slice_smoothing,
        },
        "lesions": [asdict(lesion) | slice_columns(lesion.first_slice, lesion.last_slice) for lesion in result.lesions],
        "warnings": list(result.warnings),
        "accepted_warnings": list(accepted),
        "seconds": {name: round(value, 3) for name, value in result.seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
    }


def _strongest(result: CaseResult) -> Iterator[NDArray[np.uint8]]:
    """The largest value over the conditions, slice by slice of the input's frame."""
    for of_slice in zip(*map(result.in_own_frame, result.probability), strict=True):
        yield np.maximum.reduce(of_slice)


def _which_is_strongest(result: CaseResult) -> Iterator[NDArray[np.uint8]]:
    """The number from 1 of the condition with the largest value, the first of equals, likewise; 0 where all are 0."""
    for of_slice in zip(*map(result.in_own_frame, result.probability), strict=True):
        # Not argmax, which takes a tenth of the time of the whole run for values that lie one behind the other.
        highest, which = of_slice[0], (of_slice[0] > 0).astype(np.uint8)
        for number, values in enumerate(of_slice[1:], 2):
            which[values > highest] = number
            highest = np.maximum(highest, values)
        yield which


def _organ_and_lesions(result: CaseResult) -> Iterator[NDArray[np.uint8]]:
    """0 none, 1 organ, 2.. condition number + 1, likewise."""
    for organ, lesions in zip(*map(result.in_own_frame, (result.organ.mask, result.labels)), strict=True):
        yield (
            np.where(lesions > 0, lesions + np.uint8(1), organ.astype(np.uint8))
            if lesions.any()
            else organ.astype(np.uint8)
        )


def write_arrays(result: CaseResult, folder: Path) -> None:
    """Writes the arrays as .npy in the frame of the input, for a front that shows them at once.

    labels.npy: 0 none, 1 organ, 2.. condition number + 1 (organ models: condition number). probability.npy: steps of 1/255,
    the strongest condition. strongest.npy: its number from 1, where several are, 0 where none has any. components.npy: numbers of
    the lesions in report.json, 0 none, in the smallest type that holds them (lesion models).
    """
    is_lesion = result.model.config.task == "lesion"
    arrays: dict[str, Iterable[Array]] = {
        "labels": _organ_and_lesions(result) if is_lesion else result.in_own_frame(result.labels),
        "probability": _strongest(result),
    }
    if len(result.probability) > 1:
        arrays["strongest"] = _which_is_strongest(result)
    if is_lesion:
        kind = np.min_scalar_type(len(result.lesions))
        arrays["components"] = (own.astype(kind) for own in result.in_own_frame(result.components))
    for name, slices in arrays.items():
        _write_npy(folder / f"{name}.npy", slices, result.volume.array.shape)


def _write_npy(path: Path, slices: Iterable[Array], shape: tuple[int, ...]) -> None:
    """An array given slice by slice as a .npy file; slices of zeros are holes in it, which take no room on most disks."""
    with path.open("wb") as file:
        for k, values in enumerate(slices):
            if k == 0:
                kind = np.lib.format.dtype_to_descr(values.dtype)
                np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
            if values.any():
                file.write(np.ascontiguousarray(values))
            else:
                file.seek(values.nbytes, 1)
        file.truncate()


def write_case(
    result: CaseResult,
    folder: Path,
    *,
    dicom_seg: bool = False,
    dicom_sr: bool = False,
    overwrite: bool = False,
    arrays: bool = False,
    pictures: bool = True,
    accepted: Sequence[str] = (),
    finish: Callable[[Path], None] | None = None,
) -> Path:
    """Writes the folder of a case.

    Args:
        folder: becomes visible when complete.
        dicom_seg: also write segmentation.dcm (an empty result has none, and says so in the report).
        dicom_sr: also write lesions.sr.dcm and the lesions.seg.dcm that it measures (likewise).
        arrays: write the arrays for a front (`write_arrays`) in place of the compressed image files.
        pictures: draw overlay.png and stages.png, where Matplotlib is installed (`drawing_problem` says so before).
        accepted: doubts that the user was shown before the run and went on with.
        finish: called with the written folder before it becomes visible; may add files of a case to it.

    Raises:
        InputError: the folder exists and `overwrite` is false, it is nothing that ClamSeg wrote, or DICOM SEG or SR cannot be
            written for this input.
        OutputError: not writable, disk full.
    """
    with whole_folder(folder, CASE, overwrite, lasting=dicom_seg or dicom_sr or not arrays) as part:
        # Compressing leaves Python to others: the pictures are drawn beside it.
        with ThreadPoolExecutor(1) as beside:
            drawn = beside.submit(_draw, result, part, folder.name) if pictures and not drawing_problem() else None
            started = time.perf_counter()
            _write_files(result, part, dicom_seg=dicom_seg, dicom_sr=dicom_sr, arrays=arrays)
            result.seconds["write"] = time.perf_counter() - started
            if drawn is not None:
                result.seconds["pictures"] = drawn.result()
        (part / REPORT).write_text(json.dumps(report_of(result, accepted), indent=1), encoding="utf-8")
        if finish is not None:
            finish(part)
    return folder


def _write_files(result: CaseResult, folder: Path, *, dicom_seg: bool, dicom_sr: bool, arrays: bool) -> None:
    """Everything but pictures and report, as for `write_case`."""
    segments = segments_of(result) if dicom_seg or not arrays else []
    if arrays:
        write_arrays(result, folder)
    else:
        write_segmentation(folder / SEGMENTATION, segments, result.volume)
        # Several conditions: the larger value of each voxel; the condition stands in the segmentation.
        write_nrrd(folder / PROBABILITY, _strongest(result), result.volume)
    write_lesions(folder / LESIONS, result.lesions)
    if dicom_seg and any(s.mask.any() for s in segments):
        from ClamSegLib.imaging.dicom_seg import write_dicom_seg

        description = f"ClamSeg {result.model.config.name}"
        write_dicom_seg(folder / DICOM_SEG, segments, result.volume, series_description=description)
    if dicom_sr and result.lesions:
        from ClamSegLib.segmentation.dicom_report import write_dicom_report

        write_dicom_report(result, folder / DICOM_SR, folder / LESIONS_SEG)


def _draw(result: CaseResult, folder: Path, title: str) -> float:
    """The pictures; returns the seconds they took."""
    started = time.perf_counter()
    draw(pictured(result, title), folder)
    return time.perf_counter() - started
