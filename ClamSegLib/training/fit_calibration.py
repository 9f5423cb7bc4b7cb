"""The cut and the calibration of a network that sees the normative map: what image labels and targets say, without masks.

The mean log odds of heads and branches become a probability, sigmoid(scale * (log odds - shift)). The shift is the cut at
which diseased slices are marked on as much area as their targets mark; the scale is the one whose probabilities fit the
targets best. The sum of log odds and normative map of the whole volume gets a shift and a scale of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.decoding.slice_smoothing import OUTSIDE, mean_of_neighbours
from ClamSegLib.decoding.soft_outlines import sigmoid
from ClamSegLib.decoding.volume_evidence import weigh_together
from ClamSegLib.metrics import mean_of_strongest, roc_auc
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.decoding_config import NormativeConfig, VolumeEvidenceConfig
from ClamSegLib.model.normative_map import evidence_of
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.errors import InputError
from ClamSegLib.training.fit_decoding import FEWEST_SLICES, FEWEST_STACKS
from ClamSegLib.training.fit_threshold import threshold_of
from ClamSegLib.training.held_out import LARGEST_BYTES, stacks_of
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.validation import BATCH, MAXIMUM_SLICES, Validation, evenly, log_odds

_CUTS = np.linspace(-6, 6, 121)
_SCALES = (0.2, 5.0)
_MOST_PIXELS = 400_000
_TOP_SHARE = 0.01
_BYTES_OF_A_PIXEL = 10  # log odds by themselves, smoothed and weighed, organ, target

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """What is known of N slices.

    Attributes:
        label: (N,) 0 normal, c condition.
        stack: (N,) number of the stack of adjacent slices.
        held_out: (N,) the network has not learned from them.
        organs: of each, the organ where something is taught, and the lesion 0..1 that is taught, (S,S).
    """

    label: NDArray[np.int64]
    stack: NDArray[np.int64]
    held_out: Bools
    organs: list[tuple[Bools, NDArray[np.float16]]]


def mean_odds(twin: TwinUNet, source: CropSource, places: NDArray[np.int64]) -> NDArray[np.float16]:
    """Mean log odds over heads and branches (N,K,S,S) of slices of a source; OUTSIDE outside the organ."""
    side = source.crops.side
    found = np.empty((len(places), source.classes - 1, side, side), np.float16)
    for start in range(0, len(places), BATCH):
        slices = source.gather(torch.from_numpy(places[start : start + BATCH]))
        odds = log_odds(twin, slices.image).mean(dim=(1, 2))
        odds = torch.where(slices.organ[:, None], odds, torch.full_like(odds, OUTSIDE))
        found[start : start + BATCH] = odds.half().cpu().numpy()
    return found


def agreement(odds: Floats, wanted: Bools) -> NDArray[np.float64]:
    """Dice (cuts,) of the pixels above each cut with what is wanted, (n,) each; `wanted` is not empty."""
    place = np.searchsorted(_CUTS, odds)
    every = np.bincount(place, minlength=len(_CUTS) + 1)[::-1].cumsum()[::-1][1:]
    hits = np.bincount(place[wanted], minlength=len(_CUTS) + 1)[::-1].cumsum()[::-1][1:]
    return np.asarray(2 * hits / (every + wanted.sum()), np.float64)


def validate_told(twin: TwinUNet, source: CropSource, training: TrainingConfig) -> Validation:
    """Judges `twin` on held-out slices: slice AUC, and how well its best cut agrees with what the normative map tells."""
    half = MAXIMUM_SLICES // 2
    index = np.concatenate([evenly(np.flatnonzero(own), half) for own in (source.label == 0, source.label > 0)])
    odds = mean_odds(twin, source, index)
    scores, curves = np.full(len(index), -np.inf), []
    for n, place in enumerate(index):
        organ, wanted = _organ_and_target(source, int(place))
        inside = odds[n][:, organ].astype(np.float32)
        if inside.size:
            scores[n] = mean_of_strongest(inside.max(axis=0), training.top_share)
        label = int(source.label[place])
        if label > 0 and (wanted[organ] > 0.5).any():
            curves.append(agreement(inside[label - 1], wanted[organ] > 0.5))
    finite = np.isfinite(scores)
    auc = roc_auc(scores[finite], source.label[index][finite] > 0)
    dice = float(np.mean(curves, axis=0).max()) if curves else 0.0
    auc = 0.5 if auc is None else float(auc)
    figures = {"criterion": dice + 0.5 * auc, "agreement": dice, "slice_auc": auc}
    return Validation(figures, np.zeros((0,), np.float32))


def _organ_and_target(source: CropSource, place: int) -> tuple[Bools, NDArray[np.float16]]:
    """Organ, and lesion 0..1 (S,S), that a slice is taught, a reader's outline before the normative map."""
    slices = source.gather(torch.tensor([place]))
    organ = slices.organ[0] & (slices.weight[0, 0] > 0)
    return organ.cpu().numpy(), (1 - slices.target[0, 0]).half().cpu().numpy()


