"""Which engine runs a model here: a short rule by device and processor, each checked against the reference.

| where | `auto` takes |
|---|---|
| little work, on any device | the reference: opening another engine would cost more than it saves |
| CUDA GPU | torch in float16 |
| processor with VNNI, and an int8 network beside the weights | OpenVINO in int8, for less work too |
| ARM processor | MNN in float16, else torch |
| processor that is faster with bfloat16 | OpenVINO in bfloat16, else torch in bfloat16 |
| any other processor | MNN, else OpenVINO, else torch, in float32 |

An engine that is not installed is passed over (figures: docs/performance.md). The reference is the network as trained, in
float32. Any other engine must mark at least 99.9 % (int8: 99.5 %) of the organ's pixels of real crops as the reference does, or the next
one of the rule is tried, in the end the reference. How much work is little depends on the scan alone, so that a scan
has the same result by itself and among others.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import refined
from ClamSegLib.engines.build import network_at, open_engine
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.quantized import find_quantized
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import Preparation
from ClamSegLib.system.device import has_vnni, is_bfloat16_fast
from ClamSegLib.system.errors import ClamSegError, InputError, OutputError
from ClamSegLib.system.installation import ENGINE_PACKAGES, installed_engines
from ClamSegLib.system.progress import Reporter

SMALLEST_AGREEMENT = 0.999
# Its masks were compared on many slices when it was made (quantize.py); here only that it computes as it did there.
SMALLEST_AGREEMENT_INT8 = 0.995
SAMPLE_SLICES = 4
DEFAULT_BATCH = 8
# About five seconds of an ordinary processor.
_LITTLE_WORK_GFLOP = 400.0
# An int8 network is opened as it lies beside the weights: half a second, which 50 GFLOP gain back.
_LITTLE_WORK_INT8_GFLOP = 80.0
_ORDINARY_SLICES = 133
_LARGEST_MAPS_BYTES = 512 * 2**20
_ARM = ("arm64", "aarch64")


@dataclass(frozen=True)
class Work:
    """What is to be run: the slices of a case through a model at a level, on a device.

    Attributes:
        engine: asked for, of `engine.ENGINES`.
        batch_size: asked for, or None.
    """

    preparation: Preparation
    model: LoadedModel
    level: int
    device: torch.device
    engine: str
    batch_size: int | None = None

    def sample(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Crops (B,1,S,S) from the middle of the organ, where lesions and edges are, and their organ (B,S,S)."""
        with_organ = np.flatnonzero(self.preparation.mask.any(axis=(1, 2)))
        some = with_organ if len(with_organ) else np.arange(self.preparation.n_slices)
        places = np.linspace(0, len(some) - 1, min(SAMPLE_SLICES, len(some)) + 2)[1:-1].round().astype(int)
        index = np.unique(some[places])
        return self.preparation.network_input(index), self.preparation.organ_input(index)


def gflop_of(work: Work) -> float:
    """Arithmetic of all convolutions, in 1e9 operations."""
    return gflop_of_a_slice(work.model, work.level) * work.preparation.n_slices


def gflop_of_a_slice(model: LoadedModel, level: int) -> float:
    """Arithmetic of the convolutions of a slice, in 1e9 operations."""
    side, products = model.config.image_size, 0
    for name, weights in network_at(model, level).named_parameters():
        if weights.dim() == 4:  # a convolution of node x_i_j, whose maps are halved i times
            row = next((int(part.split("_")[1]) for part in name.split(".") if part.startswith("x_")), 0)
            products += weights.numel() * (side >> row) ** 2
    return 2e-9 * products


def int8_pays(gflop_per_slice: float) -> bool:
    """Whether `auto` would take an int8 network for a scan of an ordinary number of slices."""
    return gflop_per_slice * _ORDINARY_SLICES >= _LITTLE_WORK_INT8_GFLOP


@dataclass(frozen=True)
class OpenEngine:
    """An engine ready to run, and which share of the organ's pixels of the sample it marks as the reference does."""

    engine: Engine
    agreement: float = 1.0


def require_engine(asked: str, device: torch.device) -> None:
    """Refuses an engine that is not installed, or does not run on the device.

    Raises:
        InputError: said with what to do.
    """
    if asked in ENGINE_PACKAGES and asked not in installed_engines():
        raise InputError(f"Engine '{asked}' is not installed; install it with pip install 'clamseg[{asked}]'.")
    if asked in ENGINE_PACKAGES and device.type != "cpu":
        raise InputError(f"Engine '{asked}' computes on the CPU here, not on {device}; add --device cpu.")


def precisions_here(device: torch.device) -> tuple[str, ...]:
    """float32, and bfloat16 where the device is not slower with it: elsewhere one pass would take minutes."""
    return ("float32", "bfloat16") if is_bfloat16_fast(device.type) else ("float32",)


