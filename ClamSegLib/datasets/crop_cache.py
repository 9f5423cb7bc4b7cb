"""Organ crops of all slices of a labelled folder, made once per case and configuration and kept in the user's cache.

A cached file holds what images and masks give; its key is a hash of these files and of the parts of the model's
configuration that decide the crops. What rows say of them (label, eta, correction, patient) is added in memory, so that
a new correction, label or row makes no other case anew. Files are renamed into place when whole, so several processes
may ask at the same time; one that cannot be read is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.case_warnings import CaseWarnings
from ClamSegLib.datasets.cases import UNKNOWN, Case, CaseRows, group_rows, read_group, searched
from ClamSegLib.datasets.labelled_folder import LabelledFolder, Row
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.organ.crop_and_normalise import Preparation, crop_mask, prepare, relative_heights
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import cache_folder
from ClamSegLib.system.progress import Reporter

# Counted up when crops change, or when what they were made from is refused: 6, series that lack a slice.
_VERSION = 6
# Crops of a folder smaller than this are kept in memory, others are read from the cache slice by slice.
LARGEST_IN_MEMORY_BYTES = 2**29
_OPEN_FILES = 128

Records = NDArray[np.void]


def record_type(side: int) -> np.dtype[np.void]:
    """One cropped slice.

    image float16, normalised; organ; mask: lesion as drawn, 255 where nothing is drawn (in the organ task the organ);
    position: relative height in the organ, 0..1, 0.5 for single pictures; member: which of the case's rows it belongs to.
    """
    plane = (side, side)
    return np.dtype(
        [
            ("image", np.float16, plane),
            ("organ", np.bool_, plane),
            ("mask", np.uint8, plane),
            ("position", np.float32),
            ("member", np.int32),
        ]
    )


class CachedRecords:
    """The records of many cached files, one file after the other, read by their numbers."""

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int], kind: np.dtype[np.void]) -> None:
        self._paths, self._ends, self.dtype = list(paths), np.cumsum(lengths), kind

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: NDArray[np.int64]) -> Records:
        index = np.asarray(index)
        file = np.searchsorted(self._ends, index, side="right")
        found = np.empty(len(index), self.dtype)
        for place, (number, which) in enumerate(zip(index, file, strict=True)):
            records = _mapped(self._paths[which])
            found[place] = records[number - self._ends[which]]  # counted from the file's end
        return found


@lru_cache(_OPEN_FILES)
def _mapped(path: Path) -> Records:
    """A cached file as a memory map; few are kept open, because each holds a file descriptor."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} was removed or damaged while it was in use; start again, with --resume.") from error


