"""The maps one round hands to the next: P_L of the best model so far on every diseased training slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import ValueEvidence, refined, sharpened
from ClamSegLib.model.config import RefinementConfig
from ClamSegLib.model.twin import TwinUNet, lesion_posterior
from ClamSegLib.objective.batches import CropSource, Slices
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.progress import Reporter

_BATCH = 16
SMALLEST_AREA = 0.002  # share of the organ, as the area term's lower edge


def write_teacher_maps(
    path: Path,
    twin: TwinUNet,
    source: CropSource,
    odds_normal: NDArray[np.float32],
    head_weights: NDArray[np.float64],
    refinement: RefinementConfig | None,
    reporter: Reporter,
) -> float:
    """Writes mean P_L over the branches in 1/255 steps, (N, K, S, S) uint8, 0 on normal slices and outside the organ.

    Args:
        path: .npy file, written whole.
        twin: in evaluation mode on the source's device.
        source: over all crops, in their order.
        odds_normal: (branches, depth, K).
        refinement: sharpens the maps, or None.

    Returns:
        The cut above which the maps are a lesion for the next round, 0..1: P_L = 0.5, or lower where that marks less
        than the smallest area a lesion is expected to have. 0 means that the maps mark nothing at all.
    """
    size = source.crops.images.shape[-1]
    shape = (len(source), source.classes - 1, size, size)
    diseased = np.flatnonzero(source.label > 0)
    counts = np.zeros(256, np.int64)
    with whole_file(path) as part:
        # open_memmap names the file itself; zeros cost nothing until written.
        maps = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(diseased), _BATCH):
            places = diseased[start : start + _BATCH]
            posterior, slices = posterior_of(twin, source, places, odds_normal, head_weights)
            organ = slices.organ.cpu().numpy()
            if refinement is not None:
                posterior = refined(posterior, slices.image.cpu().numpy(), organ, refinement)
            steps = np.round(posterior * organ[:, None] * 255).astype(np.uint8)
            maps[places] = steps
            counts += np.bincount(steps.max(axis=1)[organ], minlength=256)
            reporter.progress(min(start + _BATCH, len(diseased)), len(diseased), "maps for the next round")
        maps.flush()
        del maps
    return _cut(counts)


def posterior_of(
    twin: TwinUNet,
    source: CropSource,
    places: NDArray[np.int64],
    odds_normal: NDArray[np.float32],
    head_weights: NDArray[np.float64],
) -> tuple[NDArray[np.float32], Slices]:
    """P_L (B,K,S,S), mean over the branches, of the slices at `places` of the source, and the slices."""
    slices = source.gather(torch.from_numpy(places))
    odds = torch.from_numpy(odds_normal).to(source.device)
    weights = torch.from_numpy(head_weights).float().to(source.device)
    with torch.no_grad():
        branches = [lesion_posterior(h, o, weights) for h, o in zip(twin(slices.image), odds, strict=True)]
    return torch.stack(branches).mean(0).cpu().numpy(), slices


def measure_refinement(
    twin: TwinUNet,
    source: CropSource,
    split: tuple[NDArray[np.int64], NDArray[np.int64]],
    odds_normal: NDArray[np.float32],
    head_weights: NDArray[np.float64],
) -> RefinementConfig | None:
    """What image labels tell of single values, from training slices, and the limit, from held-out normal slices.

    Args:
        split: places of training and of held-out slices in the source.

    Returns:
        None where the training does not ask for it, or has no normal pixel to measure the limit on.
    """
    training, crops, (trained, held_out) = source.training, source.crops, split
    if not training.refine or training.task == "organ" or training.supervision == "masks":
        return None
    evidence = ValueEvidence(
        crops.images[trained], crops.organ[trained], source.label[trained], source.position[trained], source.classes - 1
    )
    table = tuple(tuple(float(value) for value in values) for values in evidence.table)
    unlimited = RefinementConfig(evidence.low, evidence.high, table, (0.0,) * len(table))
    normal = held_out[source.label[held_out] == 0]
    pool = []
    for start in range(0, len(normal), _BATCH):
        posterior, slices = posterior_of(twin, source, normal[start : start + _BATCH], odds_normal, head_weights)
        ratio = sharpened(posterior, slices.image.cpu().numpy(), unlimited)
        inside = np.moveaxis(ratio, 1, -1)[slices.organ.cpu().numpy()]
        pool.append(inside[:: max(1, len(inside) // (_BATCH * 4000))])
    if not sum(len(part) for part in pool):
        return None
    limit = np.quantile(np.concatenate(pool), training.normal_share, axis=0) - np.log(2.0)
    return replace(
        unlimited,
        limit=tuple(float(value) for value in limit),
        peak_share=training.peak_share,
        volume_peak_share=training.volume_peak_share,
    )


def _cut(counts: NDArray[np.int64]) -> float:
    """From the histogram of the largest P_L of each organ pixel of diseased slices."""
    share_above = 1.0 - np.cumsum(counts) / max(1, int(counts.sum()))  # strictly above step t
    enough = np.flatnonzero(share_above >= SMALLEST_AREA)
    if len(enough) == 0:
        return 0.0
    return min(0.5, (float(enough[-1]) + 0.5) / 255)
