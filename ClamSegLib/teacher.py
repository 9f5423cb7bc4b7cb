"""The maps one round hands to the next: P_L of the best model so far on every diseased training slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.clam import Clam, lesion_posterior
from ClamSegLib.outputs import whole_file
from ClamSegLib.progress import Reporter
from ClamSegLib.training_batches import CropSource

_BATCH = 16
SMALLEST_AREA = 0.002  # share of the organ, as the area term's lower edge


def write_teacher_maps(
    path: Path,
    clam: Clam,
    source: CropSource,
    odds_normal: NDArray[np.float32],
    head_weights: NDArray[np.float64],
    reporter: Reporter,
) -> float:
    """Writes mean P_L over the shells in 1/255 steps, (N, K, S, S) uint8, 0 on normal slices and outside the organ.

    Args:
        path: .npy file, written whole.
        clam: in evaluation mode on the source's device.
        source: over all crops, in their order.
        odds_normal: (shells, depth, K).

    Returns:
        The cut above which the maps are a lesion for the next round, 0..1: P_L = 0.5, or lower where that marks less
        than the smallest area a lesion is expected to have. 0 means that the maps mark nothing at all.
    """
    size = source.crops.images.shape[-1]
    shape = (len(source), source.classes - 1, size, size)
    odds = torch.from_numpy(odds_normal).to(source.device)
    weights = torch.from_numpy(head_weights).float().to(source.device)
    diseased = np.flatnonzero(source.label > 0)
    counts = np.zeros(256, np.int64)
    with whole_file(path) as part:
        # open_memmap names the file itself; zeros cost nothing until written.
        maps = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(diseased), _BATCH):
            places = diseased[start : start + _BATCH]
            slices = source.gather(torch.from_numpy(places))
            with torch.no_grad():
                shells = [lesion_posterior(h, o, weights) for h, o in zip(clam(slices.image), odds, strict=True)]
            posterior = torch.stack(shells).mean(0) * slices.organ[:, None]
            steps = (posterior * 255).round().byte().cpu().numpy()
            maps[places] = steps
            counts += np.bincount(steps.max(axis=1)[slices.organ.cpu().numpy()], minlength=256)
            reporter.progress(min(start + _BATCH, len(diseased)), len(diseased), "maps for the next round")
        maps.flush()
        del maps
    return _cut(counts)


def _cut(counts: NDArray[np.int64]) -> float:
    """From the histogram of the largest P_L of each organ pixel of diseased slices."""
    share_above = 1.0 - np.cumsum(counts) / max(1, int(counts.sum()))  # strictly above step t
    enough = np.flatnonzero(share_above >= SMALLEST_AREA)
    if len(enough) == 0:
        return 0.0
    return min(0.5, (float(enough[-1]) + 0.5) / 255)
