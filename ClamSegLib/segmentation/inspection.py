"""What is known of a scan before the network runs: whether the model can work on it, what is doubtful, where the organ lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ClamSegLib.imaging.volume import Volume, check_plane, looks_like_hu, size_doubt
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.organ.clean_values import clean_values
from ClamSegLib.organ.crop_and_normalise import check_intensity
from ClamSegLib.organ.find_organ import OrganResult, organ_of
from ClamSegLib.segmentation.missing_slices import bridged
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.system.device import choose_device
from ClamSegLib.system.progress import KeepWarnings, Reporter, Stopwatch

if TYPE_CHECKING:
    from ClamSegLib.model.checkpoint import LoadedModel
    from ClamSegLib.model.described_model import DescribedModel

# What DICOM headers call the parts that models name (PS3.16 annex L, and what stations write).
_PARTS = (
    ("chest", "thorax", "lung", "rib", "heart", "whole", "body", "torso"),
    ("head", "brain", "skull", "neuro", "whole", "body"),
    ("abdomen", "liver", "kidney", "pelvis", "whole", "body", "torso"),
    ("knee", "leg", "extremity"),
)


@dataclass(frozen=True)
class Inspection:
    """A volume before the network runs.

    Attributes:
        volume: as read, in its own frame.
        turned: canonical, values cleaned, a missing slice bridged by its neighbour.
        organ: canonical.
        warnings: what the user should know.
        seconds: time of the organ step.
    """

    volume: Volume
    turned: Volume
    organ: OrganResult
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def inspect(
    volume: Volume, model: LoadedModel | DescribedModel, options: SegmentOptions, reporter: Reporter | None = None
) -> Inspection:
    """Checks whether the model can work on the volume, and finds the organ; loads torch only where a network finds that.

    Raises:
        InputError: the volume cannot be worked on by this model.
    """
    told, stage = KeepWarnings(reporter or Reporter()), Stopwatch()
    for note in (*model.warnings, *volume.warnings, size_doubt(volume), *_doubts_of_match(volume, model.config)):
        if note:
            told.warning(note)
    check_plane(volume, model.config.plane)
    turned, notes = clean_values(bridged(volume, model.config.plane))
    for note in notes:
        told.warning(note)
    check_intensity(turned, model.config)
    with stage("organ"):
        device = str(choose_device(options.device)) if organ_needs_network(model.config, options) else "cpu"
        organ = organ_of(turned, model.config, request=options.organ, device=device, reporter=told)
    return Inspection(volume, turned, organ, tuple(told.warnings), stage.seconds)


def organ_needs_network(config: ModelConfig, options: SegmentOptions) -> bool:
    """Whether a network finds the organ, for which torch has to be there."""
    method = config.organ.method if options.organ == "auto" else options.organ
    return method.startswith("model:")


def _doubts_of_match(volume: Volume, config: ModelConfig) -> Iterator[str]:
    """What does not fit between image and model; HU and plane are refused elsewhere."""
    if volume.modality and volume.modality != config.modality:
        yield f"The image is {volume.modality}, model '{config.shown_name}' was made for {config.modality}; the result means little."
    untold = not volume.modality and not volume.is_picture  # the file does not tell what it shows
    if config.modality == "MR" and untold and looks_like_hu(float(volume.array.min()), float(volume.array.max())):
        yield f"The volume looks like CT, model '{config.shown_name}' was made for MRI; the result means little."
    if config.sequence and volume.description and config.sequence.lower() not in volume.description.lower():
        yield f"Model '{config.shown_name}' was made for {config.sequence}; the series is called '{volume.description}'."
    part = volume.body_part
    if config.body_part and part and not _same_part(config.body_part, part):
        yield f"Model '{config.shown_name}' was made for the {config.body_part}; the header calls the body part '{part}'."


def _same_part(of_model: str, in_header: str) -> bool:
    """Whether the header's BodyPartExamined is the model's part, or says nothing of it."""
    for words in _PARTS:
        if any(word in of_model.lower() for word in words):
            return any(word in in_header for word in words)
    return True  # a part that is not in the list