def with_calibration(learner: Learner, twin: TwinUNet, config: ModelConfig) -> ModelConfig:
    """The configuration with calibration and threshold, and with slice smoothing and the evidence of the whole volume
    where held-out image labels speak for it, or not against it; too few of them leave smoothing as the starting model has it.

    What is taught decides: targets of the normative map, a reader's outlines, or with supervision 'masks' the lesion masks.

    Args:
        learner: its training and held-out slices are used; too many for memory: every second (third, ...) stack.
        twin: in evaluation mode, on the learner's device.

    Raises:
        InputError: nothing was told to be lesion, so there is no cut.
    """
    setup = learner.setup
    every = np.unique(np.concatenate(setup.split))
    source = CropSource(setup.crops, every, setup.training, config.network.classes, learner.device)
    places = _stacks_that_fit(source, len(config.conditions))
    odds = mean_odds(twin, source, places)
    judged = Judged(
        label=source.label[places],
        stack=stacks_of(source.patient, source.position)[places],
        # Without patients to hold out both lists are the same slices, which the network has learned by heart.
        held_out=np.isin(every[places], np.setdiff1d(setup.split[1], setup.split[0])),
        organs=[_organ_and_target(source, int(p)) for p in places],
    )
    together = _smoothed(odds, judged.stack)
    gain = _auc_gain(odds, together, judged)
    smooths = config.slice_smoothing if gain is None else gain > 0
    odds = together if smooths else odds
    config = replace(config, calibration=_fitted(odds, judged), odds_normal=(), slice_smoothing=smooths)
    probability = _sigmoid_of(odds, config.calibration)
    if setup.training.volume_evidence and config.normative is not None and config.normative.nodes > 1:
        weighed = VolumeEvidenceConfig()
        f = weighed_odds(odds, source, places, judged.stack, config.normative, weighed)
        if (_auc_gain(odds, f, judged) or 0) >= 0:
            weighed = replace(weighed, calibration=_fitted(f, judged))
            config = replace(config, volume_evidence=weighed)
            probability = _sigmoid_of(f, weighed.calibration)
    if setup.training.supervision == "masks":
        return config
    corrected = np.flatnonzero(source.use_mask[places] & (judged.label > 0) & ~judged.held_out)
    maps = ((probability(int(k)).max(axis=0), judged.organs[k][1] > 0.5, judged.organs[k][0]) for k in corrected)
    return replace(config, threshold=threshold_of(maps, config.threshold))


