"""The rows of a labelled folder as cases: stacks of slices with one organ, one box and one intensity scale each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ClamSegLib.datasets.labelled_folder import LabelledFolder, Row
from ClamSegLib.imaging.mask_files import read_mask, read_mask_plane
from ClamSegLib.imaging.read_write import PICTURE_ENDINGS, ending_of
from ClamSegLib.imaging.reader_process import read_volume
from ClamSegLib.imaging.volume import MODALITY_OF, Array, Volume, canonical, check_complete, check_plane
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.organ.clean_values import clean_values
from ClamSegLib.organ.find_organ import organ_of
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

UNKNOWN = 255


@dataclass(frozen=True)
class Case:
    """A canonical stack of slices.

    Attributes:
        slice_rows: the row of each slice to use, as (slice of the stack, row number); slices of a volume that no row
            names are context for organ and intensity only.
        organ_mask: (slice, row, column) bool, or None where the rows give none.
        lesion: (slice, row, column) uint8 condition numbers, 255 unknown; None when nothing is known of any.
        positions: relative height of each used slice in 0..1, None where the stack itself decides.
    """

    patient_id: str
    volume: Volume
    slice_rows: tuple[tuple[int, int], ...]
    organ_mask: Array | None
    lesion: Array | None
    positions: tuple[float | None, ...]


@dataclass(frozen=True)
class CaseRows:
    """The rows that make up one case, or several where a patient's pictures differ in size.

    Attributes:
        kind: 'stack' (pictures with a slice_index, one patient), 'picture' or 'volume'.
        numbers: of the rows, in the folder's order.
    """

    kind: str
    numbers: tuple[int, ...]


def group_rows(folder: LabelledFolder, row_indices: Sequence[int]) -> list[CaseRows]:
    """The rows by case: pictures with a slice_index stack per patient, other pictures and volumes stand alone."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number in row_indices:
        row = folder.rows[number]
        if ending_of(row.image_path) in PICTURE_ENDINGS:
            key = ("stack", row.patient_id) if row.slice_index is not None else ("picture", row.relative_path)
        else:
            key = ("volume", row.relative_path)
        groups.setdefault(key, []).append(number)
    return [CaseRows(kind, tuple(numbers)) for (kind, _), numbers in groups.items()]


def read_cases(folder: LabelledFolder, row_indices: Sequence[int], *, plane: str = "axial") -> Iterator[Case]:
    """Yields the cases of the rows, one at a time, so that memory holds one.

    A volume gives the slices its rows name, or all of them.

    Raises:
        InputError: an unreadable file, or masks of another size or in another place than their image.
    """
    for group in group_rows(folder, row_indices):
        yield from read_group(folder, group, plane)


def read_group(folder: LabelledFolder, group: CaseRows, plane: str) -> Iterator[Case]:
    """The cases of one group of rows; raises as `read_cases` does."""
    if group.kind == "volume":
        yield _volume_case(folder, list(group.numbers), plane)
    else:
        yield from _picture_cases(folder, list(group.numbers))


def searched(folder: LabelledFolder, case: Case, config: ModelConfig, reporter: Reporter) -> tuple[Volume, Array]:
    """The cleaned volume of a case and where a model looks in it, (slice, row, column) bool, as `find_organ.organ_of` says.

    Raises:
        InputError: nothing in the volume to work on.
    """
    volume = cleaned(folder, case, reporter)
    return volume, organ_of(volume, config, given=case.organ_mask, reporter=reporter).mask


def _modality(row: Row, volume: Volume) -> str:
    return volume.modality or MODALITY_OF.get(row.extra.get("modality", "")[:2].upper(), "")


