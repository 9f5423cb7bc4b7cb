"""What ClamSeg is compared with: other UNet++ as their packages build them, and a plain one.

All with the same features, kernels of 3 and one channel, but for the one that says otherwise; each as its authors show
it: float32, torch's own layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MONAI, PLAIN = "MONAI BasicUNetPlusPlus", "plain nested U-Net"
SMP_SHIPPED = "segmentation_models_pytorch UnetPlusPlus, as shipped (ResNet-34)"
SMP_SAME = "segmentation_models_pytorch UnetPlusPlus, same features"
PEERS = (MONAI, SMP_SHIPPED, SMP_SAME, PLAIN)


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


class SameFeatures(nn.Module):
    """Nodes and head of segmentation_models_pytorch's UNet++ over a plain encoder, two convolutions a level.

    Its encoders give their first features at half the resolution, so its UNet++ has no nodes at full resolution but a
    last one that only enlarges. Here the first features are at full resolution, as in the paper and in the other
    networks of the comparison, and that last node goes.

    Args:
        features: per level, full resolution first; at least 3 levels.
    """

    def __init__(self, features: Sequence[int]) -> None:
        super().__init__()
        from segmentation_models_pytorch.base import SegmentationHead
        from segmentation_models_pytorch.decoders.unetplusplus.decoder import CenterBlock, UnetPlusPlusDecoder

        channels = (1, *features)
        # Its `CenterBlock` is two of its convolutions, each with batch normalization and ReLU.
        self.encoder = nn.ModuleList(CenterBlock(*pair) for pair in zip(channels[:-1], features, strict=True))
        widths = (*reversed(features[:-1]), features[0])
        self.decoder: Any = UnetPlusPlusDecoder(channels, widths, n_blocks=len(features))
        self.decoder.blocks[f"x_0_{len(features) - 1}"] = nn.Identity()
        self.head = SegmentationHead(features[0], 2)

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,2,H,W)."""
        maps = [image]
        for level, block in enumerate(self.encoder):
            maps.append(block(nn.functional.max_pool2d(maps[-1], 2) if level else image))
        logits: Tensor = self.head(self.decoder(maps))
        return logits


def as_shipped() -> nn.Module:
    """UNet++ as segmentation_models_pytorch makes it unless told otherwise, a ResNet-34 as encoder; random weights."""
    from segmentation_models_pytorch import UnetPlusPlus

    network: nn.Module = UnetPlusPlus(encoder_weights=None, in_channels=1, classes=2)
    return network


def peer(name: str, features: Sequence[int]) -> nn.Module | str:
    """A peer in evaluation mode, one of `PEERS`, or why it cannot be compared."""
    try:
        if name == MONAI:
            from monai.networks.nets import BasicUNetPlusPlus

            widths = (*features, features[0])
            found: nn.Module = BasicUNetPlusPlus(spatial_dims=2, in_channels=1, out_channels=2, features=widths).eval()
            return found
        if name in (SMP_SHIPPED, SMP_SAME):
            return (as_shipped() if name == SMP_SHIPPED else SameFeatures(features)).eval()
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # packages fail in many ways where they were built for another torch
        return f"does not import ({' '.join(f'{type(error).__name__}: {error}'.split())[:120]})"
    return PlainNestedUNet(features).eval()
