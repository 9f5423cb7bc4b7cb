"""Organ crops of all slices of a labelled folder, made once and cached as memory-mapped arrays.

The cache key is a hash of what decides the crops: the files (names, sizes, times), the rows, and the parts of
the model's configuration that matter. A cache is written aside and renamed, so several processes may ask at
the same time; one that cannot be read is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.cases import UNKNOWN, Case, cleaned, read_cases
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.datasets.superpixels import superpixels
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.organ.crop_and_normalise import Preparation, crop_mask, prepare
from ClamSegLib.organ.find_organ import organ_of
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import cache_folder
from ClamSegLib.system.progress import Reporter

_VERSION = 2
_ARRAYS = ("images", "organ", "regions", "lesion", "label", "eta", "position", "patient", "correction", "row")


@dataclass(frozen=True)
class CropSet:
    """Crops of N slices of side S.

    Attributes:
        images: (N,S,S) float16, normalised.
        organ: (N,S,S) bool.
        regions: (N,S,S) uint8 superpixel numbers.
        lesion: (N,S,S) uint8 condition numbers, 255 unknown; in the organ task 1 inside the organ.
        label: (N,) int64, 0 normal, c condition.
        eta: (N,) float32, NaN where unknown.
        position: (N,) float32 relative height of the slice in its organ, 0..1; 0.5 for single pictures.
        patient: (N,) int64, index into `patients`.
        correction: (N,) bool, the lesion is a user's correction.
        row: (N,) int64, row of the labelled folder.
    """

    images: NDArray[np.float16]
    organ: NDArray[np.bool_]
    regions: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    label: NDArray[np.int64]
    eta: NDArray[np.float32]
    position: NDArray[np.float32]
    patient: NDArray[np.int64]
    correction: NDArray[np.bool_]
    row: NDArray[np.int64]
    patients: tuple[str, ...]


def load_crops(
    folder: LabelledFolder,
    row_indices: list[int],
    config: ModelConfig,
    *,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    organ_request: str = "auto",
) -> CropSet:
    """The crops of the rows, from the cache or made now.

    Args:
        folder: the labelled folder.
        row_indices: rows to crop; a whole-volume row gives all its slices.
        config: of the model: plane, intensity, organ step, image size, task.
        cache: folder of the cache; None for the user's.
        organ_request: as for `organ.find_organ`, where a row gives no organ mask.

    Raises:
        InputError: an unreadable image, or values the model cannot work on.
        OutputError: the cache cannot be written.
    """
    reporter = reporter or Reporter()
    place = (cache or cache_folder() / "crops") / _key(folder, row_indices, config, organ_request)
    found = _open(place)
    if found is None:
        made: CropSet | None = None
        with contextlib.suppress(FileExistsError), whole_folder(place, overwrite=True) as part:
            _make(part, folder, row_indices, config, reporter, organ_request)
        made = _open(place)
        if made is None:
            raise InputError(
                f"The crops in {place} cannot be read back; free some space, or set CLAMSEG_CACHE to another folder."
            )
        found = made
    return found


def _key(folder: LabelledFolder, row_indices: list[int], config: ModelConfig, organ_request: str) -> str:
    wanted = {name: to_json(config)[name] for name in ("task", "plane", "image_size", "intensity", "organ")}
    digest = hashlib.sha256(json.dumps([_VERSION, wanted, organ_request], sort_keys=True).encode())
    for number in row_indices:
        row = folder.rows[number]
        digest.update(
            repr((number, row.label, row.slice_index, row.n_slices, row.eta, row.correction, row.patient_id)).encode()
        )
        for path in (row.image_path, row.organ_mask_path, row.lesion_mask_path):
            if path is not None:
                status = path.stat()
                digest.update(f"{path}|{status.st_size}|{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


def _open(place: Path) -> CropSet | None:
    try:
        patients = json.loads((place / "patients.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
    except (OSError, ValueError):
        return None
    if len({len(a) for a in arrays.values()}) != 1:
        return None
    return CropSet(**arrays, patients=tuple(patients))


def _slices_of(folder: LabelledFolder, row_indices: list[int]) -> int:
    """An upper bound of the slices the rows give, for the size of the arrays."""
    from ClamSegLib.imaging.read_write import PICTURE_ENDINGS, ending_of, read_volume

    total = 0
    for number in row_indices:
        row = folder.rows[number]
        if row.slice_index is not None or ending_of(row.image_path) in PICTURE_ENDINGS:
            total += 1
        else:
            total += max(read_volume(row.image_path).array.shape)
    return total


class _Writer:
    """Fills the arrays slice by slice, so that memory holds one case."""

    def __init__(self, folder: Path, most: int, size: int) -> None:
        kinds: dict[str, tuple[Any, tuple[int, ...]]] = {
            "images": (np.float16, (most, size, size)),
            "organ": (np.bool_, (most, size, size)),
            "regions": (np.uint8, (most, size, size)),
            "lesion": (np.uint8, (most, size, size)),
        }
        self.folder, self.n = folder, 0
        self.large = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
            for name, (kind, shape) in kinds.items()
        }
        self.small: dict[str, list[Any]] = {name: [] for name in _ARRAYS if name not in kinds}
        self.patients: list[str] = []

    def add(self, large: dict[str, Any], small: dict[str, Any], patient: str) -> None:
        for name, value in large.items():
            self.large[name][self.n] = value
        if patient not in self.patients:
            self.patients.append(patient)
        for name, value in {**small, "patient": self.patients.index(patient)}.items():
            self.small[name].append(value)
        self.n += 1

    def close(self) -> None:
        for name, array in self.large.items():
            array.flush()
            if len(array) > self.n:  # the bound was not reached: keep what was written
                np.save(self.folder / f"{name}.npy", np.array(array[: self.n]))
        kinds = {
            "label": np.int64,
            "eta": np.float32,
            "position": np.float32,
            "patient": np.int64,
            "correction": bool,
            "row": np.int64,
        }
        for name, values in self.small.items():
            np.save(self.folder / f"{name}.npy", np.asarray(values, dtype=kinds[name]))
        (self.folder / "patients.json").write_text(json.dumps(self.patients), encoding="utf-8")


def _make(
    part: Path,
    folder: LabelledFolder,
    row_indices: list[int],
    config: ModelConfig,
    reporter: Reporter,
    organ_request: str,
) -> None:
    writer = _Writer(part, _slices_of(folder, row_indices), config.image_size)
    for case in read_cases(folder, row_indices, plane=config.plane):
        volume = cleaned(folder, case, reporter)
        organ = organ_of(volume, config, request=organ_request, given=case.organ_mask, reporter=reporter)
        _crop_case(writer, folder, case, prepare(volume, organ.mask, config), config)
        reporter.progress(writer.n, len(row_indices), "cropping slices")
    writer.close()


def _crop_case(
    writer: _Writer, folder: LabelledFolder, case: Case, preparation: Preparation, config: ModelConfig
) -> None:
    lesion = _organ_target(case) if config.task == "organ" else case.lesion
    positions = _positions(case, preparation)
    for (k, number), position in zip(case.slice_rows, positions, strict=True):
        row = folder.rows[number]
        image = preparation.network_input(np.array([k]))[0, 0]
        writer.add(
            {
                "images": image.astype(np.float16),
                "organ": preparation.organ_input(np.array([k]))[0],
                "regions": superpixels(image) if config.task == "lesion" else np.zeros(image.shape, np.uint8),
                "lesion": _lesion_crop(lesion, k, preparation, config.image_size),
            },
            {
                "label": row.label,
                "eta": np.nan if row.eta is None else row.eta,
                "position": position,
                "correction": row.correction,
                "row": number,
            },
            case.patient_id,
        )


def _organ_target(case: Case) -> NDArray[np.uint8]:
    if case.organ_mask is None:
        return np.full(case.volume.array.shape, UNKNOWN, np.uint8)
    return case.organ_mask.astype(np.uint8)


def _lesion_crop(lesion: Any, k: int, preparation: Preparation, size: int) -> NDArray[np.uint8]:
    cropped = np.full((size, size), UNKNOWN, np.uint8)
    if lesion is None or (lesion[k] == UNKNOWN).all():
        return cropped
    cropped[:] = 0
    for condition in np.unique(lesion[k]):
        if condition not in (0, UNKNOWN):
            cropped[crop_mask(lesion[k : k + 1] == condition, preparation.box, size)[0]] = condition
    return cropped


def _positions(case: Case, preparation: Preparation) -> list[float]:
    """Height of each used slice between the first and last slice that shows the organ, 0..1.

    Where a table says slice_index and n_slices but the stack holds only some slices, those numbers decide.
    """
    shows = np.flatnonzero(preparation.mask.any(axis=(1, 2)))
    n = preparation.n_slices
    first, last = (int(shows[0]), int(shows[-1])) if len(shows) else (0, n - 1)
    told = [p for p in case.positions if p is not None]
    complete = case.volume.is_picture and len(told) == len(case.positions) and n > 1
    positions = []
    for (k, _), position in zip(case.slice_rows, case.positions, strict=True):
        if complete and position is not None:
            low, high = case.positions[first], case.positions[last]
            assert low is not None
            assert high is not None
            value = (position - low) / (high - low) if high > low else 0.5
        elif n == 1:
            value = 0.5
        else:
            value = (k - first) / max(1, last - first)
        positions.append(float(np.clip(value, 0.0, 1.0)))
    return positions
