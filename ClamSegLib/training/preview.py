"""A picture of a few held-out slices with the map of the network as it is now, for whoever watches a training.

It shows patients' images: it lies in the folder only while the training runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from ClamSegLib.model.twin import TwinUNet, lesion_posterior
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.system.atomic_output import whole_file

SHOWN_SLICES = 4
_SMALLEST_SIDE = 160
# Vermilion of the Okabe-Ito palette; stays apart from grey for colour-blind eyes.
_COLOUR = np.array([213, 94, 0], np.float32) / 255


def write_preview(
    path: Path,
    twin: TwinUNet,
    source: CropSource,
    odds_normal: NDArray[np.float32],
) -> None:
    """Writes a PNG: slices above, the same slices with the mean map of the branches below, diseased ones first.

    Args:
        path: .png, written whole.
        twin: in evaluation mode on the source's device.
        source: held-out crops.
        odds_normal: (branches, depth, K); empty for an organ network, whose own probability is shown.

    Raises:
        OutputError: not writable, disk full.
    """
    slices = source.gather(torch.from_numpy(_chosen(source.label)))
    if odds_normal.size == 0:
        odds_normal = np.full((len(twin.branches), twin.network.heads, source.classes - 1), 0.5, np.float32)
    weights = torch.ones(twin.network.heads, device=source.device)
    odds = torch.from_numpy(odds_normal).float().to(source.device)
    with torch.no_grad():
        branches = [lesion_posterior(h, o, weights) for h, o in zip(twin(slices.image), odds, strict=True)]
    posterior = (torch.stack(branches).mean(0).amax(1) * slices.organ).float().cpu().numpy()
    grey = _grey(slices.image[:, 0].float().cpu().numpy(), slices.organ.cpu().numpy())
    plain = np.repeat(grey[..., None], 3, axis=-1)
    share = 0.7 * posterior[..., None]
    mixed = plain * (1 - share) + _COLOUR * share
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in (plain, mixed)], axis=0)
    larger = max(1, -(-_SMALLEST_SIDE // grey.shape[-1]))
    picture = picture.repeat(larger, axis=0).repeat(larger, axis=1)
    with whole_file(path) as part:
        # Not by Matplotlib: a training in Slicer shows its preview too, and Slicer has none.
        sitk.WriteImage(sitk.GetImageFromArray((picture * 255).round().astype(np.uint8), isVector=True), str(part))


def _chosen(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the slices to show, the same at each validation."""
    diseased, normal = np.flatnonzero(label > 0), np.flatnonzero(label == 0)
    first = _evenly(diseased, SHOWN_SLICES - 1 if len(normal) else SHOWN_SLICES)
    return np.concatenate([first, _evenly(normal, SHOWN_SLICES - len(first))]).astype(np.int64)


def _evenly(places: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    if len(places) <= most:
        return places
    return np.asarray(places[np.linspace(0, len(places) - 1, most + 2).round().astype(int)[1:-1]])


def _grey(image: NDArray[np.float32], organ: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(B,S,S) in 0..1, one window for all: between the values that all but a few of the organs' pixels lie in."""
    inside = image[organ] if organ.any() else image.ravel()
    low, high = (float(v) for v in np.quantile(inside, (0.01, 0.99)))
    spread = max(high - low, 1e-6)
    return np.asarray(np.clip((image - low + 0.3 * spread) / (1.6 * spread), 0, 1), np.float32)
