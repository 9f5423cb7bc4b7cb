"""What a model must beat: the best intensity threshold, the normative map that taught it, and Grad-CAM of its own encoder."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.organ.crop_and_normalise import Preparation, normalise

_LOWEST_SPREADS, _HIGHEST_SPREADS = -4.0, 8.0
_LEAST_UNLIKE, _MOST_UNLIKE = -2.0, 12.0
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


def normative_map(preparation: Preparation) -> NDArray[np.uint8]:
    """How unlike normal tissue each pixel is, without any network, as a map in 256 steps, (slice, row, column)."""
    found = []
    for start in range(0, preparation.n_slices, _BATCH):
        indices = np.arange(start, min(start + _BATCH, preparation.n_slices))
        share = (preparation.evidence(indices) - _LEAST_UNLIKE) / (_MOST_UNLIKE - _LEAST_UNLIKE)
        found.append(np.round(np.clip(preparation.paste(share), 0, 1) * 255).astype(np.uint8))
    return np.concatenate(found)


def top_k_score(score: torch.Tensor, mask: torch.Tensor, top_share: float) -> torch.Tensor:
    """Mean of the largest `top_share` of the scores inside the mask, (B,H,W) -> (B,); 0 for an empty mask."""
    flat = torch.where(mask, score.float(), torch.full_like(score, -torch.inf, dtype=torch.float32)).flatten(1)
    pixels = mask.flatten(1).sum(1)
    k = (pixels * top_share).long().clamp_min(1)
    largest = int(k.max())
    best = flat.topk(largest, dim=1).values
    counted = (torch.arange(largest, device=score.device)[None] < k[:, None]) & torch.isfinite(best)
    return torch.where(counted, best, torch.zeros_like(best)).sum(1) / counted.sum(1).clamp_min(1)


class GradCam:
    """Grad-CAM (arXiv 1610.02391) of the deepest backbone node, mean over the branches.

    The classification score is the mean of the highest hundredth of the lesion log odds of the deepest head: the
    networks have no other image-level output. Maps are squashed by 1 - exp(-value / scale), the scale being the
    mean of the first case, which orders pixels as the raw map does.

    Args:
        twin: the networks.
        scale: of an earlier `GradCam` that has seen the first case; None where this one will.
    """

    def __init__(self, twin: TwinUNet, scale: float | None = None) -> None:
        self._twin = twin.float().eval()
        self.scale = scale

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
        if self.scale is None:
            self.scale = max(float(raw[raw > 0].mean()) if (raw > 0).any() else 0.0, 1e-12)
        squashed = 1 - np.exp(-raw / self.scale)
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