def _picture_cases(folder: LabelledFolder, numbers: list[int]) -> Iterator[Case]:
    """Stacks of one patient's pictures; pictures of another size start another stack."""
    by_size: dict[tuple[int, ...], list[tuple[int, Volume]]] = {}
    for number in sorted(numbers, key=lambda k: folder.rows[k].slice_index or 0):
        volume = read_volume(folder.rows[number].image_path)
        by_size.setdefault(volume.array.shape[1:], []).append((number, volume))
    for size, members in by_size.items():
        rows = [folder.rows[number] for number, _ in members]
        first = members[0][1]
        volume = replace(
            first,
            array=np.concatenate([v.array for _, v in members]),
            modality=_modality(rows[0], first),
            already_windowed=all(v.already_windowed for _, v in members),
        )
        organ = None
        if all(row.organ_mask_path is not None for row in rows):
            organ = np.stack(
                [read_mask_plane(row.organ_mask_path, size, row.image_path)[0] for row in rows if row.organ_mask_path]
            )
        yield Case(
            rows[0].patient_id,
            volume,
            tuple((place, number) for place, (number, _) in enumerate(members)),
            organ,
            np.stack([_lesion_plane(row, size) for row in rows]),
            tuple(_told_position(row) for row in rows),
        )


def cleaned(folder: LabelledFolder, case: Case, reporter: Reporter) -> Volume:
    """The volume of a case without values that are no numbers; what is said names the file among all others.

    Raises:
        InputError: nothing in it to work on (`organ.clean_values`).
    """
    name = folder.rows[case.slice_rows[0][1]].image_path.name
    try:
        volume, notes = clean_values(case.volume)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    for note in notes:
        reporter.warning(f"{name}: {note}")
    return volume


def _told_position(row: Row) -> float | None:
    if row.slice_index is None or not row.n_slices or row.n_slices < 2:
        return None if row.slice_index is not None else 0.5
    return min(1.0, row.slice_index / (row.n_slices - 1))


def _lesion_plane(row: Row, size: tuple[int, ...]) -> Array:
    """Condition numbers of a picture: known empty when normal, unknown without an outline."""
    plane = np.full(size, 0 if row.label == 0 else UNKNOWN, np.uint8)
    if row.lesion_mask_path is not None and row.lesion_mask_kind == "mask":
        inside, _ = read_mask_plane(row.lesion_mask_path, size, row.image_path)
        plane = np.where(inside, max(row.label, 1), 0).astype(np.uint8)
    return plane


def _volume_case(folder: LabelledFolder, numbers: list[int], plane: str) -> Case:
    first = folder.rows[numbers[0]]
    own = read_volume(first.image_path)
    check_complete(own, first.image_path)
    check_plane(own, plane)
    volume, _ = canonical(own, plane)
    volume = replace(volume, modality=_modality(first, volume))
    n = volume.array.shape[0]
    used: list[tuple[int, int]] = []
    for number in numbers:
        index = folder.rows[number].slice_index
        if index is not None and index >= n:
            raise InputError(f"{first.image_path} has {n} slices, but slice_index {index} is asked for.")
        used += [(k, number) for k in (range(n) if index is None else [index])]
    organ = None if first.organ_mask_path is None else read_mask(first.organ_mask_path, volume, plane)[0]
    return Case(
        first.patient_id,
        volume,
        tuple(sorted(used)),
        organ,
        _lesion_volume(folder, numbers, volume, plane),
        (None,) * len(used),
    )


def _lesion_volume(folder: LabelledFolder, numbers: list[int], volume: Volume, plane: str) -> Array:
    lesion = np.full(volume.array.shape, UNKNOWN, np.uint8)
    for number in numbers:
        row = folder.rows[number]
        place = slice(None) if row.slice_index is None else slice(row.slice_index, row.slice_index + 1)
        if row.label == 0:
            lesion[place] = 0
        if row.lesion_mask_path is not None and row.lesion_mask_kind == "mask":
            inside, _ = read_mask(row.lesion_mask_path, volume, plane)
            lesion[place] = np.where(inside[place], max(row.label, 1), 0)
    return lesion
