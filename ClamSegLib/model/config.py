"""What a model is: frozen dataclasses that are written as JSON beside the weights (config_json.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ClamSegLib.system.errors import InputError

# 2: branches of a twin, which version 1 calls shells.
FORMAT_VERSION = 2
PLANES = ("axial", "coronal", "sagittal")
MODALITIES = ("CT", "MR", "XR")
NETWORKS = ("unetplusplus",)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _require_colour(colour: tuple[int, int, int]) -> None:
    _require(all(0 <= value <= 255 for value in colour), f"colour {list(colour)} must be three numbers of 0 to 255.")


@dataclass(frozen=True)
class NetworkConfig:
    """A twin of UNet++ networks (docs/explanation.md).

    Attributes:
        kind: 'unetplusplus'.
        features: channels of the backbone per level, shallow to deep; depth = len(features) - 1.
        kernel_sizes: odd kernel size of the convolutions per level, same length as features.
        repeat_levels: levels whose backbone node is followed by a second block of the same map size.
        in_channels: channels of the image.
        classes: background and conditions, at least 2.
        branches: networks trained together; 2 for the twin, 1 for an organ network.
    """

    features: tuple[int, ...] = (16, 32, 64, 128, 256)
    kernel_sizes: tuple[int, ...] = (3, 3, 3, 5, 5)
    repeat_levels: tuple[int, ...] = ()
    in_channels: int = 1
    classes: int = 2
    branches: int = field(default=2, metadata={"formerly": "shells"})
    kind: str = "unetplusplus"

    def __post_init__(self) -> None:
        depth = len(self.features) - 1
        _require(self.kind in NETWORKS, f"network kind '{self.kind}' must be one of {', '.join(NETWORKS)}.")
        _require(depth >= 1, f"features {self.features} gives no level; name at least two numbers.")
        _require(all(1 <= f <= 4096 for f in self.features), f"features {self.features} must lie in 1..4096.")
        _require(
            len(self.kernel_sizes) == len(self.features)
            and all(k % 2 == 1 and 1 <= k <= 15 for k in self.kernel_sizes),
            f"kernel_sizes {self.kernel_sizes} must be {len(self.features)} odd numbers up to 15, one per level.",
        )
        repeats = self.repeat_levels
        _require(all(0 <= i <= depth for i in repeats), f"repeat_levels {repeats} must lie in 0..{depth}.")
        _require(2 <= self.classes <= 64, f"classes {self.classes} must be 2 to 64: background and conditions.")
        _require(
            self.branches in (1, 2) and self.in_channels >= 1, "branches must be 1 or 2 and in_channels at least 1."
        )

    @property
    def depth(self) -> int:
        """How often the image is halved."""
        return len(self.features) - 1

    @property
    def heads(self) -> int:
        """Number of heads; they are levels 1..heads, as many as the UNet++ is deep."""
        return self.depth


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
        _require(
            self.kind in ("window_hu", "organ_robust"), f"intensity '{self.kind}' must be window_hu or organ_robust."
        )
        _require(self.low < self.high, f"intensity low {self.low} must be below high {self.high}.")


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
        _require(
            self.method in known or self.method.startswith("model:"),
            f"organ method '{self.method}' must be one of {', '.join(known)} or model:NAME.",
        )
        _require(
            0 <= self.margin_mm <= 200 and 0 <= self.margin_fraction <= 1, "organ margins must be 0..200 mm and 0..1."
        )
        _require_colour(self.colour)


@dataclass(frozen=True)
class NormativeConfig:
    """What normal tissue is compared with (organ/normative_map.py); the map stands beside the weights.

    Attributes:
        frame: how slices are brought above each other: 'crop' (as they are cropped) or 'box' (each slice by its organ's box).
        size: side of the map in pixels.
        nodes: heights of the organ at which the map is kept; 1 for single pictures.
        standardised: values get median 0 and spread 1 inside the organ of the 'volume', or of each 'slice'.
        compressed: values far from the median are brought nearer (arcsinh), for organs with bright vessels.
        smoothing: width of the smoothing of the evidence, in pixels of 64.
        normal_limit: evidence below which most pixels of normal training slices lie; written by the training.
        sha256: of normative.safetensors; written by the training.
    """

    frame: str = "crop"
    size: int = 64
    nodes: int = 25
    standardised: str = "volume"
    compressed: bool = False
    smoothing: float = 0.7
    normal_limit: float = 0.0
    sha256: str = ""

    def __post_init__(self) -> None:
        for name, words in {"frame": ("crop", "box"), "standardised": ("volume", "slice")}.items():
            value = getattr(self, name)
            _require(value in words, f"normative {name} '{value}' must be one of {', '.join(words)}.")
        for name, (low, high) in {"size": (16, 96), "nodes": (1, 25), "smoothing": (0.1, 8)}.items():
            value = getattr(self, name)
            _require(low <= value <= high, f"normative {name} {value} must be {low} to {high}.")


@dataclass(frozen=True)
class RefinementConfig:
    """How the maps of the network are sharpened by the image itself (decoding/refinement.py), learned without masks.

    Attributes:
        low: network input at the lower end of the table.
        high: at its upper end.
        value_log_ratio: (K, bins) how much more often a value occurs in diseased than in normal slices, as a logarithm.
        limit: (K,) what is taken off the sum of logarithms, so that P_L = 0.5 says the same as before.
        peak_share: P_L = 0.5 lies no lower than at this share of the strongest evidence of the slice; 0: anywhere.
        volume_peak_share: and of the strongest evidence of the whole volume.
    """

    low: float
    high: float
    value_log_ratio: tuple[tuple[float, ...], ...]
    limit: tuple[float, ...]
    peak_share: float = 0.0
    volume_peak_share: float = 0.0

    def __post_init__(self) -> None:
        _require(self.low < self.high, f"refinement low {self.low} must be below high {self.high}.")
        bins = {len(table) for table in self.value_log_ratio}
        _require(bins == {96} and len(self.limit) == len(self.value_log_ratio), "refinement needs 96 numbers each.")
        shares = (self.peak_share, self.volume_peak_share)
        _require(all(0 <= share < 1 for share in shares), "refinement peak_share and volume_peak_share must be 0 to 1.")


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
        refinement: how maps are sharpened by the image; None leaves them as the network gives them.
        normative: what normal tissue looks like; the network then sees the image and how it differs from that.
        calibration: shift and scale of the mean log odds per condition: P_L is sigmoid(scale * (log odds - shift)).
            Empty where odds_normal decides.
        slice_smoothing: evidence is averaged over neighbouring slices (decoding/slice_smoothing.py), because held-out
            image labels said that it helps.
        default_level: the level that runs where none is asked for: the shallowest whose outlines hold; None: the deepest.
        licence: of the model.
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
    refinement: RefinementConfig | None = None
    normative: NormativeConfig | None = None
    calibration: tuple[tuple[float, float], ...] = ()
    slice_smoothing: bool = field(default=False, metadata={"formerly": "neighbours"})
    default_level: int | None = None
    licence: str = ""
    display_name: str = ""
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        _require(
            self.format_version <= FORMAT_VERSION,
            f"The model has format version {self.format_version}, this ClamSeg reads up to {FORMAT_VERSION}; update ClamSeg.",
        )
        _require(self.task in ("lesion", "organ"), f"task '{self.task}' must be lesion or organ.")
        _require(self.modality in MODALITIES, f"modality '{self.modality}' must be one of {', '.join(MODALITIES)}.")
        _require(self.plane in PLANES, f"plane '{self.plane}' must be one of {', '.join(PLANES)}.")
        step = 2**self.network.depth
        _require(
            16 <= self.image_size <= 4096 and self.image_size % step == 0,
            f"image_size {self.image_size} must be 16..4096 and a multiple of {step} for {self.network.depth} levels.",
        )
        _require(
            len(self.conditions) == self.network.classes - 1,
            f"{len(self.conditions)} conditions do not fit {self.network.classes} classes (background is one).",
        )
        _require(
            self.default_level is None or 1 <= self.default_level <= self.network.heads,
            f"default_level {self.default_level} must be null or 1 to {self.network.heads}.",
        )
        _require(0 < self.threshold < 1, f"threshold {self.threshold} must lie between 0 and 1.")
        _require(self.minimum_volume_ml >= 0, f"minimum_volume_ml {self.minimum_volume_ml} must be at least 0.")
        if self.task == "lesion" and self.odds_normal:
            shape_fits = len(self.odds_normal) == self.network.branches and all(
                len(branch) == self.network.heads and all(len(head) == len(self.conditions) for head in branch)
                for branch in self.odds_normal
            )
            _require(shape_fits, "odds_normal must hold one number per branch, head and condition.")
            odds = [value for branch in self.odds_normal for head in branch for value in head]
            _require(all(value >= 0 for value in odds), "odds_normal must hold numbers not below 0.")
        channels, came = 1 if self.normative is None else 3, self.network.in_channels
        _require(came == channels, f"in_channels {came} must be 3 with a normative map, else 1.")
        _require(channels == 1 or self.task == "lesion", "normative belongs to lesion models only.")
        fits = len(self.calibration) in (0, len(self.conditions)) and all(scale > 0 for _, scale in self.calibration)
        _require(fits, "calibration must hold a shift and a scale above 0 per condition.")
        _require(
            self.refinement is None or len(self.refinement.limit) == len(self.conditions),
            "refinement must hold one table per condition.",
        )
        _require(
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
        _require(1 <= level <= deepest, f"Level {level} does not exist; model '{self.name}' has levels 1 to {deepest}.")
        weights = self.head_weights
        _require(
            self.task == "organ" or not weights or any(weights[:level]),
            f"Model '{self.name}' gives every head of level {level} the weight 0, so nothing can be told there; "
            f"its head_weights are {list(weights)}. Choose a deeper level.",
        )
        return level

    @property
    def shown_name(self) -> str:
        """What people read."""
        return self.display_name or self.name
