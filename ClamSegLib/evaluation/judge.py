"""What the maps of models and baselines are worth on a case: figures that can be added, whichever process found them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.case_warnings import CaseWarnings
from ClamSegLib.datasets.cases import UNKNOWN, Case, read_cases, searched
from ClamSegLib.datasets.crop_cache import heights_of
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.evaluation.baselines import GradCam, intensity_map, normative_map
from ClamSegLib.evaluation.montage import Example, example_of
from ClamSegLib.evaluation.reliability import Reliability
from ClamSegLib.evaluation.scoreboard import Scoreboard
from ClamSegLib.imaging.mask_files import read_mask_plane
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import Preparation, normalise, prepare
from ClamSegLib.segmentation.lesions import above_threshold
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.run_network import run_network
from ClamSegLib.system.outcome import Outcome

# The strongest condition's map, and the disagreement of the branches where there are any.
Maps = Callable[[Preparation], tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate; `split` '' takes all rows, `level` and `slice_smoothing` None do as each model says."""

    split: str = ""
    baselines: bool = False
    device: str = "auto"
    level: int | None = None
    batch_size: int = 8
    seed: int = 0
    slice_smoothing: bool | None = None


@dataclass(frozen=True)
class _Method:
    """A row of the table: its name and threshold, its model (preparation), its maps, and whether they are a model's own."""

    name: str
    threshold: float | None
    model: LoadedModel
    maps: Maps
    is_model: bool = True


@dataclass
class Judged:
    """What was found of some cases: by method figures and, of models that find lesions, reliability; slices to look at."""

    boards: list[Scoreboard]
    reliabilities: list[Reliability | None]
    examples: list[Example]
    cases: int = 0

    def add(self, part: Judged, numbers: Sequence[int], place: int) -> None:
        """Adds what was found of a part of the rows.

        Args:
            part: its figures count its rows from 0.
            numbers: of its rows.
            place: of the part among all.
        """
        for board, other in zip(self.boards, part.boards, strict=True):
            other.slices = [replace(figures, row=numbers[figures.row]) for figures in other.slices]
            board.add(other)
        for mine, others in zip(self.reliabilities, part.reliabilities, strict=True):
            if mine is not None and others is not None:
                mine.add(others)
        self.examples += [replace(example, place=(place, k)) for k, example in enumerate(part.examples)]
        self.cases += part.cases


# Told of a part: its place among all, and what was found or, where that failed, what became of it.
Found = Callable[[int, Judged | Outcome], None]


class Judge:
    """Models and baselines.

    Args:
        models: the first is the one evaluated.
        options: of the evaluation.
        grad_cam_scale: of `scale_of`, where the first case is not among those that are judged here.
    """

    def __init__(
        self, models: Sequence[LoadedModel], options: EvaluationOptions, grad_cam_scale: float | None = None
    ) -> None:
        self._plane = models[0].config.plane
        self._cam: GradCam | None = None
        self._methods = [_Method(m.config.name, m.config.threshold, m, _maps_of(m, options)) for m in models]
        first = models[0]
        if options.baselines and first.config.task == "lesion":
            self._cam = GradCam(first.twin, grad_cam_scale)
            others = {"intensity threshold": intensity_map, "normative map, no network": normative_map}
            if first.normative is None:
                del others["normative map, no network"]
            for name, maps in (others | {"Grad-CAM": self._cam.maps}).items():
                self._methods.append(_Method(name, None, first, _alone(maps), is_model=False))

    def nothing(self) -> Judged:
        """What was found before the first case."""
        return Judged(
            [Scoreboard(m.name, m.threshold) for m in self._methods],
            [
                Reliability(m.model.config.threshold) if m.is_model and m.model.config.task == "lesion" else None
                for m in self._methods
            ],
            [],
        )

    def judge(self, part: LabelledFolder, warnings: CaseWarnings) -> Judged:
        """Judges all rows of a part of a folder.

        Raises:
            InputError: an image that cannot be read or worked on.
        """
        judged = self.nothing()
        with reading_apart():
            for case in read_cases(part, range(len(part.rows)), plane=self._plane):
                judged.cases += 1
                warnings.about(part.rows[case.slice_rows[0][1]].relative_path)
                prepared: dict[int, Preparation] = {}
                for number, method in enumerate(self._methods):
                    key = id(method.model)
                    if key not in prepared:
                        prepared[key] = _prepare(part, case, method.model, warnings)
                    shown, disagreement = method.maps(prepared[key])
                    own = judged.boards[number], judged.reliabilities[number]
                    found = _score_case(part, case, method, *own, prepared[key], shown, disagreement)
                    if number == 0:
                        judged.examples += found
        return judged

    def scale_of(self, part: LabelledFolder, warnings: CaseWarnings) -> float | None:
        """The scale of Grad-CAM's maps, by the first case of the first part; None without Grad-CAM."""
        if self._cam is not None:
            with reading_apart():
                case = next(read_cases(part, range(len(part.rows)), plane=self._plane))
                self._cam.maps(_prepare(part, case, self._methods[0].model, warnings))
        return None if self._cam is None else self._cam.scale


