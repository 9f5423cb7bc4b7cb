"""One pass of the finished network over the held-out slices, kept as log odds: whatever is fitted on them reads it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.training.validation import log_odds

LARGEST_BYTES = 2**30
_BATCH = 16
# Slices of one patient farther apart than this many usual steps belong to two stacks.
_FARTHEST_STEP = 1.5
_LARGEST_LOG_RATIO = 60.0


@dataclass(frozen=True)
class HeldOut:
    """What a network says of N held-out slices, and what image labels say of them.

    Attributes:
        log_odds: (N, branches, depth, K, S, S) float16 condition : background, level 1 first.
        organ: (N, S, S) bool.
        label: (N,) 0 normal, c condition.
        stack: (N,) number of the stack of adjacent slices that a slice belongs to.
        available: held-out slices there are; more than N where they would not fit into LARGEST_BYTES.
    """

    log_odds: NDArray[np.float16]
    organ: NDArray[np.bool_]
    label: NDArray[np.int64]
    stack: NDArray[np.int64]
    available: int

    def posterior(self, index: NDArray[np.int64], odds_normal: NDArray[np.float32], level: int) -> NDArray[np.float32]:
        """P_L (B,K,S,S) of slices at a level, as `decode` gives it.

        Args:
            index: (B,) numbers of the slices.
            odds_normal: (branches, depth, K), level 1 first.
            level: 1 to depth.
        """
        log_normal = np.log(np.maximum(odds_normal[:, :level, :, None, None], np.float32(1e-30)))
        ratio = (self.log_odds[index, :, :level].astype(np.float32) - log_normal).mean(axis=2)
        return np.asarray(-np.expm1(-np.clip(ratio, 0.0, _LARGEST_LOG_RATIO)).mean(axis=1), np.float32)

    def probability(self, index: NDArray[np.int64], config: ModelConfig, level: int) -> NDArray[np.float32]:
        """P_L (B,K,S,S) of slices at a level, as `decode` gives it, of calibrated models and others."""
        if not config.calibration:
            return self.posterior(index, np.asarray(config.odds_normal, np.float32), level)
        odds = self.log_odds[index, :, :level].astype(np.float32).mean(axis=(1, 2))
        shift, scale = (np.array(values, np.float32)[:, None, None] for values in zip(*config.calibration, strict=True))
        return np.asarray(1 / (1 + np.exp(-scale * (odds - shift))), np.float32)

    def batches(self, index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """`index` in pieces that keep memory small."""
        return [index[start : start + _BATCH] for start in range(0, len(index), _BATCH)]


def run_on_held_out(twin: TwinUNet, source: CropSource, most_bytes: int = LARGEST_BYTES) -> HeldOut:
    """Runs the network once over held-out slices.

    Args:
        twin: in evaluation mode on the device of `source`.
        source: the held-out slices.
        most_bytes: for the log odds. Where they would need more, every second (third, ...) stack is left out, so that
            whole stacks stay.
    """
    side, network = source.crops.side, twin.network
    shape = (network.branches, network.heads, source.classes - 1, side, side)
    stack = stacks_of(source.patient, source.position)
    most = max(_BATCH, most_bytes // (2 * int(np.prod(shape))))
    every = -(-len(stack) // most)
    index = np.flatnonzero(stack % every == 0)[:most]
    odds = np.empty((len(index), *shape), np.float16)
    organ = np.empty((len(index), side, side), bool)
    for start in range(0, len(index), _BATCH):
        slices, place = source.gather(torch.from_numpy(index[start : start + _BATCH])), slice(start, start + _BATCH)
        odds[place] = log_odds(twin, slices.image).half().cpu().numpy()
        organ[place] = slices.organ.cpu().numpy()
    return HeldOut(odds, organ, source.label[index], stack[index], len(stack))


def stacks_of(patient: NDArray[np.int64], position: NDArray[np.float32]) -> NDArray[np.int64]:
    """The stack (N,) of each slice: slices of one patient, one above the other, without a gap.

    Args:
        patient: (N,) in the order in which the slices were read, case by case.
        position: (N,) height in the organ, 0..1.
    """
    step = np.diff(position)
    same = (np.diff(patient) == 0) & (step > 0)
    for one in np.unique(patient[1:][same]):
        own = same & (patient[1:] == one)
        same[own & (step > _FARTHEST_STEP * np.median(step[own]))] = False
    return np.asarray(np.r_[0, np.cumsum(~same)], np.int64)
