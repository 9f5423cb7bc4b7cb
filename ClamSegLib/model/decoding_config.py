"""The parts of a model's configuration that say how its answer becomes a probability."""

from __future__ import annotations

from dataclasses import dataclass

from ClamSegLib.model.network_config import require


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
        normal_share: a pixel counts as lesion where its evidence lies above this share of the pixels of normal slices,
        slice_share: above this share of the slice's peak,
        volume_share: and above this share of the highest peak of the volume.
        peak_share: the peak is the mean of so many of the organ's strongest pixels; less for smaller lesions.
        strong_share: diseased slices whose peak lies below this share of the peaks of normal slices teach nothing pixel by
            pixel; 0: all teach.
        normal_limit: evidence below which most pixels of normal training slices lie; written by the training.
        sha256: of normative.safetensors; written by the training.
    """

    frame: str = "crop"
    size: int = 64
    nodes: int = 25
    standardised: str = "volume"
    compressed: bool = False
    smoothing: float = 0.7
    normal_share: float = 0.93
    slice_share: float = 0.3
    volume_share: float = 0.2
    peak_share: float = 0.02
    strong_share: float = 0.0
    normal_limit: float = 0.0
    sha256: str = ""

    def __post_init__(self) -> None:
        for name, words in {"frame": ("crop", "box"), "standardised": ("volume", "slice")}.items():
            value = getattr(self, name)
            require(value in words, f"normative {name} '{value}' must be one of {', '.join(words)}.")
        ranges = {"size": (16, 96), "nodes": (1, 25), "smoothing": (0.1, 8), "normal_share": (0.5, 0.9999)}
        ranges |= dict.fromkeys(("slice_share", "volume_share", "strong_share"), (0.0, 0.99))
        for name, (low, high) in {**ranges, "peak_share": (1e-4, 0.5)}.items():
            value = getattr(self, name)
            require(low <= value <= high, f"normative {name} {value} must be {low} to {high}.")


@dataclass(frozen=True)
class VolumeEvidenceConfig:
    """How a network's log odds and the normative map of the whole volume are weighed (decoding/volume_evidence.py).

    Attributes:
        weight: of the map's log odds beside the network's.
        parts_share: parts that the map outlines are dropped where the network gives them less than this share of the strongest part.
        calibration: shift and scale of the sum per condition, as for the network alone; written by the training.
    """

    weight: float = 0.5
    parts_share: float = 0.1
    calibration: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def __post_init__(self) -> None:
        require(0 < self.weight <= 10, f"volume_evidence weight {self.weight} must be above 0 and at most 10.")
        require(0 <= self.parts_share <= 1, f"volume_evidence parts_share {self.parts_share} must be 0 to 1.")
        require(all(scale > 0 for _, scale in self.calibration), "volume_evidence needs scales above 0.")


@dataclass(frozen=True)
class RefinementConfig:
    """How maps of models made before objective normative are sharpened by the image itself (decoding/refinement.py).

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
        require(self.low < self.high, f"refinement low {self.low} must be below high {self.high}.")
        bins = {len(table) for table in self.value_log_ratio}
        require(bins == {96} and len(self.limit) == len(self.value_log_ratio), "refinement needs 96 numbers each.")
        shares = (self.peak_share, self.volume_peak_share)
        require(all(0 <= share < 1 for share in shares), "refinement peak_share and volume_peak_share must be 0 to 1.")