@dataclass(frozen=True)
class CropSet:
    """Crops of N slices of side S.

    Attributes:
        records: (N,) of `record_type`, in memory or read from the cache when asked.
        label: (N,) int64, 0 normal, c condition.
        eta: (N,) float32, NaN where unknown.
        position: (N,) float32 relative height of the slice in its organ, 0..1; 0.5 for single pictures.
        patient: (N,) int64, index into `patients`.
        correction: (N,) bool, the lesion is a user's correction.
        row: (N,) int64, row of the labelled folder.
        task: 'lesion' or 'organ'.
        differences: (N,2,S,S) float16 z and m of each slice (model/normative_map.py), or None.
        told: (N,S,S) uint8 in steps of 1/255, what the normative map tells of diseased slices, 0 on normal ones; or None.
    """

    records: Records | CachedRecords
    label: NDArray[np.int64]
    eta: NDArray[np.float32]
    position: NDArray[np.float32]
    patient: NDArray[np.int64]
    correction: NDArray[np.bool_]
    row: NDArray[np.int64]
    patients: tuple[str, ...]
    task: str = "lesion"
    differences: NDArray[np.float16] | None = None
    told: NDArray[np.uint8] | None = None

    @property
    def side(self) -> int:
        """S, pixels."""
        return int(self.records.dtype["image"].shape[0])

    def lesion(self, index: NDArray[np.int64], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Condition numbers, 255 unknown; in the organ task 1 inside the organ.

        Args:
            index: (B,) numbers of the slices.
            mask: (B,S,S) of their records.
        """
        if self.task == "organ":
            return mask
        label = self.label[index][:, None, None]
        drawn = np.where(mask > 0, np.maximum(label, 1), 0)
        return np.where(mask == UNKNOWN, np.where(label == 0, 0, UNKNOWN), drawn).astype(np.uint8)


def load_crops(
    folder: LabelledFolder,
    row_indices: list[int],
    config: ModelConfig,
    *,
    cache: Path | None = None,
    reporter: Reporter | None = None,
) -> CropSet:
    """The crops of the rows, from the cache or made now.

    Args:
        folder: the labelled folder.
        row_indices: rows to crop; a whole-volume row gives all its slices.
        config: of the model: plane, intensity, organ step, image size, task.
        cache: folder of the cache; None for the user's.

    Raises:
        InputError: an unreadable image, or values the model cannot work on.
        OutputError: the cache cannot be written.
    """
    warnings = CaseWarnings(reporter or Reporter())
    root = (cache or cache_folder() / "crops") / _configuration_key(config)
    pieces: list[Records] = []
    paths, rows, positions = [], [], []
    kind, kept = record_type(config.image_size), 0
    groups = group_rows(folder, row_indices)
    with reading_apart(at_once=False):
        for done, group in enumerate(groups, 1):
            path = root / f"{_case_key(folder, group)}.npy"
            records = _cached(path, kind)
            if records is None:
                warnings.about(folder.rows[group.numbers[0]].relative_path)
                records = np.concatenate(
                    [
                        _crops_of(folder, case, group, config, warnings)
                        for case in read_group(folder, group, config.plane)
                    ]
                )
                with whole_file(path) as part, part.open("wb") as file:
                    np.save(file, records)
            kept += records.nbytes
            if kept > LARGEST_IN_MEMORY_BYTES:
                pieces.clear()
            else:
                pieces.append(np.array(records))
            paths.append(path)
            rows.append(np.asarray(group.numbers)[records["member"]])
            positions.append(np.array(records["position"]))
            warnings.progress(done, len(groups), "cropping cases")
    warnings.tell_rest(len(groups))
    whole = (
        np.concatenate(pieces)
        if pieces and kept <= LARGEST_IN_MEMORY_BYTES
        else CachedRecords(paths, [len(r) for r in rows], kind)
    )
    return _with_rows(folder, whole, np.concatenate(rows), np.concatenate(positions), config.task)


def _with_rows(
    folder: LabelledFolder,
    records: Records | CachedRecords,
    row: NDArray[np.int64],
    position: NDArray[np.float32],
    task: str,
) -> CropSet:
    rows = [folder.rows[number] for number in row]
    patients = {name: number for number, name in enumerate(dict.fromkeys(r.patient_id for r in rows))}
    return CropSet(
        records,
        label=np.array([r.label for r in rows], np.int64),
        eta=np.array([np.nan if r.eta is None else r.eta for r in rows], np.float32),
        position=position,
        patient=np.array([patients[r.patient_id] for r in rows], np.int64),
        correction=np.array([r.correction for r in rows], bool),
        row=np.asarray(row, np.int64),
        patients=tuple(patients),
        task=task,
    )


def _configuration_key(config: ModelConfig) -> str:
    wanted = {name: to_json(config)[name] for name in ("task", "plane", "image_size", "intensity", "organ")}
    if config.normative is not None:
        wanted["values"] = {name: to_json(config.normative)[name] for name in ("standardised", "compressed")}
    return hashlib.sha256(json.dumps([_VERSION, wanted], sort_keys=True).encode()).hexdigest()[:16]


def _case_key(folder: LabelledFolder, group: CaseRows) -> str:
    """Changes with the case's files and with what says where its slices lie, not with what is learned from them."""
    digest = hashlib.sha256(group.kind.encode())
    for number in group.numbers:
        row = folder.rows[number]
        digest.update(repr((row.slice_index, row.n_slices, row.extra.get("modality", ""))).encode())
        for path in (row.image_path, row.organ_mask_path, _mask_path(row)):
            digest.update(b"-" if path is None else _identity(path).encode())
    return digest.hexdigest()[:24]


def _identity(path: Path) -> str:
    """Path, size and time of a file, of every file of a folder of DICOM."""
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return "".join(f"{p}|{(s := p.stat()).st_size}|{s.st_mtime_ns};" for p in files)


def _mask_path(row: Row) -> Path | None:
    return row.lesion_mask_path if row.lesion_mask_kind == "mask" else None


def _cached(path: Path, kind: np.dtype[np.void]) -> Records | None:
    try:
        records = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return records if records.dtype == kind and records.ndim == 1 and len(records) else None


def _crops_of(folder: LabelledFolder, case: Case, group: CaseRows, config: ModelConfig, reporter: Reporter) -> Records:
    volume, organ = searched(folder, case, config, reporter)
    preparation = prepare(volume, organ, config)
    records = np.zeros(len(case.slice_rows), record_type(config.image_size))
    heights = heights_of(case, organ)
    for record, (k, number) in zip(records, case.slice_rows, strict=True):
        record["image"], record["organ"] = (
            preparation.image(np.array([k]))[0],
            preparation.organ_input(np.array([k]))[0],
        )
        record["mask"] = _mask_crop(_drawn(case, folder.rows[number], config.task), k, preparation, config.image_size)
        record["position"], record["member"] = heights[k], group.numbers.index(number)
    return records


def _drawn(case: Case, row: Row, task: str) -> Any:
    """The mask (slice, row, column) that a row draws, 255 unknown; None where it draws none."""
    if task == "organ":
        return case.organ_mask
    return case.lesion if _mask_path(row) is not None else None


def _mask_crop(mask: Any, k: int, preparation: Preparation, side: int) -> NDArray[np.uint8]:
    if mask is None or (mask[k] == UNKNOWN).all():
        return np.full((side, side), UNKNOWN, np.uint8)
    inside = (mask[k : k + 1] > 0) & (mask[k : k + 1] != UNKNOWN)
    return np.asarray(crop_mask(inside, preparation.box, side)[0], np.uint8)


def heights_of(case: Case, organ: Any) -> NDArray[np.float32]:
    """Relative height (slice,) of every slice between the first and last that show the organ, 0..1.

    Where a table says slice_index and n_slices but the stack holds only some slices, those numbers decide.
    """
    heights = relative_heights(organ)
    told = [p for p in case.positions if p is not None]
    if not (case.volume.is_picture and len(told) == len(case.positions) and len(organ) > 1):
        return heights
    shows = np.flatnonzero(organ.any(axis=(1, 2)))
    first, last = (int(shows[0]), int(shows[-1])) if len(shows) else (0, len(organ) - 1)
    low, high = told[first], told[last]
    return np.array([np.clip((p - low) / (high - low), 0, 1) if high > low else 0.5 for p in told], np.float32)
