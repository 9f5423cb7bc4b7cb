"""How a model runs on a volume: one set of options with its own checks, for the library, command line, worker and page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ClamSegLib.engines.engine import ENGINES
from ClamSegLib.system.errors import InputError


@dataclass(frozen=True)
class SegmentOptions:
    """What may be asked of a run; built from JSON by `config_json.from_json`.

    Attributes:
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        level: 1..depth; None for the model's own.
        organ: 'auto', 'none', a method, 'model:NAME', or the path of a mask (`find_organ`).
        threshold: of P_L, above 0 and below 1; None for the model's.
        batch_size: slices at once; None leaves it to the engine.
        minimum_volume_ml: smaller lesions are dropped; None for the model's.
        minimum_area_px: the same where no ml are known, in pixels of the scan; None for the model's.
        engine: of `engine.ENGINES`; 'reference' is the network as trained, in float32.
        slice_smoothing: average the evidence over neighbouring slices; None as the model says.

    Raises:
        InputError: a value out of range.
    """

    device: str = "auto"
    level: int | None = None
    organ: str = "auto"
    threshold: float | None = None
    batch_size: int | None = None
    minimum_volume_ml: float | None = None
    minimum_area_px: float | None = None
    engine: str = "auto"
    slice_smoothing: bool | None = None

    def __post_init__(self) -> None:
        if self.level is not None and self.level < 1:
            raise InputError(f"level {self.level} must be 1 to the model's depth.")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"threshold {self.threshold} must lie between 0 and 1.")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch size {self.batch_size} must be at least 1.")
        if self.minimum_volume_ml is not None and not 0 <= self.minimum_volume_ml < math.inf:
            raise InputError(f"minimum volume {self.minimum_volume_ml:g} ml must be 0 or a larger number.")
        if self.minimum_area_px is not None and not 0 <= self.minimum_area_px < math.inf:
            raise InputError(f"minimum area {self.minimum_area_px:g} pixels must be 0 or a larger number.")
        if self.engine not in ENGINES:
            raise InputError(f"engine '{self.engine}' is unknown; allowed are {', '.join(ENGINES)}.")
