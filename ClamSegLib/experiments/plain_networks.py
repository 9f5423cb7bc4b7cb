"""Two plainer networks for comparison: the U-Net (arXiv 1505.04597) and the FCN (arXiv 1411.4038), one head each.

Both have the backbone of the UNet++ (unetplusplus.py), so that a difference comes from how its maps are joined:
the U-Net decodes with one skip connection per level, the FCN adds up scores of every level. Importing this file lets a
twin be built of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ClamSegLib.model.config import NetworkConfig
from ClamSegLib.model.twin import NETWORKS
from ClamSegLib.model.unetplusplus import Node, initialise


class _Plain(nn.Module):
    """Backbone nodes x_0_0 .. x_depth_0; the classes below add the way back to full size."""

    def __init__(self, network: NetworkConfig, level: int | None = None) -> None:
        super().__init__()
        if level not in (None, 1):
            raise ValueError(f"a {network.kind} has one head only, so level {level} does not exist")
        self.network, self.level = network, 1
        f, k = network.features, network.kernel_sizes
        self.nodes = nn.ModuleDict()
        for i in range(network.depth + 1):
            in_channels = network.in_channels if i == 0 else f[i - 1]
            self.nodes[f"x_{i}_0"] = Node(in_channels, f[i], k[i], 1 if i == 0 else 2)

    def forward(self, image: Tensor, level: int | None = None) -> list[Tensor]:
        """(B,in_channels,H,W) -> list of one (B,classes,H,W)."""
        if level not in (None, 1):
            raise ValueError(f"level {level} does not exist; a {self.network.kind} has one head only")
        maps: list[Tensor] = []
        for i in range(self.network.depth + 1):
            maps.append(self.nodes[f"x_{i}_0"](maps[-1] if maps else image))
        return [self._head(maps)]

    def _head(self, maps: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def pruned(self, level: int) -> _Plain:
        """Itself: there is nothing to leave out."""
        if level != 1:
            raise ValueError(f"level {level} does not exist; a {self.network.kind} has one head only")
        return self


class UNet(_Plain):
    """The U-Net: one node per level on the way up, which sees the backbone's map of its level."""

    def __init__(self, network: NetworkConfig, level: int | None = None) -> None:
        super().__init__(network, level)
        f, k = network.features, network.kernel_sizes
        self.ups = nn.ModuleDict()
        for i in range(network.depth):
            self.ups[f"x_{i}_1"] = nn.ConvTranspose2d(f[i + 1], f[i], 2, 2)
            self.nodes[f"x_{i}_1"] = Node(2 * f[i], f[i], k[i], 1)
        self.heads = nn.ModuleDict({"x_0_1": nn.Conv2d(f[0], network.classes, 1)})
        initialise(self)

    def _head(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for i in range(self.network.depth - 1, -1, -1):
            x = self.nodes[f"x_{i}_1"](torch.cat([maps[i], self.ups[f"x_{i}_1"](x)], dim=1))
        logits: Tensor = self.heads["x_0_1"](x)
        return logits


class FCN(_Plain):
    """The fully convolutional network: a score map per level, enlarged and added up."""

    def __init__(self, network: NetworkConfig, level: int | None = None) -> None:
        super().__init__(network, level)
        self.heads = nn.ModuleDict(
            {f"level_{i}": nn.Conv2d(width, network.classes, 1) for i, width in enumerate(network.features)}
        )
        initialise(self)

    def _head(self, maps: list[Tensor]) -> Tensor:
        x: Tensor = self.heads[f"level_{len(maps) - 1}"](maps[-1])
        for i in range(len(maps) - 2, -1, -1):
            x = nn.functional.interpolate(x, size=maps[i].shape[-2:], mode="bilinear", align_corners=False)
            x = x + self.heads[f"level_{i}"](maps[i])
        return x


NETWORKS.update(unet=UNet, fcn=FCN)
