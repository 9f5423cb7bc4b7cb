"""The normative map of a training, measured on its normal slices by image labels, and what follows for every slice.

Training slices are compared with a map of other patients (cross-fitted), as new patients will be.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.crop_cache import LARGEST_IN_MEMORY_BYTES, CropSet
from ClamSegLib.decoding.soft_outlines import OutlineRule, top_mean
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.model.normative_map import HIGH, LOW, REFERENCE_PX, NormativeMap, to_frame
from ClamSegLib.objective.normative_targets import targets_of_volume
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import cache_folder
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.held_out import stacks_of

FEWEST_NORMAL_SLICES, FEWEST_NORMAL_PATIENTS = 8, 2
HEIGHT_SIGMA = 0.06  # width of the weights over relative height
_PLACE_SIGMA_PX = 1.5  # over place, in pixels of 64
_PRIOR_SLICES = 2.0  # so many slices' worth of all heights stand beside what was seen at one
_NEAR = 0.15  # of the organ: a normal slice so near says what is normal there
_FOLDS = 5
_PIXELS_OF_A_SLICE = 2000

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.int64]


class NormativeSums:
    """Sums over normal slices, of which maps are made: sums of patients add up, so leaving some out costs nothing."""

    def __init__(self, config: NormativeConfig) -> None:
        self.config = config
        self.heights = np.linspace(0, 1, config.nodes) if config.nodes > 1 else np.array([0.5])
        self.sums = np.zeros((3, config.nodes, config.size, config.size), np.float64)
        self.slices = 0

    def add(self, x: Floats, organ: Bools, height: float) -> None:
        """Adds a normal slice (H,W) with its organ."""
        c = self.config
        value = np.where(organ, np.clip(x, LOW, HIGH), 0).astype(np.float32)
        fields = [to_frame(field, organ, c.frame, c.size) for field in (organ.astype(np.float32), value, value**2)]
        at = np.exp(-0.5 * ((self.heights - height) / HEIGHT_SIGMA) ** 2) if c.nodes > 1 else np.ones(1)
        near = np.flatnonzero(at > 1e-3)
        self.sums[:, near] += at[near, None, None] * np.stack(fields)[:, None]
        self.slices += 1

    def map(self, symmetric: bool, without: NormativeSums | None = None) -> NormativeMap:
        """The map of these slices, or of these without those of `without`."""
        from scipy import ndimage

        sums = self.sums - without.sums if without else self.sums
        sigma = _PLACE_SIGMA_PX * self.config.size / REFERENCE_PX
        near = ndimage.gaussian_filter(sums, (0, 0, sigma, sigma), mode="constant")
        # What a height lacks comes from all heights, what a place lacks from the places around it.
        pooled = near.sum(axis=1)
        wide = ndimage.gaussian_filter(pooled, (0, 4 * sigma, 4 * sigma), mode="constant")
        every = pooled.sum(axis=(1, 2), keepdims=True)
        wide = wide + every / max(float(every[0, 0, 0]), 1e-9)
        pooled = pooled + _PRIOR_SLICES * wide / wide[0]
        together = near + _PRIOR_SLICES * (pooled / pooled[0])[:, None]
        mean = together[1] / together[0]
        spread = np.sqrt(np.maximum(together[2] / together[0] - mean**2, 1e-4))
        return NormativeMap(mean.astype(np.float16), spread.astype(np.float16), self.config, symmetric)


@dataclass(frozen=True)
class NormativeFit:
    """What a training starts with.

    Attributes:
        map: for new patients; stands beside the weights.
        crops: with `differences` and `told` of every slice.
    """

    map: NormativeMap
    crops: CropSet


def check_normal_slices(crops: CropSet, trained: Numbers) -> str:
    """Whether normal slices can say what is normal where disease was seen.

    Returns:
        A sentence on diseased slices without normal ones near their height, '' where there are none.

    Raises:
        InputError: too few normal slices, or none at the height of most diseased ones.
    """
    label, height, patient = crops.label[trained], crops.position[trained], crops.patient[trained]
    normal = label == 0
    patients = len(np.unique(patient[normal]))
    if normal.sum() < FEWEST_NORMAL_SLICES or patients < FEWEST_NORMAL_PATIENTS:
        raise InputError(
            f"What is normal cannot be learned from {int(normal.sum())} normal slice(s) of {patients} patient(s); at least "
            f"{FEWEST_NORMAL_SLICES} of {FEWEST_NORMAL_PATIENTS} patients are needed. Add normal slices, or use --objective paper."
        )
    sorted_heights = np.sort(height[normal])
    low = np.searchsorted(sorted_heights, height[~normal] - _NEAR)
    lonely = low == np.searchsorted(sorted_heights, height[~normal] + _NEAR, side="right")
    if not lonely.any():
        return ""
    where = height[~normal][lonely]
    words = (
        f"{int(lonely.sum())} of {len(lonely)} diseased slices have no normal slice near their height; normal slices are "
        f"missing at {where.min():.0%} to {where.max():.0%} of the organ's height from the first slice"
    )
    if lonely.mean() > 0.5:
        raise InputError(f"{words}. Add normal slices there, or use --objective paper.")
    return words


def fit_normative(
    crops: CropSet,
    split: tuple[Numbers, Numbers],
    config: ModelConfig,
    reporter: Reporter,
    known: NormativeMap | None = None,
) -> NormativeFit:
    """The map, and z, m and targets of every slice.

    Args:
        crops: of all slices, stacks in order.
        split: training and held-out slices.
        known: the map of the model that is fine-tuned, learned from other patients: it stays; None measures one.

    Raises:
        InputError: as `check_normal_slices`.
    """
    if known is None:
        words = check_normal_slices(crops, split[0])
        if words:
            reporter.warning(f"{words}.")
        whole, of_slice = _cross_fitted(crops, split[0], config)
    else:
        whole, of_slice = known, [known] * len(crops.label)
        reporter.note("normal tissue is compared with the map of the starting model")
    side = crops.side
    differences = _room((len(crops.label), 2, side, side))
    evidence = _room((len(crops.label), side, side))
    for k, own in enumerate(of_slice):
        x, organ = _slice(crops, k)
        z, m, a = own.apply(x[None], organ[None], crops.position[k : k + 1])
        differences[k, 0], differences[k, 1], evidence[k] = z[0], m[0], a[0]
        if k % 50 == 0 or k + 1 == len(of_slice):
            reporter.progress(k + 1, len(of_slice), "comparing with normal slices")
    rule = OutlineRule.of(whole.config)
    limit = whole.config.normal_limit if known is not None else _normal_limit(crops, split[0], evidence, rule)
    told = _told(crops, evidence, limit, rule)
    whole = replace(whole, config=replace(whole.config, normal_limit=limit))
    eta = _of_strong_slices(crops, split[0], evidence, whole.config, reporter)
    return NormativeFit(whole, replace(crops, differences=differences, told=told, eta=eta))


def _slice(crops: CropSet, k: int) -> tuple[Floats, Bools]:
    record = crops.records[np.array([k])][0]
    return record["image"].astype(np.float32), np.array(record["organ"])


def _cross_fitted(crops: CropSet, trained: Numbers, config: ModelConfig) -> tuple[NormativeMap, list[NormativeMap]]:
    """The map of all normal training slices, and the one each slice is compared with: without its own patients' fold."""
    assert config.normative is not None
    normal = trained[crops.label[trained] == 0]
    names = np.unique(crops.patient[normal])
    folds = min(_FOLDS, len(names))
    shuffled = np.random.default_rng(0).permutation(len(names)) % folds
    fold_of = dict(zip(names.tolist(), shuffled.tolist(), strict=True))
    parts = [NormativeSums(config.normative) for _ in range(folds)]
    for k in normal:
        parts[fold_of[int(crops.patient[k])]].add(*_slice(crops, int(k)), float(crops.position[k]))
    total = NormativeSums(config.normative)
    for part in parts:
        total.sums += part.sums
        total.slices += part.slices
    symmetric = config.organ.symmetric
    whole, others = total.map(symmetric), [total.map(symmetric, part) for part in parts]
    # Patients without a normal training slice are new to the whole map.
    return whole, [others[fold_of[p]] if p in fold_of else whole for p in crops.patient.tolist()]


