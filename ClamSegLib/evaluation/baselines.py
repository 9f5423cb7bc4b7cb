"""What a model must beat: the best intensity threshold, single values alone, and Grad-CAM of its own encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import peaks, sharpened, to_probability
from ClamSegLib.model.config import RefinementConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.objective.losses import top_k_score
from ClamSegLib.organ.crop_and_normalise import Preparation, normalise

_LOWEST_SPREADS, _HIGHEST_SPREADS = -4.0, 8.0
# As training asks of a slice and of its volume: 0.3 of the one beside 0.4 of the other.
_OF_VOLUME = 0.75
_BATCH = 8


def intensity_map(preparation: Preparation) -> NDArray[np.uint8]:
    """Brightness inside the organ's own scale as a map in 256 steps, (slice, row, column).

    The threshold on it that `evaluate` reports is the best possible one for this very split: an honest floor,
    not a method.
    """
    values = preparation.volume.array
    if preparation.scale.kind == "window_hu":
        return np.asarray(np.round(normalise(values, preparation.scale) * 255), np.uint8)
    spreads = (values.astype(np.float32) - preparation.scale.centre) / preparation.scale.spread
    share = (spreads - _LOWEST_SPREADS) / (_HIGHEST_SPREADS - _LOWEST_SPREADS)
    return np.asarray(np.round(np.clip(share, 0, 1) * 255), np.uint8)


def values_map(preparation: Preparation, *, by_height: bool) -> NDArray[np.uint8]:
    """What the sharpening of a model (map_refinement.py) gives without its network, (slice, row, column) in 256 steps.

    Args:
        by_height: steps are shares of the strongest evidence of the slice, or of three quarters of the volume's where that
            is more, so that the best threshold on the map is the best share of the height; else one scale serves all.

    Raises:
        ValueError: the model has no such step.
    """
    refinement = preparation.config.refinement
    if refinement is None:
        raise ValueError("the model does not sharpen its maps")
    alone = replace(refinement, limit=(0.0,) * len(refinement.limit), peak_share=0.0, volume_peak_share=0.0)
    batches, evidence, strongest = _evidence_of_values(preparation, alone)
    highest = np.concatenate(strongest).max(axis=0)
    maps = np.zeros(preparation.volume.array.shape, np.uint8)
    for indices, ratio, peak in zip(batches, evidence, strongest, strict=True):
        found = to_probability(ratio, peak, alone)
        if by_height:
            height = np.maximum(np.maximum(peak, _OF_VOLUME * highest), 1e-6)
            found = np.clip(ratio / height[:, :, None, None], 0.0, 1.0).astype(np.float32)
        maps[indices] = np.round(preparation.paste(found.max(axis=1)) * 255).astype(np.uint8)
    return maps


def _evidence_of_values(
    preparation: Preparation, refinement: RefinementConfig
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float16]], list[NDArray[np.float32]]]:
    """Batches of slices, their sharpened log ratios (B,K,S,S) as if the network had said nothing, and their peaks (B,K)."""
    n = preparation.n_slices
    batches = [np.arange(start, min(start + _BATCH, n)) for start in range(0, n, _BATCH)]
    evidence, strongest = [], []
    for indices in batches:
        image = preparation.network_input(indices)
        nothing = np.zeros((len(indices), len(refinement.limit), *image.shape[2:]), np.float32)
        evidence.append(sharpened(nothing, image, refinement).astype(np.float16))
        strongest.append(peaks(evidence[-1], preparation.organ_input(indices)))
    return batches, evidence, strongest


class GradCam:
    """Grad-CAM (arXiv 1610.02391) of the deepest backbone node, mean over the branches.

    The classification score is the mean of the highest hundredth of the lesion log odds of the deepest head: the
    networks have no other image-level output. Maps are squashed by 1 - exp(-value / scale), the scale being the
    mean of the first case, which orders pixels as the raw map does.
    """

    def __init__(self, twin: TwinUNet) -> None:
        self._twin = twin.float().eval()
        self._scale: float | None = None

    def maps(self, preparation: Preparation) -> NDArray[np.uint8]:
        """(slice, row, column) in 256 steps."""
        crops = []
        for start in range(0, preparation.n_slices, _BATCH):
            indices = np.arange(start, min(start + _BATCH, preparation.n_slices))
            image = torch.from_numpy(preparation.network_input(indices))
            organ = torch.from_numpy(preparation.organ_input(indices))
            cams = [self._branch(branch, image, organ) for branch in self._twin.branches]
            crops.append(torch.stack(cams).mean(0).numpy())
        raw = np.concatenate(crops)
        if self._scale is None:
            self._scale = max(float(raw[raw > 0].mean()) if (raw > 0).any() else 0.0, 1e-12)
        squashed = 1 - np.exp(-raw / self._scale)
        return np.round(preparation.paste(squashed) * 255).astype(np.uint8)

    def _branch(self, branch: torch.nn.Module, image: torch.Tensor, organ: torch.Tensor) -> torch.Tensor:
        depth = self._twin.network.depth
        kept: list[torch.Tensor] = []

        def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
            kept.append(output)

        handle = branch.nodes[f"x_{depth}_0"].register_forward_hook(keep)  # type: ignore[index, union-attr]
        try:
            deepest = branch(image)[0]
        finally:
            handle.remove()
        log_odds = deepest[:, 1:].amax(1) - deepest[:, 0]
        score = top_k_score(log_odds, organ, 0.01).sum()
        (gradient,) = torch.autograd.grad(score, kept[0])
        cam = (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu().detach()
        full = torch.nn.functional.interpolate(cam, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return full[:, 0]
