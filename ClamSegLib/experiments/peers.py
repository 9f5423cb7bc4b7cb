"""What ClamSeg is compared with: other UNet++ as their packages build them, a plain one, and a slice loop.

All with the same features, kernels of 3 and one channel, but for the one that says otherwise; each as its authors show
it: float32, torch's own layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from ClamSegLib.experiments.peer_smp import SameFeatures, as_shipped, remark_on_torchvision
from ClamSegLib.imaging.volume import Array

MONAI, PLAIN = "MONAI BasicUNetPlusPlus", "plain nested U-Net"
SMP_SHIPPED = "segmentation_models_pytorch UnetPlusPlus, as shipped (ResNet-34)"
SMP_SAME = "segmentation_models_pytorch UnetPlusPlus, same features"
PEERS = (MONAI, SMP_SHIPPED, SMP_SAME, PLAIN)
_LOOP_BATCH = 20


class _Block(nn.Sequential):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, 3, padding=1),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )


class PlainNestedUNet(nn.Module):
    """A UNet++ as tutorials write it (arXiv 1807.10165): max pooling, bilinear up-sampling, all nodes, one head."""

    def __init__(self, features: Sequence[int]) -> None:
        super().__init__()
        self.depth = len(features) - 1
        self.blocks = nn.ModuleDict()
        for i in range(self.depth + 1):
            for j in range(self.depth + 1 - i):
                inside = (1 if i == 0 else features[i - 1]) if j == 0 else features[i] * j + features[i + 1]
                self.blocks[f"{i}_{j}"] = _Block(inside, features[i])
        self.head = nn.Conv2d(features[0], 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,2,H,W)."""
        x: dict[tuple[int, int], Tensor] = {}
        for i in range(self.depth + 1):
            below = image if i == 0 else nn.functional.max_pool2d(x[i - 1, 0], 2)
            x[i, 0] = self.blocks[f"{i}_0"](below)
            for j in range(1, i + 1):
                k = i - j
                up = nn.functional.interpolate(x[k + 1, j - 1], scale_factor=2, mode="bilinear", align_corners=True)
                x[k, j] = self.blocks[f"{k}_{j}"](torch.cat([*(x[k, n] for n in range(j)), up], 1))
        logits: Tensor = self.head(x[0, self.depth])
        return logits


class DeepestHead(nn.Module):
    """A branch of ours as a network with one answer."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,C,H,W)."""
        logits: Tensor = self.branch(image)[0]
        return logits


@dataclass(frozen=True)
class Peer:
    """A network in evaluation mode, and what the reader of its figures must know."""

    network: nn.Module
    remark: str = ""


def peer(name: str, features: Sequence[int]) -> Peer | str:
    """A peer, one of `PEERS`, or why it cannot be compared."""
    try:
        if name == MONAI:
            from monai.networks.nets import BasicUNetPlusPlus

            widths = (*features, features[0])
            return Peer(BasicUNetPlusPlus(spatial_dims=2, in_channels=1, out_channels=2, features=widths).eval())
        if name in (SMP_SHIPPED, SMP_SAME):
            remark = remark_on_torchvision()
            return Peer((as_shipped() if name == SMP_SHIPPED else SameFeatures(features)).eval(), remark)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # packages fail in many ways where they were built for another torch
        return f"does not import ({' '.join(f'{type(error).__name__}: {error}'.split())[:120]})"
    return Peer(PlainNestedUNet(features).eval())


def slice_loop(volume: Array, network: nn.Module, size: int, low: float, high: float) -> NDArray[np.uint8]:
    """A volume slice by slice, each with its own body box, as 2-D lung segmentation programs do it.

    Args:
        volume: (slice, row, column) in HU.
        network: (B,1,S,S) -> logits (B,C,S,S).
        low: of the window; `high` likewise.

    Returns:
        (slice, row, column) uint8 classes.
    """
    crops, boxes = [], []
    for plane in volume:
        box = _body_box(plane)
        boxes.append(box)
        part = np.clip((plane[box].astype(np.float32) - low) / (high - low), 0, 1)
        crops.append(ndimage.zoom(part, (size / part.shape[0], size / part.shape[1]), order=1))
    found = np.zeros(volume.shape, np.uint8)
    for start in range(0, len(crops), _LOOP_BATCH):
        image = torch.from_numpy(np.stack(crops[start : start + _LOOP_BATCH])[:, None])
        with torch.inference_mode():
            classes = network(image).argmax(1).to(torch.uint8).numpy()
        for n, mask in enumerate(classes, start):
            height, width = found[n][boxes[n]].shape
            found[n][boxes[n]] = ndimage.zoom(mask, (height / size, width / size), order=0)
    return found


def _body_box(plane: Array) -> tuple[slice, slice]:
    """The box of the largest part above -500 HU, found at a quarter of the resolution."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(plane[::4, ::4] > -500))
    if not count:
        return slice(0, plane.shape[0]), slice(0, plane.shape[1])
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    rows, columns = ndimage.find_objects(labels)[largest - 1]
    return slice(rows.start * 4, rows.stop * 4), slice(columns.start * 4, columns.stop * 4)
