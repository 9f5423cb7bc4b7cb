"""A reviewed result as files: segmentation, NIfTI, table, report; whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.corrections import scan_of
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.report_page import report_of
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.scene.segments import SegmentLook, segment_looks, segment_mask
from ClamSegWorkflow.words import tr as _

# kind -> (name in the menu, ending, file dialog's words)
KINDS: dict[str, tuple[str, str]] = {
    "segmentation": ("Segmentation", ".seg.nrrd"),
    "nifti": ("NIfTI", ".nii.gz"),
    "legend": ("Legend", "_labels.csv"),
    "table": ("Table", ".csv"),
    "report": ("Report", ".html"),
    "dicom": ("DICOM SEG", ".dcm"),
    "dicom_sr": ("DICOM SR", ".sr.dcm"),
}
_TABLE_COLUMNS = (
    "id", "condition", "decision", "first_index", "last_index", "first_slice", "last_slice", "n_slices", "volume_ml",
    "area_px", "longest_diameter_mm", "perpendicular_diameter_mm", "diameter_slice", "mean_probability", "mean_doubt", "centre_l_mm", "centre_p_mm", "centre_s_mm",
)  # fmt: skip


def with_ending(path: Path, kind: str) -> Path:
    """The path with the ending of its kind."""
    ending = KINDS[kind][1]
    return path if path.name.lower().endswith(ending) else path.with_name(path.name + ending)


def segments_of_result(result: Any) -> list[Any]:
    """ClamSegLib segments as they stand in the scene now, in the scan's own frame."""
    from ClamSegLib.imaging.seg_nrrd import Segment

    shape = result.record.shape
    return [
        Segment(
            look.id,
            look.name,
            segment_mask(result.segmentation, look.id, shape),
            look.colour,
            look.terminology,
            _drawn_by(result, look.id),
        )
        for look in segment_looks(result.segmentation)
    ]


def _drawn_by(result: Any, segment_id: str) -> str:
    """Who drew a segment, in the words of DICOM SEG; a segment that is none of ours was drawn by the reader."""
    from ClamSegLib.imaging.seg_nrrd import AUTOMATIC, MANUAL, SEMIAUTOMATIC

    if not result.is_own(segment_id):
        return MANUAL
    by_decision = {Decision.EDITED: SEMIAUTOMATIC, Decision.ADDED: MANUAL}
    return by_decision.get(result.decision_on(segment_id), AUTOMATIC)


def write_review(result: Any, kind: str, path: Path) -> Path:
    """Writes one kind of file and returns its path; what is there is replaced only by a whole file.

    Args:
        kind: 'segmentation', 'nifti' (with its legend beside it), 'legend', 'table' or 'report'.

    Raises:
        SceneError: the scan was removed, or a segment reaches beyond it.
        OutputError: not writable, disk full.
    """
    return prepare_review(result, kind)(path)


def prepare_review(result: Any, kind: str) -> Callable[[Path], Path]:
    """What takes voxels out of the scene, now; what it returns writes them, as `write_review` does, and may run elsewhere.

    Segmentation, NIfTI and report, whose packing and drawing take the time, are written without another look at the scene.

    Args:
        result, kind: as for `write_review`.

    Raises:
        SceneError: as for `write_review`.
    """
    require_exportable(result)
    write_legend = partial(_write_legend, segment_looks(result.segmentation))
    writers: dict[str, Callable[[Any], Callable[[Path], object]]] = {
        "segmentation": _segmentation, "nifti": _nifti, "legend": lambda _result: write_legend,
        "table": lambda result: partial(_write_table, result), "report": report_of,
    }  # fmt: skip
    write = writers[kind](result)

    def write_whole(path: Path) -> Path:
        from ClamSegLib.system.atomic_output import whole_file

        path = with_ending(path, kind)
        if kind == "nifti":
            with whole_file(legend_beside(path)) as part:
                write_legend(part)
        with whole_file(path) as part:
            write(part)
        return path

    return write_whole


def require_exportable(result: Any) -> None:
    """Takes over what was drawn; what is written after this is what the reader sees, in its place.

    Raises:
        SceneError: the scan was removed, a segment reaches beyond it, or a transform moved one against the other.
    """
    if not result.is_alive():
        raise SceneError(_("The scan of this result was removed or changed; the result can no longer be exported."))
    if result.lesions is not None:
        result.take_over_edits()
    certificate = result.certificate()
    if not certificate.holds:
        raise SceneError(
            _("The result is {certificate}; undo the change of its transform, then export.").format(
                certificate=certificate
            )
        )


def _segmentation(result: Any) -> Callable[[Path], object]:
    from ClamSegLib.imaging.seg_nrrd import write_segmentation

    segments, scan = segments_of_result(result), scan_of(result)
    if not segments:
        raise SceneError(_("The result has no segments to export."))
    return lambda path: write_segmentation(path, segments, scan)


def _nifti(result: Any) -> Callable[[Path], object]:
    """A labelmap: 1, 2, ... in the order of the segments; a lesion lies over the organ it is in."""
    from ClamSegLib.imaging.read_write import write_volume

    labels = np.zeros(result.record.shape, np.uint8)
    for value, segment in enumerate(segments_of_result(result), 1):
        if value > 255:
            raise SceneError(_("More than 255 segments do not fit into a NIfTI of labels; export the segmentation."))
        labels[segment.mask] = value
    scan = scan_of(result)
    return lambda path: write_volume(labels, scan, path)


def legend_beside(path: Path) -> Path:
    """Where the legend of a NIfTI of labels lies."""
    return path.with_name(path.name[: -len(KINDS["nifti"][1])] + KINDS["legend"][1])


def _write_legend(looks: list[SegmentLook], path: Path) -> None:
    """What the values of the labelmap mean, as Slicer's colour tables say it; every value that it may hold has a line.

    Source: https://slicer.readthedocs.io/en/latest/developer_guide/modules/colors.html
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("LabelValue", "Name", "Color_R", "Color_G", "Color_B"))
        for value, look in enumerate(looks, 1):
            writer.writerow((value, look.name.replace('"', "'"), *look.colour))


def table_rows(result: Any) -> list[LesionRow]:
    """The lesions of the table, none where the model finds organs only."""
    return result.lesions.rows() if result.lesions is not None else []


def _write_table(result: Any, path: Path) -> None:
    from ClamSegLib.segmentation.lesions import slice_columns
    from ClamSegLib.system.words import in_cell

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix_of(result.volume)
    is_picture = result.lesions is not None and result.lesions.is_picture

    def text(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_TABLE_COLUMNS)
        for row in table_rows(result):
            centre = ["", "", ""] if is_picture else [f"{v:.2f}" for v in (lps @ [*row.centre_ijk, 1.0])[:3]]
            writer.writerow(
                [
                    row.number, in_cell(row.condition), row.decision.value,
                    *slice_columns(row.first_slice, row.last_slice).values(), row.n_slices,
                    text(row.volume_ml, 3), row.area_px, text(row.longest_diameter_mm, 1), text(row.perpendicular_diameter_mm, 1),
                    "" if row.diameter_slice is None else row.diameter_slice + 1,
                    text(row.mean_probability, 3), text(row.mean_doubt, 3), *centre,
                ]
            )  # fmt: skip
