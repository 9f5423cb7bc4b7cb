"""What a model is: frozen dataclasses that are written as JSON beside the weights (config_json.py)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ClamSegLib.model.decoding_config import NormativeConfig, RefinementConfig, VolumeEvidenceConfig
from ClamSegLib.model.network_config import NetworkConfig as NetworkConfig  # noqa: PLC0414 - given on from here
from ClamSegLib.model.network_config import require

# 2: branches of a twin, which version 1 calls shells.
FORMAT_VERSION = 2
PLANES = ("axial", "coronal", "sagittal")
MODALITIES = ("CT", "MR", "XR")


def names_non_commercial(licence: str) -> bool:
    """Whether a licence says NC in its name, as those of Creative Commons do."""
    return "NC" in re.split(r"[\s-]+", licence.upper())


def _require_colour(colour: tuple[int, int, int]) -> None:
    require(all(0 <= value <= 255 for value in colour), f"colour {list(colour)} must be three numbers of 0 to 255.")


@dataclass(frozen=True)
class IntensityConfig:
    """How values become network input.

    Attributes:
        kind: 'window_hu': low..high HU become 0..1 in 256 steps, so that a CT and its windowed 8-bit slices are the
            same input; 'organ_robust': minus the median inside the organ, divided by the spread inside the organ
            (1.4826 x median absolute deviation), both per volume, clipped to low..high of that unit.
        low: lower end, in HU or in spreads.
        high: upper end.
    """

    kind: str = "organ_robust"
    low: float = -4.0
    high: float = 8.0

    def __post_init__(self) -> None:
        require(
            self.kind in ("window_hu", "organ_robust"), f"intensity '{self.kind}' must be window_hu or organ_robust."
        )
        require(self.low < self.high, f"intensity low {self.low} must be below high {self.high}.")


@dataclass(frozen=True)
class OrganConfig:
    """How the organ is found and cropped.

    Attributes:
        method: 'lungs_ct', 'brain_mr', 'strip_skull' (a brain whose skull is still there), 'brain_ct', 'body', 'whole', or
            'model:NAME' (an organ model by its name).
        name: what the organ is called in reports and segments.
        margin_mm: margin around the organ's box where spacing is known.
        margin_fraction: margin as a share of the box's side where it is not.
        keep_background: false sets pixels outside the organ to the background value (docs/explanation.md says why not).
        terminology: Slicer's segment tag of the organ, as for a condition.
        colour: of the organ's segment, red, green, blue of 0 to 255.
        symmetric: left and right of the organ are alike, so that their difference tells something.
    """

    method: str = "body"
    name: str = "organ"
    margin_mm: float = 10.0
    margin_fraction: float = 0.06
    keep_background: bool = True
    terminology: str = ""
    colour: tuple[int, int, int] = (128, 174, 128)
    symmetric: bool = True

    def __post_init__(self) -> None:
        known = ("lungs_ct", "brain_mr", "strip_skull", "brain_ct", "body", "whole")
        require(
            self.method in known or self.method.startswith("model:"),
            f"organ method '{self.method}' must be one of {', '.join(known)} or model:NAME.",
        )
        require(
            0 <= self.margin_mm <= 200 and 0 <= self.margin_fraction <= 1, "organ margins must be 0..200 mm and 0..1."
        )
        _require_colour(self.colour)


@dataclass(frozen=True)
class Condition:
    """One thing the model outlines: a lesion class, or the organ of an organ model.

    Attributes:
        name: its id in folders, segments and tables.
        colour: of its segment, red, green, blue of 0 to 255.
        terminology: Slicer's segment tag, e.g. 'SCT^49755003^Morphologically Altered Structure~SCT^52988006^Lesion~^^'.
        display_name: what people read; '' shows the name.
    """

    name: str = "lesion"
    colour: tuple[int, int, int] = (230, 90, 30)
    terminology: str = ""
    display_name: str = ""

    def __post_init__(self) -> None:
        _require_colour(self.colour)

    @property
    def shown_name(self) -> str:
        """What people read."""
        return self.display_name or self.name


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to rebuild and run a model; stands as config.json in its folder.

    Attributes:
        name: its id: folder, command line, reports.
        display_name: what people read in lists; '' shows the name.
        task: 'lesion' or 'organ'.
        modality: 'CT', 'MR' or 'XR'.
        sequence: of an MR, e.g. 'FLAIR'; '' where it does not matter.
        body_part: for people who choose a model, e.g. 'chest'.
        plane: 'axial', 'coronal' or 'sagittal'; slices run along it.
        image_size: side of the crop in pixels.
        network: architecture, see below.
        intensity: how values become network input, see below.
        organ: how the organ is found and cropped, see below.
        conditions: what is outlined, one per class but the background, see below.
        odds_normal: o_N per branch, head (level 1 first) and condition: the median odds lesion : background on
            normal validation pixels. Empty for organ models.
        head_weights: weight of each head, level 1 first, in the mean of log odds ratios; running at level L
            uses the first L, renormalised.
        threshold: cut on P_L that makes the mask.
        minimum_volume_ml: smaller lesions are left out.
        minimum_network_pixels: the same where no ml are known, in a picture or without spacing: in pixels of the network's own grid, in
            one slice. Below 2 x 2 of them nothing can be resolved (sampling theorem).
        refinement: of models made before objective normative: how maps are sharpened by the image; no training writes it.
        normative: what normal tissue looks like; the network then sees the image and how it differs from that.
        calibration: shift and scale of the mean log odds per condition: P_L is sigmoid(scale * (log odds - shift)).
            Empty where odds_normal decides.
        volume_evidence: how the normative map of the whole volume is weighed beside the network; None: the network alone.
        slice_smoothing: evidence is averaged over neighbouring slices (decoding/slice_smoothing.py), because held-out
            image labels said that it helps.
        default_level: the level that runs where none is asked for: the shallowest whose outlines hold; None: the deepest.
        licence: of the model, named as SPDX does, e.g. 'CC-BY-NC-SA-4.0'.
        licence_file: file beside the weights that holds the licence's text; '' for licence.md, where there is one.
        non_commercial: the licence forbids commercial use, which whoever uses the model confirms once.
        weights_sha256: of weights.safetensors; written by the training.
        format_version: of the model folder; written by the training.
    """

    name: str
    task: str = "lesion"
    modality: str = "MR"
    sequence: str = ""
    body_part: str = ""
    plane: str = "axial"
    image_size: int = 256
    network: NetworkConfig = field(default_factory=NetworkConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    organ: OrganConfig = field(default_factory=OrganConfig)
    conditions: tuple[Condition, ...] = (Condition(),)
    odds_normal: tuple[tuple[tuple[float, ...], ...], ...] = ()
    head_weights: tuple[float, ...] = ()
    threshold: float = 0.5
    minimum_volume_ml: float = 0.0
    minimum_network_pixels: float = 4.0
    refinement: RefinementConfig | None = None
    normative: NormativeConfig | None = None
    calibration: tuple[tuple[float, float], ...] = ()
    volume_evidence: VolumeEvidenceConfig | None = None
    slice_smoothing: bool = field(default=False, metadata={"formerly": "neighbours"})
    default_level: int | None = None
    licence: str = ""
    licence_file: str = ""
    non_commercial: bool = False
    display_name: str = ""
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        require(
            self.format_version <= FORMAT_VERSION,
            f"The model has format version {self.format_version}, this ClamSeg reads up to {FORMAT_VERSION}; update ClamSeg.",
        )
        require(self.task in ("lesion", "organ"), f"task '{self.task}' must be lesion or organ.")
        require(self.modality in MODALITIES, f"modality '{self.modality}' must be one of {', '.join(MODALITIES)}.")
        require(self.plane in PLANES, f"plane '{self.plane}' must be one of {', '.join(PLANES)}.")
        step = 2**self.network.depth
        require(
            16 <= self.image_size <= 4096 and self.image_size % step == 0,
            f"image_size {self.image_size} must be 16..4096 and a multiple of {step} for {self.network.depth} levels.",
        )
        require(
            len(self.conditions) == self.network.classes - 1,
            f"{len(self.conditions)} conditions do not fit {self.network.classes} classes (background is one).",
        )
        require(
            self.default_level is None or 1 <= self.default_level <= self.network.heads,
            f"default_level {self.default_level} must be null or 1 to {self.network.heads}.",
        )
        require(bool(self.licence) or not self.non_commercial, "a non_commercial model must name its licence.")
        require(
            Path(self.licence_file).name == self.licence_file,
            f"licence_file '{self.licence_file}' must be the name of a file beside the weights, without a folder.",
        )
        require(0 < self.threshold < 1, f"threshold {self.threshold} must lie between 0 and 1.")
        require(self.minimum_volume_ml >= 0, f"minimum_volume_ml {self.minimum_volume_ml} must be at least 0.")
        smallest = self.minimum_network_pixels
        require(smallest >= 0, f"minimum_network_pixels {smallest} must be at least 0.")
        if self.task == "lesion" and self.odds_normal:
            shape_fits = len(self.odds_normal) == self.network.branches and all(
                len(branch) == self.network.heads and all(len(head) == len(self.conditions) for head in branch)
                for branch in self.odds_normal
            )
            require(shape_fits, "odds_normal must hold one number per branch, head and condition.")
            odds = [value for branch in self.odds_normal for head in branch for value in head]
            require(all(value >= 0 for value in odds), "odds_normal must hold numbers not below 0.")
        channels, came = 1 if self.normative is None else 3, self.network.in_channels
        require(came == channels, f"in_channels {came} must be 3 with a normative map, else 1.")
        require(channels == 1 or self.task == "lesion", "normative belongs to lesion models only.")
        fits = len(self.calibration) in (0, len(self.conditions)) and all(scale > 0 for _, scale in self.calibration)
        require(fits, "calibration must hold a shift and a scale above 0 per condition.")
        weighed = self.volume_evidence
        fits = weighed is None or (bool(self.calibration) and len(weighed.calibration) == len(self.conditions))
        require(fits, "volume_evidence must hold a shift and a scale per condition, beside those of calibration.")
        require(weighed is None or self.normative is not None, "volume_evidence needs a normative map.")
        require(
            self.refinement is None or len(self.refinement.limit) == len(self.conditions),
            "refinement must hold one table per condition.",
        )
        require(
            not self.head_weights
            or (
                len(self.head_weights) == self.network.heads
                and all(weight >= 0 for weight in self.head_weights)
                and sum(self.head_weights) > 0
            ),
            f"head_weights must hold {self.network.heads} numbers, one per head, not below 0 and not all 0.",
        )

    def level_of(self, asked: int | None) -> int:
        """The level that runs: the one asked for, else the model's default, else the deepest.

        Raises:
            InputError: the model has no such level, or none of its heads counts at it.
        """
        deepest = self.network.heads
        level = asked or self.default_level or deepest
        require(1 <= level <= deepest, f"Level {level} does not exist; model '{self.name}' has levels 1 to {deepest}.")
        weights = self.head_weights
        require(
            self.task == "organ" or not weights or any(weights[:level]),
            f"Model '{self.name}' gives every head of level {level} the weight 0, so nothing can be told there; "
            f"its head_weights are {list(weights)}. Choose a deeper level.",
        )
        return level

    @property
    def is_non_commercial(self) -> bool:
        """Whether commercial use is forbidden, by the flag or by the NC in the licence's name."""
        return self.non_commercial or names_non_commercial(self.licence)

    @property
    def shown_name(self) -> str:
        """What people read."""
        return self.display_name or self.name