def _stacks_that_fit(source: CropSource, conditions: int) -> NDArray[np.int64]:
    """Places of whole stacks: all, or every second (third, ...) one and those that a reader has corrected."""
    stack = stacks_of(source.patient, source.position)
    most = max(BATCH, LARGEST_BYTES // (_BYTES_OF_A_PIXEL * source.crops.side**2 * conditions))
    regular = np.flatnonzero(stack % -(-len(stack) // most) == 0)[:most]
    corrected = np.flatnonzero(np.isin(stack, stack[source.use_mask]))
    return np.asarray(np.union1d(regular, corrected), np.int64)


def _sigmoid_of(
    odds: NDArray[np.float16], calibration: tuple[tuple[float, float], ...]
) -> Callable[[int], NDArray[np.float32]]:
    """Gives P_L (K,S,S) of a slice by its number."""
    shift, scale = (np.array(values, np.float32)[:, None, None] for values in zip(*calibration, strict=True))
    return lambda k: sigmoid(scale * (odds[k].astype(np.float32) - shift))


def weighed_odds(
    odds: NDArray[np.float16],
    source: CropSource,
    places: NDArray[np.int64],
    stack: NDArray[np.int64],
    normative: NormativeConfig,
    settings: VolumeEvidenceConfig,
) -> NDArray[np.float16]:
    """Log odds (N,K,S,S) of slices weighed with the normative map of their stacks (`decoding/volume_evidence.py`)."""
    crops, weighed = source.crops, odds.copy()
    assert crops.differences is not None
    for number in np.unique(stack):
        own = np.flatnonzero(stack == number)
        index = source.indices[places[own]]
        records, differences = crops.records[index], crops.differences[index].astype(np.float32)
        organ, image = np.array(records["organ"]), records["image"].astype(np.float32)
        a = evidence_of(differences[:, 0], differences[:, 1], organ, normative)
        part = weighed[own]
        weigh_together(part, a, organ, image.__getitem__, normative, settings)
        weighed[own] = part
    return weighed


def _smoothed(odds: NDArray[np.float16], stack: NDArray[np.int64]) -> NDArray[np.float16]:
    together = np.empty_like(odds)
    for number in np.unique(stack):
        own = np.flatnonzero(stack == number)
        together[own] = mean_of_neighbours(odds[own], 0, len(own))
    return together


def _auc_gain(before: NDArray[np.float16], after: NDArray[np.float16], judged: Judged) -> float | None:
    """By how much better held-out image labels are told; None with too few slices or stacks to tell."""
    taught = np.array([organ.any() for organ, _ in judged.organs])
    index, diseased = np.flatnonzero(judged.held_out & taught), judged.label > 0
    several = np.count_nonzero(np.bincount(judged.stack[index]) > 1) if len(index) else 0
    counts = (int(diseased[index].sum()), int((~diseased[index]).sum()))
    if several < FEWEST_STACKS or min(counts) < FEWEST_SLICES:
        return None
    aucs = []
    for maps in (before, after):
        pixels = (maps[k].max(axis=0)[judged.organs[k][0]].astype(np.float32) for k in index)
        scores = np.array([mean_of_strongest(values, _TOP_SHARE) for values in pixels])
        aucs.append(roc_auc(scores, diseased[index]))
    return None if aucs[0] is None or aucs[1] is None else aucs[1] - aucs[0]


def _fitted(odds: NDArray[np.float16], judged: Judged) -> tuple[tuple[float, float], ...]:
    """Shift and scale of each condition."""
    label = judged.label
    return tuple(_fit(odds[:, c], judged.organs, label == c + 1, label == 0) for c in range(odds.shape[1]))


def _fit(
    odds: NDArray[np.float16], organs: list[tuple[Bools, NDArray[np.float16]]], diseased: Bools, normal: Bools
) -> tuple[float, float]:
    """Shift and scale of one condition, from its own diseased and from normal slices (N,)."""
    from scipy.optimize import minimize_scalar

    own = np.flatnonzero(diseased)
    area = sum(int((organs[k][1][organs[k][0]] > 0.5).sum()) for k in own)
    if area == 0:
        raise InputError("No pixel of a diseased slice differs from normal tissue, so there is nothing to outline.")
    inside = np.concatenate([odds[k][organs[k][0]] for k in own])
    shift = float(np.partition(inside, -area)[-area])
    used = np.flatnonzero(diseased | normal)
    values = np.concatenate([odds[k][organs[k][0]].astype(np.float64) - shift for k in used])
    wanted = np.concatenate([organs[k][1][organs[k][0]] for k in used])
    step = max(1, len(values) // _MOST_PIXELS)
    values, wanted = values[::step], wanted[::step]
    scale = minimize_scalar(
        lambda s: float(np.mean(np.logaddexp(0, s * values) - wanted * s * values)), bounds=_SCALES, method="bounded"
    ).x
    return round(shift, 3), round(float(scale), 3)