def _room(shape: tuple[int, ...]) -> NDArray[np.float16]:
    """float16 in memory, or in a file without a name where memory would not do."""
    if 2 * int(np.prod(shape)) <= LARGEST_IN_MEMORY_BYTES:
        return np.zeros(shape, np.float16)
    folder = cache_folder() / "crops"
    folder.mkdir(parents=True, exist_ok=True)
    file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as the array
    return np.memmap(file, np.float16, "w+", shape=shape)


def _normal_limit(crops: CropSet, trained: Numbers, evidence: NDArray[np.float16], rule: OutlineRule) -> float:
    pool = []
    for k in trained[crops.label[trained] == 0]:
        values = evidence[k][_slice(crops, int(k))[1]]
        pool.append(values[:: max(1, len(values) // _PIXELS_OF_A_SLICE)].astype(np.float32))
    values = np.concatenate(pool)
    return float(np.quantile(values, rule.normal_share)) if len(values) else 0.0


def _of_strong_slices(
    crops: CropSet, trained: Numbers, evidence: NDArray[np.float16], config: NormativeConfig, reporter: Reporter
) -> Floats:
    """eta (N,) of every slice, 0 for diseased slices that stand out less than many normal ones do."""
    normal = trained[crops.label[trained] == 0]
    if config.strong_share == 0 or not len(normal):
        return crops.eta
    organs = (_slice(crops, k)[1] for k in range(len(crops.label)))
    peaks = np.array([top_mean(a[organ], config.peak_share) for a, organ in zip(evidence, organs, strict=True)])
    weak = (crops.label > 0) & (peaks < np.quantile(peaks[normal], config.strong_share))
    reporter.note(
        f"{int(weak.sum())} of {int((crops.label > 0).sum())} diseased slices stand out less than {config.strong_share:.0%} "
        "of the normal ones do: where their lesion lies is not taught"
    )
    return np.where(weak, np.float32(0), crops.eta)


def _told(crops: CropSet, evidence: NDArray[np.float16], limit: float, rule: OutlineRule) -> NDArray[np.uint8]:
    """Targets (N,S,S) in steps of 1/255, volume by volume, of each condition from its own slices."""
    told = np.zeros(evidence.shape, np.uint8)
    stack = stacks_of(crops.patient, crops.position)
    for own in np.split(np.arange(len(stack)), np.flatnonzero(np.diff(stack)) + 1):
        for condition in np.unique(crops.label[own]):
            if condition == 0:
                continue
            records, diseased = crops.records[own], crops.label[own] == condition
            a, x = evidence[own].astype(np.float32), records["image"].astype(np.float32)
            found = targets_of_volume(a, x, np.array(records["organ"]), diseased, limit, rule)
            told[own[diseased]] = np.rint(255 * found[diseased])
    return told
