"""The cases of DICOM trees: indexed, chosen, named without patients, in a tree of patients and studies below the output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegLib.archive.case import Case, Source
from ClamSegLib.archive.case_table import write_csv
from ClamSegLib.archive.dicom_index import DicomIndex, IndexedSeries
from ClamSegLib.archive.pseudonym import Pseudonyms
from ClamSegLib.archive.series_choice import SLICES, Selection, unsuitable
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.system.words import bounded, in_cell

LEFT_OUT = "left-out.csv"
_COLUMNS = ("case", "modality", "body_part", "slice_thickness_mm", "slices", "reason")


@dataclass(frozen=True)
class Found:
    """A series that an index or a PACS holds.

    Attributes:
        source: that brings it.
        tags: what it can be chosen by.
        n_slices: of it.
        odd_kind: what makes it no scan.
        problem: why it cannot be trusted to be whole; '' where it can.
        patient: pseudonym.
        where: folder or address, for the table that leads back.
    """

    source: Source
    tags: dict[str, Any]
    n_slices: int
    odd_kind: str
    problem: str
    patient: str
    where: str

    @property
    def uids(self) -> tuple[str, str]:
        """Of study and series."""
        return str(self.tags.get("StudyInstanceUID", "")), str(self.tags.get("SeriesInstanceUID", ""))


def indexed_series(
    roots: list[Path], names: Pseudonyms, reporter: Reporter
) -> tuple[list[Found], list[dict[str, str]]]:
    """The series of DICOM trees, and a line of the left-out table for each file that cannot be read.

    Raises:
        InputError: a tree that cannot be read, or holds no DICOM images.
    """
    found: list[Found] = []
    rows: list[dict[str, str]] = []
    lookup = []
    for root in roots:
        index = DicomIndex(root, names)
        index.update(reporter)
        for series in index.series():
            source = IndexedSeries(index.path, series.number)
            files = series.beside_damaged
            problem = f"{files} files beside its slices cannot be read and may be slices of it" if files else ""
            where = str(source.paths()[0].parent)
            found.append(Found(source, series.tags, series.n_slices, series.odd_kind, problem, series.patient, where))
        for path in index.damaged():
            name = names.of("file", str(path))
            lookup.append({"case": name, "source": str(path), "study_uid": "", "series_uid": ""})
            rows.append(_row(name, {}, "", "cannot be read"))
    if not found and not rows:
        named = ", ".join(map(str, roots))
        raise InputError(
            f"{named} holds no DICOM images; name a folder with DICOM files, or leave --select out for other scans."
        )
    if lookup:
        names.write_lookup(lookup)
    return found, rows


def chosen_cases(
    found: Iterable[Found],
    selection: Selection,
    modality: str,
    model: Path,
    output: Path,
    names: Pseudonyms,
) -> tuple[list[Case], list[dict[str, str]]]:
    """The cases of the series that are suitable and chosen; the others as rows of the left-out table.

    The table that leads back is written beside the secret.

    Args:
        found: series.
        selection: of `--select`.
        modality: of the model.
        model: its folder.
        output: gets a tree of patients, studies and cases.
        names: pseudonyms.
    """
    cases: list[Case] = []
    rows: list[dict[str, str]] = []
    lookup = []
    every = list(found)
    seen = Counter(series.uids[1] for series in every)
    for series in every:
        study, uid = series.uids
        name = names.of("case", uid)
        lookup.append({"case": name, "source": series.where, "study_uid": study, "series_uid": uid})
        reason = (
            unsuitable(series.tags, series.n_slices, series.odd_kind, modality)
            or selection.failure(series.tags | {SLICES: series.n_slices})
            or series.problem
            or ("no series UID" if not uid else "")
            or ("its UID is that of another series as well" if seen[uid] > 1 else "")
        )
        if reason:
            rows.append(_row(name, series.tags, str(series.n_slices), reason))
        else:
            folder = output / series.patient / names.of("study", study) / name
            cases.append(Case(name, folder, series.source, model))
    names.write_lookup(lookup)
    return cases, rows


def write_left_out(output: Path, rows: list[dict[str, str]]) -> Path:
    """Writes what was left out, with the reason of each.

    Raises:
        OutputError: it cannot be written.
    """
    write_csv(output / LEFT_OUT, _COLUMNS, rows)
    return output / LEFT_OUT


def _row(name: str, tags: dict[str, Any], slices: str, reason: str) -> dict[str, str]:
    thickness = tags.get("SliceThickness")
    return {
        "case": name,
        "modality": in_cell(bounded(str(tags.get("Modality", "")), 16)),
        "body_part": in_cell(bounded(str(tags.get("BodyPartExamined", "")), 16)),
        "slice_thickness_mm": "" if thickness is None else f"{thickness:g}",
        "slices": slices,
        "reason": in_cell(bounded(reason)),
    }
