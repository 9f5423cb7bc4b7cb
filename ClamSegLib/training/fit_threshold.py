"""The cut that a reader's outlines ask for: with some corrected slices the threshold need not come from labels alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.datasets.cases import UNKNOWN
from ClamSegLib.decoding.soft_outlines import sigmoid
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode
from ClamSegLib.objective.batches import CropSource

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
FEWEST_SLICES = 5
_STEPS = 256
_LOWEST, _HIGHEST = 26, 230  # of 255: below and above it hardly anything is left to choose
_DOUBT = 20  # so many slices' worth of trust in the threshold without outlines
_BATCH = 16


def threshold_of_corrections(twin: TwinUNet, source: CropSource, config: ModelConfig) -> float:
    """The threshold with the largest mean Dice on corrected slices, `config.threshold` with fewer than five of them.

    The slices were learned from, so the Dice itself would be too good; where it is largest hardly depends on that.

    Args:
        twin: in evaluation mode on the device of `source`.
        source: the training slices; only the corrected ones are run.
        config: with the odds of normal tissue.
    """
    if source.training.task == "organ" or source.training.supervision == "masks":
        return config.threshold
    return threshold_of(_corrected_maps(twin, source, config), config.threshold)


def _corrected_maps(twin: TwinUNet, source: CropSource, config: ModelConfig) -> Iterator[tuple[Floats, Bools, Bools]]:
    corrected = np.flatnonzero(source.use_mask & (source.label > 0))
    for start in range(0, len(corrected), _BATCH):
        places = corrected[start : start + _BATCH]
        slices = source.gather(torch.from_numpy(places))
        organs = slices.organ.cpu().numpy()
        with torch.inference_mode():
            maps = decode(twin(slices.image), config)[0].cpu().numpy()
        index = source.indices[places]
        lesion = source.crops.lesion(index, source.crops.records[index]["mask"])
        for own, outline, organ in zip(maps.max(axis=1), lesion, organs, strict=True):
            yield own, outline > 0, organ & (outline != UNKNOWN)


def threshold_of(corrected: Iterable[tuple[Floats, Bools, Bools]], default: float) -> float:
    """The threshold between `default` and the one with the largest mean Dice; `default` with fewer than five slices.

    The network has learned from these slices, and few of them say little about others: n slices move the log odds of the threshold by
    n / (n + 20) of the way. Taken whole, ten slices moved it so far that new patients lost by them (docs/research/results.md).

    Args:
        corrected: of each corrected slice P_L, the outline, and where it is known, (S,S).
    """
    curves: list[NDArray[np.float64]] = []
    for probability, outline, known in corrected:
        if outline[known].any():
            steps = np.round(probability[known] * (_STEPS - 1)).astype(int)
            curves.append(dice_by_step(steps, outline[known]))
    if len(curves) < FEWEST_SLICES:
        return default
    mean = np.mean(curves, axis=0)
    best, share = (
        (_LOWEST + int(np.argmax(mean[_LOWEST : _HIGHEST + 1]))) / (_STEPS - 1),
        len(curves) / (len(curves) + _DOUBT),
    )
    start = np.log(default / (1 - default))
    moved = start + share * (np.log(best / (1 - best)) - start)
    # Between two steps, so that rounding decides nothing.
    return round((int(float(sigmoid(np.array(moved))) * (_STEPS - 1)) + 0.5) / (_STEPS - 1), 4)


def dice_by_step(steps: NDArray[np.integer], lesion: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of all pixels above each step of P_L.

    Args:
        steps: (n,) 0..255.
        lesion: (n,) the outline, not empty.

    Returns:
        (256,).
    """
    every = np.bincount(steps, minlength=_STEPS)
    hits = np.bincount(steps[lesion], minlength=_STEPS)
    above, hit = every.sum() - np.cumsum(every), hits.sum() - np.cumsum(hits)
    return np.asarray(2 * hit / (above + int(lesion.sum())), np.float64)