def _prepare(part: LabelledFolder, case: Case, model: LoadedModel, warnings: CaseWarnings) -> Preparation:
    volume, organ = searched(part, case, model.config, warnings)
    return prepare(volume, organ, model.config, model.normative, heights_of(case, organ))


def _maps_of(model: LoadedModel, options: EvaluationOptions) -> Maps:
    wanted = SegmentOptions(
        device=options.device,
        level=options.level,
        batch_size=options.batch_size,
        engine="reference",
        slice_smoothing=options.slice_smoothing,
    )

    def maps(preparation: Preparation) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        run = run_network(preparation, model, wanted, with_disagreement=True)
        assert run.disagreement is not None
        return np.asarray(run.probability.max(axis=0)), np.asarray(run.disagreement.max(axis=0))

    return maps


def _alone(maps: Callable[[Preparation], NDArray[np.uint8]]) -> Maps:
    return lambda preparation: (maps(preparation), None)


def _score_case(
    folder: LabelledFolder,
    case: Case,
    method: _Method,
    board: Scoreboard,
    reliability: Reliability | None,
    preparation: Preparation,
    shown: NDArray[np.uint8],
    disagreement: NDArray[np.uint8] | None,
) -> list[Example]:
    examples: list[Example] = []
    board.spacing_known = case.volume.spacing_known
    is_organ = method.model.config.task == "organ"
    # Boxed organs count pixels inside the crop; the organ itself is the support of lesion figures.
    references = _references(case, is_organ)
    for k, number in case.slice_rows:
        row = folder.rows[number]
        reference = references[k]
        boxes = None
        if row.lesion_mask_kind == "box" and row.lesion_mask_path is not None and case.volume.is_picture:
            boxes, _ = read_mask_plane(row.lesion_mask_path, case.volume.array.shape[1:], row.image_path)
        figures = board.add_slice(
            shown[k],
            preparation.mask[k],
            reference,
            boxes,
            patient=case.patient_id,
            row=number,
            diseased=row.label > 0,
            pixel_mm=case.volume.pixel_mm if case.volume.spacing_known else (1.0, 1.0),
        )
        if reliability is not None and disagreement is not None:
            reliability.add_slice(
                shown[k],
                disagreement[k],
                preparation.mask[k],
                reference,
                patient=case.patient_id,
                diseased=row.label > 0,
                dice=figures.dice,
            )
        grey, inside = normalise(case.volume.array[k], preparation.scale), np.where(preparation.mask[k], shown[k], 0)
        found = above_threshold(inside, board.threshold or 0.5)
        example = example_of(figures, row.relative_path, grey, inside, found, reference, boxes)
        examples += [] if example is None else [example]
    used = [k for k, _ in case.slice_rows if references[k] is not None]
    if len(used) == len(case.slice_rows) and board.threshold is not None and len(used) > 1:
        found = above_threshold(shown[used], board.threshold) & preparation.mask[used]
        board.add_volume(case.patient_id, found, np.stack([r for r in (references[k] for k in used) if r is not None]))
    return examples


def _references(case: Case, is_organ: bool) -> list[NDArray[np.bool_] | None]:
    """Outline per slice of the stack, None where unknown."""
    if is_organ:
        masks = case.organ_mask
        return [None] * case.volume.array.shape[0] if masks is None else [np.asarray(m) for m in masks]
    lesion = case.lesion
    if lesion is None:
        return [None] * case.volume.array.shape[0]
    return [None if (plane == UNKNOWN).all() else np.asarray((plane > 0) & (plane != UNKNOWN)) for plane in lesion]
