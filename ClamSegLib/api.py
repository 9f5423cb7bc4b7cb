"""The front door for Python: a scan to a segmentation, and a labelled folder to a model.

    import ClamSegLib as cs
    result = cs.segment("scan.nii.gz", "ct-lung-lesion")
    print(result.summary, result.lesions.shape, result.table)

`ClamSegLib` offers these names and loads this file when one of them is used first. What a user gets wrong raises
`InputError`, whose text says what came and what is allowed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ClamSegLib.commands import train as train_verb
from ClamSegLib.imaging import read_write
from ClamSegLib.imaging.picture_files import picture_volume
from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.model import checkpoint
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.config_json import from_json
from ClamSegLib.model.registry import find_model
from ClamSegLib.outlining.outline import Click, outline
from ClamSegLib.outlining.tissue import tissue_of
from ClamSegLib.segmentation.dicom_report import require_lesions
from ClamSegLib.segmentation.lesions import Lesion
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.report import write_case
from ClamSegLib.segmentation.segment_volume import CaseResult, segment_volume
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import make_reporter

__all__ = [
    "InputError",
    "LoadedModel",
    "Segmentation",
    "Volume",
    "load_model",
    "outline_at",
    "read_volume",
    "segment",
    "train",
]


@dataclass(frozen=True)
class Segmentation:
    """What a model found in a scan. All arrays are (slice, row, column) in the frame of the scan as it was read.

    Attributes:
        case: everything that is known of the run, in the orientation the network works in.
    """

    case: CaseResult

    @property
    def volume(self) -> Volume:
        """The scan as read."""
        return self.case.volume

    @cached_property
    def organ(self) -> NDArray[np.bool_]:
        """(slice, row, column): the organ that was searched; for an organ model, what it found."""
        case = self.case
        mask = case.organ.mask if case.model.config.task == "lesion" else case.labels > 0
        return self._own(mask).astype(bool)

    @cached_property
    def lesions(self) -> NDArray[np.uint8]:
        """(slice, row, column): 0, or the number of the condition from 1 (`conditions[number - 1]` is its name)."""
        return self._own(self.case.labels).astype(np.uint8)

    @cached_property
    def probability(self) -> NDArray[np.float32]:
        """(slice, row, column) float32, 0..1: the probability of a lesion; the highest where a model has several conditions."""
        return self._own(self.case.probability.max(axis=0)).astype(np.float32) / np.float32(255)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions that the model finds."""
        return tuple(condition.name for condition in self.case.model.config.conditions)

    @property
    def table(self) -> tuple[Lesion, ...]:
        """One row per lesion, the largest first: volume in ml, diameter in mm, probability, centre in LPS mm.

        Slice numbers and `centre_index` count in the model's plane (axial: from the feet), not in the file's order.
        """
        return self.case.lesions

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be known before the result is believed."""
        return self.case.warnings

    @property
    def summary(self) -> str:
        """One line that says what was found, also when nothing was."""
        return self.case.summary()

    def save(
        self, folder: str | Path, *, dicom_seg: bool = False, dicom_sr: bool = False, overwrite: bool = False
    ) -> Path:
        """Writes the folder that `clamseg segment` writes for a case: masks, maps, table, pictures and report.

        Args:
            folder: appears when it is complete.
            dicom_seg: also write a DICOM SEG; the scan must be a DICOM series.
            dicom_sr: also write a DICOM SR of the lesions and the DICOM SEG that it measures; likewise.
            overwrite: replace an existing folder.

        Raises:
            InputError: the folder exists, or a DICOM SEG or SR is asked of a scan that is no DICOM series, or an SR of organs.
            OutputError: the folder cannot be written.
        """
        for option, is_asked in (("dicom_seg", dicom_seg), ("dicom_sr", dicom_sr)):
            if is_asked and not self.volume.slice_files:
                raise InputError(f"{option} needs a scan read from a DICOM series; leave the option out.")
        if dicom_sr:
            require_lesions(self.case.model.config.task, self.case.model.config.name)
        return write_case(self.case, Path(folder), dicom_seg=dicom_seg, dicom_sr=dicom_sr, overwrite=overwrite)

    def _own(self, array: Array) -> Array:
        """A copy in the frame of the scan, free of the canonical array it was a view of."""
        return np.ascontiguousarray(self.case.in_own_frame(array))


def read_volume(path: str | Path, *, series: str | None = None) -> Volume:
    """Reads a scan: NIfTI, NRRD, MHA, a DICOM file or folder, PNG, JPEG or TIFF.

    Args:
        path: the file or the folder.
        series: number or UID where a DICOM folder holds several series.

    Raises:
        InputError: it is missing, damaged, or nothing that ClamSeg can work on.
    """
    return read_write.read_volume(Path(path), series=series)


def load_model(model: str | Path) -> LoadedModel:
    """A model in memory, for segmenting many scans with it.

    Args:
        model: a name of `clamseg models`, or a model folder.

    Raises:
        InputError: there is no such model, or its folder is damaged.
    """
    return checkpoint.load_model(find_model(model))


def segment(
    scan: Volume | str | Path | NDArray[Any],
    model: str | Path | LoadedModel,
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    modality: str = "",
    **options: Any,
) -> Segmentation:
    """Finds organ and lesions in a scan.

    Args:
        scan: from `read_volume`, or a path, or an array: (slice, row, column) in axial slices from the feet up, row 0
            in front and column 0 at the patient's right; or (row, column) for a picture.
        model: a name of `clamseg models`, a model folder, or a model from `load_model`.
        spacing_mm: of an array: distance between columns, rows and slices. Without it nothing is measured in mm.
        modality: of an array: 'CT' (values in HU), 'MR' or 'XR'. Without it nothing is said where the model does not fit.
        **options: those of `SegmentOptions`: device, level, organ, threshold, batch_size, minimum_volume_ml, engine ...

    Raises:
        InputError: scan, model or options cannot be worked with.
    """
    if isinstance(scan, str | Path):
        scan = read_volume(scan)
    elif not isinstance(scan, Volume):
        scan, spacing_mm, modality = _volume_of(scan, spacing_mm, modality), None, ""
    if spacing_mm is not None or modality:
        raise InputError("spacing_mm and modality belong to an array; a file or a Volume has its own.")
    known = [field.name for field in fields(SegmentOptions)]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"segment has no option '{unknown[0]}'; allowed are {', '.join(known)}.")
    chosen = from_json(SegmentOptions, options, "segment")
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    return Segmentation(segment_volume(scan, loaded, chosen))


def outline_at(
    volume: Volume, point: tuple[int, int, int], result: Segmentation | None = None, *, width: int = 0
) -> NDArray[np.bool_]:
    """The lesion that a click on a voxel means, grown from there by what the model found and by the image.

    Args:
        volume: the scan.
        point: voxel (slice, row, column) in the frame of the scan as it was read.
        result: of the same scan; without it only the image decides.
        width: steps wider (above 0) or tighter (below), -8..8.

    Returns:
        (slice, row, column) in the frame of the scan.

    Raises:
        InputError: a point outside scan or organ.
    """
    k, j, i = (int(value) for value in point)
    probability = None if result is None else np.rint(result.probability * 255).astype(np.uint8)
    mm = volume.spacing_mm[::-1] if volume.spacing_known else None
    tissue = tissue_of(volume.array, mm, None if result is None else result.organ, probability)
    return outline(tissue, [Click((k, j, i))], width).whole(volume.array.shape)


def _volume_of(array: ArrayLike, spacing_mm: tuple[float, float, float] | None, modality: str) -> Volume:
    """An array as a scan without a place in the patient, or as a picture where it has two axes."""
    values = np.asarray(array)
    if values.dtype.kind not in "uif" or values.ndim not in (2, 3) or not values.size:
        raise InputError(
            f"An array must hold integers or floats of shape (slice, row, column) or (row, column); "
            f"this one has shape {values.shape} of {values.dtype}."
        )
    if modality not in ("", "CT", "MR", "XR"):
        raise InputError(f"modality '{modality}' is unknown; allowed are CT, MR and XR.")
    if values.ndim == 2:
        if spacing_mm is not None:
            raise InputError("A picture (row, column) takes no spacing_mm; its lesions are counted in pixels.")
        return replace(picture_volume(values), modality=modality)
    if spacing_mm is None:
        return Volume(values, spacing_known=False, modality=modality)
    spacing = np.asarray(spacing_mm, dtype=float)
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or (spacing <= 0).any():
        raise InputError(f"spacing_mm {spacing_mm} must be three positive numbers: between columns, rows and slices.")
    return Volume(values, spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])), modality=modality)


def train(folder: str | Path, output: str | Path, *, progress: str = "none", **options: Any) -> Path:
    """Trains a model from images that are only labelled normal or diseased.

    Args:
        folder: labelled folder: one folder per class, or with a labels.csv (see `docs/reference.md`).
        output: the model folder to make.
        progress: 'none' (warnings are still printed), 'bar' or 'json'.
        **options: those of `clamseg train`, with underscores: init='ct-lung-lesion', steps=500, eta=0.8, device='cpu' ...

    Returns:
        The model folder, which `segment` takes.

    Raises:
        InputError: folder or options cannot be worked with.
    """
    parser = _Options()
    train_verb.add_arguments(parser)
    words = [*parser.words_of(options), "--output", str(output), "--", str(folder)]
    train_verb.train(parser.parse_args(words), ("train", *words), make_reporter(progress))
    return Path(output)


class _Options(argparse.ArgumentParser):
    """The verb's own parser, told by keywords: one list of options and one set of checks for both fronts."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def words_of(self, options: dict[str, Any]) -> list[str]:
        """The words that say the same on the command line.

        Raises:
            InputError: an option that the verb does not have.
        """
        own = {"output", "threads"}  # `output` is an argument of its own; threads are the caller's
        actions = {a.dest: a for a in self._actions if a.option_strings and a.dest not in own}
        words: list[str] = []
        for name, value in options.items():
            action = actions.get(name)
            if action is None:
                raise InputError(f"train has no option '{name}'; allowed are {', '.join(sorted(actions))}.")
            word = action.option_strings[0]
            if action.nargs == 0:
                words += [word] if value else []
            elif value is not None:
                several = isinstance(value, list | tuple)
                repeated = several and isinstance(action.default, list)
                texts = [str(v) for v in value] if repeated else [",".join(map(str, value)) if several else str(value)]
                for text in texts:
                    # Apart, as the card's command leaves folders out; a leading dash needs the other form.
                    words += [f"{word}={text}"] if text.startswith("-") else [word, text]
        return words

    def error(self, message: str) -> NoReturn:
        """argparse would print its usage and end the process."""
        raise InputError(f"train: {message}.")
