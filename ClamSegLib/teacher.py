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


def write_teacher_maps(
    path: Path,
    clam: Clam,
    source: CropSource,
    odds_normal: NDArray[np.float32],
    head_weights: NDArray[np.float64],
    reporter: Reporter,
) -> None:
    """Writes mean P_L over the shells in 1/255 steps, (N, K, S, S) uint8, 0 on normal slices and outside the organ.

    Args:
        path: .npy file, written whole.
        clam: in evaluation mode on the source's device.
        source: over all crops, in their order.
        odds_normal: (shells, depth, K).
    """
    size = source.crops.images.shape[-1]
    shape = (len(source), source.classes - 1, size, size)
    odds = torch.from_numpy(odds_normal).to(source.device)
    weights = torch.from_numpy(head_weights).float().to(source.device)
    diseased = np.flatnonzero(source.label > 0)
    with whole_file(path) as part:
        # open_memmap names the file itself; zeros cost nothing until written.
        maps = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(diseased), _BATCH):
            places = diseased[start : start + _BATCH]
            slices = source.gather(torch.from_numpy(places))
            with torch.no_grad():
                shells = [lesion_posterior(h, o, weights) for h, o in zip(clam(slices.image), odds, strict=True)]
            posterior = torch.stack(shells).mean(0) * slices.organ[:, None]
            maps[places] = (posterior * 255).round().byte().cpu().numpy()
            reporter.progress(min(start + _BATCH, len(diseased)), len(diseased), "maps for the next round")
        maps.flush()
        del maps