def engines_by_rule(asked: str, device: torch.device, *, int8: bool = False) -> list[tuple[str, str]]:
    """Engine and precision, the one to take first; those after it where it does not agree or open.

    Args:
        int8: whether an int8 network lies beside the weights, and the processor computes it.
    """
    if device.type != "cpu":
        return [("torch", "float16"), ("torch", "float32")]
    rule = [("mnn", "float32"), ("openvino", "float32"), ("torch", "float32")]
    if platform.machine().lower() in _ARM:
        rule = [("mnn", "float16"), ("torch", "float32"), ("openvino", "float32"), ("mnn", "float32")]
    elif "bfloat16" in precisions_here(device):
        rule = [("openvino", "bfloat16"), ("torch", "bfloat16"), *rule]
    if int8:
        rule = [("openvino", "int8"), *rule]
    kinds = ["torch", *installed_engines()] if asked == "auto" else [asked]
    return [(kind, precision) for kind, precision in rule if kind in kinds]


def choose_engine(work: Work, reporter: Reporter | None = None) -> OpenEngine:
    """The engine for some work, kept with the model for the next case.

    Raises:
        InputError: an engine was asked for that is not installed, or does not run on the device.
    """
    require_engine(work.engine, work.device)
    reporter = reporter or Reporter()
    rule = _rule_for(work, reporter)
    if not rule:
        return _reference(work)
    key = _key(work, rule)
    kept: OpenEngine | None = work.model.engines.get(key)
    if kept is None:
        kept = work.model.engines[key] = _first_that_agrees(work, rule, reporter)
    return kept


def engine_at_hand(work: Work) -> OpenEngine | None:
    """What `choose_engine` would give where that is open already from an earlier case; else None. Nothing is opened or tried."""
    rule = _rule_for(work, Reporter())
    return work.model.engines.get(_key(work, rule)) if rule else None


def _rule_for(work: Work, reporter: Reporter) -> list[tuple[str, str]]:
    """Engines and precisions to try for some work in order; none where the reference is taken without a try."""
    if work.engine == "reference":
        return []
    int8 = _has_int8(work, reporter)
    rule = engines_by_rule(work.engine, work.device, int8=int8)
    if work.engine == "auto" and gflop_of(work) < _LITTLE_WORK_GFLOP:
        if not int8 or gflop_of(work) < _LITTLE_WORK_INT8_GFLOP:
            return []
        return rule[:1]  # to convert a network would take longer than to run it as trained
    return rule


def _key(work: Work, rule: list[tuple[str, str]]) -> tuple[object, ...]:
    """Under which the engine for some work is kept with the model."""
    return work.level, str(work.device), tuple(rule), work.batch_size, torch.get_num_threads()


def _reference(work: Work) -> OpenEngine:
    choice = EngineChoice(batch_size=work.batch_size or DEFAULT_BATCH)
    return OpenEngine(open_engine(work.model, work.level, work.device, choice))


def _first_that_agrees(work: Work, rule: list[tuple[str, str]], reporter: Reporter) -> OpenEngine:
    sample, organ = work.sample()
    reference = _reference(work)
    expected = reference.engine.run(sample)[0]
    for kind, precision in rule:
        threads = torch.get_num_threads() if work.device.type == "cpu" else 0
        choice = EngineChoice(kind, precision, threads, work.batch_size or min(DEFAULT_BATCH, _largest_batch(work)))
        try:
            engine = open_engine(work.model, work.level, work.device, choice)
            agreement = _agreement(work, engine.run(sample)[0], expected, sample, organ)
            if agreement >= (SMALLEST_AGREEMENT if precision != "int8" else SMALLEST_AGREEMENT_INT8):
                return OpenEngine(engine, agreement)
            why = f"its masks agree with the reference on {agreement:.3%} of the organ"
        except OutputError as error:
            why = f"{str(error).rstrip('.')} (a converted network is kept there)"
        except ClamSegError as error:
            why = str(error)
        except Exception as error:  # engines are foreign libraries; one that fails is only not taken
            why = f"it failed ({type(error).__name__})"
        reporter.note(f"Engine {choice.describe()} is not taken: {why.rstrip('.')}.")
    return reference


def _has_int8(work: Work, reporter: Reporter) -> bool:
    """Whether an int8 network can compute here: it fits the model at this level, and OpenVINO and the processor can."""
    if work.device.type != "cpu" or work.engine not in ("auto", "openvino") or "openvino" not in installed_engines():
        return False
    try:
        found = find_quantized(work.model)
    except InputError as error:
        reporter.note(str(error))
        return False
    return found is not None and found.level == work.level and has_vnni()


def _largest_batch(work: Work) -> int:
    """So many slices that the widest maps of a branch stay in half a gigabyte."""
    network, side = work.model.config.network, work.model.config.image_size
    per_slice = side * side * 4 * network.features[0] * 2 * (work.level + 1)
    return max(1, _LARGEST_MAPS_BYTES // per_slice)


def _agreement(
    work: Work,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    sample: NDArray[np.float32],
    organ: NDArray[np.bool_],
) -> float:
    """Smallest share, over the conditions, of the organ's pixels that a user sees marked alike."""
    if not np.isfinite(found).all():
        raise ClamSegError("its maps hold values that are no numbers")
    config = work.model.config

    def marked(maps: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Pixels above the threshold, as stored: in steps of 1/255."""
        if config.refinement is not None:
            maps = refined(maps, sample, organ, config.refinement)
        return np.asarray(np.round(np.clip(maps, 0, 1) * 255) > 255 * config.threshold)

    same = marked(found) == marked(expected)
    inside = organ if organ.any() else np.ones_like(organ)
    return min(float(same[:, k][inside].mean()) for k in range(same.shape[1]))
