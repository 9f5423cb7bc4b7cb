"""A volume through a model: organ, crop, both branches in batches, probability and disagreement pasted back.

Maps are uint8 in steps of 1/255 from the moment they leave the network, so memory is that of the volume and
every front sees the same numbers: a pixel is lesion when its stored value / 255 lies above the threshold.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Array, Volume, canonical, canonical_orientation, check_plane, size_doubt
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import Preparation, check_intensity, clean_values, prepare
from ClamSegLib.organ.find_organ import OrganResult, find_organ
from ClamSegLib.segmentation.lesions import Lesion, lesion_mask, measure_lesions
from ClamSegLib.segmentation.run_network import run_network
from ClamSegLib.system.device import choose_device
from ClamSegLib.system.progress import Reporter

_T = TypeVar("_T")


@dataclass(frozen=True)
class SegmentOptions:
    """How to run a model on a volume; see the command line for the meaning of each.

    Attributes:
        level: 1..depth, None for the deepest, or 'auto' (`network_run.run_network`).
        threshold: of P_L; None for the model's.
        batch_size: slices at once; None leaves it to the engine.
        minimum_volume_ml: smaller lesions are dropped; None for the model's.
        engine: of `engine.ENGINES`; 'reference' is the network as trained, in float32.
        cases_ahead: this case and those that follow: measuring engines must be worth it.
        neighbours: hear the slices of a volume together with those beside them; None as the model says.
    """

    device: str = "auto"
    level: int | str | None = None
    organ: str = "auto"
    threshold: float | None = None
    batch_size: int | None = None
    minimum_volume_ml: float | None = None
    engine: str = "reference"
    cases_ahead: int = 1
    neighbours: bool | None = None


@dataclass(frozen=True)
class CaseResult:
    """A segmented volume. All arrays lie in the volume's own frame unless said.

    Attributes:
        volume: as read.
        canonical_volume: the same turned to the model's plane; lesions and pictures use its slices.
        organ: in the canonical frame.
        probability: (K, slice, row, column) uint8, P_L in 1/255 steps, canonical.
        disagreement: same shape, |P_L^A - P_L^B| in 1/255 steps, canonical.
        labels: (slice, row, column) uint8 condition numbers after clean-up, canonical.
        components: (slice, row, column) int32 lesion numbers, canonical.
        slices_by_level: how many slices each level gave the maps of.
        neighbours: whether each slice was heard together with those beside it.
        engine: what computed, as report.json tells it.
        n_slices: slices analysed; always all of them.
        seconds: time of each stage.
    """

    volume: Volume
    canonical_volume: Volume
    model: LoadedModel
    options: SegmentOptions
    organ: OrganResult
    preparation: Preparation
    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    components: NDArray[np.int32]
    lesions: tuple[Lesion, ...]
    threshold: float
    level: int
    device: str
    n_slices: int
    engine: dict[str, Any] = field(default_factory=dict)
    slices_by_level: dict[int, int] = field(default_factory=dict)
    neighbours: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def in_own_frame(self, array: Array) -> Array:
        """A canonical (slice, row, column) array in the frame of the input file."""
        return canonical_orientation(self.volume, self.model.config.plane).undo(array)

    def summary(self) -> str:
        """One line that says what was found, also when nothing was."""
        analysed = f"{self.n_slices} of {self.canonical_volume.array.shape[0]} slices analysed"
        what = "lesion" if self.model.config.task == "lesion" else "organ part"
        if not self.lesions:
            return f"no {what}{self._smallest()} above threshold, {analysed}"
        count = len(self.lesions)
        return f"{count} {what}{'s' if count > 1 else ''} above threshold, {analysed}"

    def _smallest(self) -> str:
        """Below which volume lesions were dropped, in words; '' where all were kept."""
        options, config = self.options, self.model.config
        minimum = config.minimum_volume_ml if options.minimum_volume_ml is None else options.minimum_volume_ml
        return f" of {minimum:g} ml or more" if minimum > 0 and self.volume.spacing_known else ""


class _Collector(Reporter):
    """Passes everything on and keeps the warnings for the report."""

    def __init__(self, shown: Reporter) -> None:
        self.shown, self.warnings = shown, []  # type: Reporter, list[str]

    def progress(self, done: int, total: int, stage: str) -> None:
        self.shown.progress(done, total, stage)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
        self.shown.warning(message)

    def note(self, message: str) -> None:
        self.shown.note(message)


@dataclass(frozen=True)
class FirstLook:
    """What is known of a volume before the network runs.

    Attributes:
        volume: as read, in its own frame.
        turned: canonical, values cleaned.
        organ: canonical.
        warnings: what the user should know.
        seconds: time of the organ step.
    """

    volume: Volume
    turned: Volume
    organ: OrganResult
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def look_at(volume: Volume, model: LoadedModel, options: SegmentOptions, reporter: Reporter | None = None) -> FirstLook:
    """Checks whether the model can work on the volume, and finds the organ.

    Raises:
        InputError: the volume cannot be worked on by this model.
    """
    told = _Collector(reporter or Reporter())
    seconds: dict[str, float] = {}
    for note in (*volume.warnings, size_doubt(volume)):
        if note:
            told.warning(note)
    _check_match(volume, model, told)
    check_plane(volume, model.config.plane)
    turned, notes = clean_values(canonical(volume, model.config.plane)[0])
    for note in notes:
        told.warning(note)
    check_intensity(turned, model.config)
    organ = _Stopwatch(seconds)("organ", lambda: _organ(turned, model, options, told))
    return FirstLook(volume, turned, organ, tuple(told.warnings), seconds)


def segment_volume(
    volume: Volume,
    model: LoadedModel,
    options: SegmentOptions,
    reporter: Reporter | None = None,
    look: FirstLook | None = None,
) -> CaseResult:
    """Segments a volume.

    Args:
        volume: as read, in its own frame.
        model: a lesion or organ model.
        options: device, level, organ request, threshold.
        reporter: progress and warnings.
        look: of the same volume, model, device and organ request, where it was taken before.

    Raises:
        InputError: the volume cannot be worked on by this model.
    """
    config = model.config
    if look is None:
        look = look_at(volume, model, options, reporter)
    told = _Collector(reporter or Reporter())
    told.warnings.extend(look.warnings)
    seconds = dict(look.seconds)
    stage = _Stopwatch(seconds)
    turned, organ = look.turned, look.organ
    threshold = config.threshold if options.threshold is None else options.threshold
    # A slice leaves the network early where its outline at this very threshold is decided.
    preparation = stage("crop", lambda: prepare(turned, organ.mask, replace(config, threshold=threshold)))
    run = stage(
        "network",
        lambda: run_network(
            preparation,
            model,
            device=options.device,
            level=options.level,
            batch_size=options.batch_size,
            engine=options.engine,
            cases_ahead=options.cases_ahead,
            neighbours=options.neighbours,
            reporter=told,
        ),
    )
    # Choosing happens once per model and machine; it is no property of the case.
    seconds["engine"], seconds["network"] = run.choosing_s, seconds["network"] - run.choosing_s
    probability, disagreement = run.probability, run.disagreement
    minimum = config.minimum_volume_ml if options.minimum_volume_ml is None else options.minimum_volume_ml
    labels, components = stage("lesions", lambda: lesion_mask(probability, threshold, turned, minimum))
    names = [c.name for c in config.conditions]
    lesions = stage("lesions", lambda: measure_lesions(labels, components, probability, disagreement, turned, names))
    return CaseResult(
        volume=volume,
        canonical_volume=turned,
        model=model,
        options=options,
        organ=organ,
        preparation=preparation,
        probability=probability,
        disagreement=disagreement,
        labels=labels,
        components=components,
        lesions=tuple(lesions),
        threshold=threshold,
        level=run.level,
        device=run.device,
        n_slices=int(probability.shape[1]),
        engine=run.engine,
        slices_by_level=run.slices_by_level,
        neighbours=run.neighbours,
        seconds=seconds,
        warnings=tuple(told.warnings),
    )


def _organ(volume: Volume, model: LoadedModel, options: SegmentOptions, reporter: Reporter) -> OrganResult:
    config = model.config
    if config.task == "organ" and options.organ == "auto":
        return OrganResult(np.ones(volume.array.shape, bool), "whole", 1.0)
    device = str(choose_device(options.device))
    return find_organ(
        replace(volume, modality=volume.modality or config.modality),
        config.organ,
        request=options.organ,
        device=device,
        reporter=reporter,
        intensity=config.intensity,
    )


def _check_match(volume: Volume, model: LoadedModel, reporter: Reporter) -> None:
    """Says what does not fit between image and model; HU and plane are refused elsewhere."""
    config = model.config
    if volume.modality and volume.modality != config.modality:
        reporter.warning(
            f"The image is {volume.modality}, model '{config.name}' was made for {config.modality}; the result means little."
        )
    if config.sequence and volume.description and config.sequence.lower() not in volume.description.lower():
        reporter.warning(
            f"Model '{config.name}' was made for {config.sequence}; the series is called '{volume.description}'."
        )


class _Stopwatch:
    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds

    def __call__(self, name: str, work: Callable[[], _T]) -> _T:
        started = time.perf_counter()
        result = work()
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started
        return result
