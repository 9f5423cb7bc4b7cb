"""A volume through a model: organ, crop, both branches in batches, probability pasted back, lesions measured.

Maps are uint8 in steps of 1/255 from the moment they leave the network, so memory is that of the volume and
every front sees the same numbers: a pixel is lesion when its stored value / 255 lies above the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Array, Volume, canonical_orientation
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.organ.crop_and_normalise import Preparation, prepare
from ClamSegLib.organ.find_organ import OrganResult
from ClamSegLib.organ.lungs_xray import doubt_of_outline
from ClamSegLib.segmentation.finding import Search, finding_words, organ_doubt
from ClamSegLib.segmentation.first_slices import FirstLook, look_first
from ClamSegLib.segmentation.inspection import Inspection, inspect
from ClamSegLib.segmentation.lesions import Lesion, has_ml, lesion_mask, measure_lesions
from ClamSegLib.segmentation.missing_slices import emptied, lacking_words
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.run_network import run_network
from ClamSegLib.system.progress import KeepWarnings, Reporter, Stopwatch

if TYPE_CHECKING:
    from ClamSegLib.model.checkpoint import LoadedModel


@dataclass(frozen=True)
class CaseResult:
    """A segmented volume. All arrays lie in the volume's own frame unless said.

    Attributes:
        volume: as read.
        canonical_volume: the same turned to the model's plane; lesions and pictures use its slices.
        organ: in the canonical frame.
        probability: (K, slice, row, column) uint8, P_L in 1/255 steps, canonical.
        labels: (slice, row, column) uint8 condition numbers after clean-up, canonical.
        components: (slice, row, column) int32 lesion numbers, canonical.
        slice_smoothing: whether the evidence was averaged over neighbouring slices.
        engine: what computed, as report.json tells it.
        n_slices: slices analysed; always all that there are.
        seconds: time of each stage.
        outlined_doubt: what is wrong with the outline that an organ model gave, '' when nothing is.
    """

    volume: Volume
    canonical_volume: Volume
    model: LoadedModel
    options: SegmentOptions
    organ: OrganResult
    preparation: Preparation
    probability: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    components: NDArray[np.int32]
    lesions: tuple[Lesion, ...]
    threshold: float
    level: int
    device: str
    n_slices: int
    engine: dict[str, Any] = field(default_factory=dict)
    slice_smoothing: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    outlined_doubt: str = ""

    def in_own_frame(self, array: Array) -> Array:
        """A canonical (slice, row, column) array in the frame of the input file."""
        return canonical_orientation(self.volume, self.model.config.plane).undo(array)

    @property
    def smallest(self) -> dict[str, float]:
        """Smaller lesions are not listed: by `ml` where they are known, else by `px`. Both, for who knows the scan otherwise."""
        return {"ml": smallest_ml(self.model.config, self.options), "px": smallest_px(self.preparation, self.options)}

    @property
    def search(self) -> Search:
        """What was looked for, and where."""
        config, box = self.model.config, self.preparation.box
        n, rows, columns = self.canonical_volume.array.shape
        searched = (box.row_stop - box.row_start) * (box.column_stop - box.column_start)
        return Search(
            targets=tuple(condition.shown_name for condition in config.conditions),
            n_slices=int(n),
            analysed=self.n_slices,
            lacking="; ".join(filter(None, (lacking_words(self.volume, config.plane)[1], self.volume.stack_doubt))),
            share=min(1.0, searched / (rows * columns)) if self.volume.is_picture else None,
            smallest_ml=self.smallest["ml"] if has_ml(self.volume) else 0.0,
            smallest_px=0 if has_ml(self.volume) else int(self.smallest["px"]),
            doubt=organ_doubt(self.organ, config, self.outlined_doubt),
            is_organ=config.task == "organ",
        )

    def summary(self) -> str:
        """One line that says what was found, also when nothing was."""
        return finding_words(self.search, len(self.lesions))


def smallest_ml(config: ModelConfig, options: SegmentOptions) -> float:
    """Ml of the smallest lesion that is listed where they are known."""
    return config.minimum_volume_ml if options.minimum_volume_ml is None else options.minimum_volume_ml


def smallest_px(preparation: Preparation, options: SegmentOptions) -> int:
    """Pixels of the smallest lesion that is listed where no ml are known; 0 where all are."""
    least = options.minimum_area_px
    if least is None:
        least = preparation.config.minimum_network_pixels * preparation.network_pixel_px
    return math.ceil(least) if least > 1 else 0


def segment_volume(
    volume: Volume,
    model: LoadedModel,
    options: SegmentOptions,
    reporter: Reporter | None = None,
    inspection: Inspection | None = None,
    look: FirstLook | None = None,
) -> CaseResult:
    """Segments a volume.

    Args:
        volume: as read, in its own frame.
        model: a lesion or organ model.
        options: how.
        reporter: progress and warnings.
        inspection: of the same volume, model, device and organ request, where there was one before.
        look: at some slices before the others; it changes nothing of the result.

    Raises:
        InputError: the volume cannot be worked on by this model, or the first look lies outside of it.
    """
    config = model.config
    if inspection is None:
        inspection = inspect(volume, model, options, reporter)
    told = KeepWarnings(reporter or Reporter(), inspection.warnings)
    stage = Stopwatch(inspection.seconds)
    turned, organ = inspection.turned, inspection.organ
    threshold = config.threshold if options.threshold is None else options.threshold
    with stage("crop"):
        preparation = prepare(turned, organ.mask, replace(config, threshold=threshold), model.normative)
    if look is not None:
        with stage("first look"):
            look_first(look, volume, preparation, model, options)
    with stage("network"):
        run = run_network(preparation, model, options, told)
    # Choosing happens once per model; it is no property of the case.
    stage.seconds["engine"], stage.seconds["network"] = run.choosing_s, stage.seconds["network"] - run.choosing_s
    with stage("lesions"):
        # What the network says of a slice that is not there is nothing anybody may see.
        probability = emptied(run.probability, volume, config.plane)
        organ = replace(organ, mask=emptied(organ.mask, volume, config.plane))
        fewest = smallest_px(preparation, options)
        labels, components = lesion_mask(probability, threshold, turned, smallest_ml(config, options), fewest)
        lesions = measure_lesions(labels, components, probability, turned, [c.name for c in config.conditions])
    doubt = doubt_of_outline(labels > 0, config) if config.task == "organ" else ""
    if doubt:
        told.warning(f"Organ: {doubt}.")
    return CaseResult(
        volume=volume,
        canonical_volume=turned,
        model=model,
        options=options,
        organ=organ,
        preparation=preparation,
        probability=probability,
        labels=labels,
        components=components,
        lesions=tuple(lesions),
        threshold=threshold,
        level=run.level,
        device=run.device,
        n_slices=int(probability.shape[1]) - lacking_words(volume, config.plane)[0],
        engine=run.engine,
        slice_smoothing=run.slice_smoothing,
        seconds=stage.seconds,
        warnings=tuple(told.warnings),
        outlined_doubt=doubt,
    )
