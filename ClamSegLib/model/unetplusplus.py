"""UNet++ as the paper describes it: nested nodes X^{i,j}, strided second convolutions, heads at every depth.

Sources: the paper ClamSeg is built on (section 3.1); UNet++, arXiv 1807.10165 and 1912.05074 for the names.

    X^{0,0} -- X^{0,1} -- X^{0,2} -- ...        heads on X^{0,1}, X^{0,2}, ...
        \\     /   \\     /                      X^{i,0}  backbone, i levels below the image
         X^{1,0} -- X^{1,1} -- ...              X^{i,j}  fuses X^{i,0..j-1} and the up-sampled X^{i+1,j-1}
            \\     /
             X^{2,0} -- ...

Running at level L computes only the nodes with i + j <= L; `pruned(L)` drops the others for good.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ClamSegLib.model.config import NetworkConfig


class Node(nn.Module):
    """Two convolutions, each with batch normalisation and ReLU; the second has `stride` 2 in the backbone."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size, 1, padding, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size, stride, padding, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,channels,H/stride,W/stride)."""
        x = self.norm1(self.conv1(x)).relu_()  # in place: backwards only what ReLU gives is needed
        found: Tensor = self.norm2(self.conv2(x)).relu_()
        return found


def initialise(network: nn.Module) -> None:
    """Random weights of a network whose head convolutions stand in `heads`; shapes without memory get none."""
    if next(network.parameters()).is_meta:
        return  # drawing numbers there would import all of torch's compiler, a second of processor time
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    heads = network.heads
    assert isinstance(heads, nn.ModuleDict)
    for head in heads.values():
        # Logits near zero, yet of both signs over the channels: with weights that start at zero all channels
        # learn the same class, and the other one can never be certain (seen on X-ray lungs).
        assert isinstance(head, nn.Conv2d)
        nn.init.normal_(head.weight, std=0.5 * head.in_channels**-0.5)


class UNetPlusPlus(nn.Module):
    """One branch: image in, logits of every head out.

    Args:
        network: features, kernel sizes, repeated levels, channels and classes.
        level: build only the nodes with i + j <= level; None builds all.
    """

    def __init__(self, network: NetworkConfig, level: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.level = network.depth if level is None else self._checked(level, network.depth)
        f, k = network.features, network.kernel_sizes
        self.nodes = nn.ModuleDict()
        self.ups = nn.ModuleDict()
        self.repeats = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        for i in range(self.level + 1):
            in_channels = network.in_channels if i == 0 else f[i - 1]
            self.nodes[f"x_{i}_0"] = Node(in_channels, f[i], k[i], 1 if i == 0 else 2)
            if i in network.repeat_levels:
                self.repeats[f"x_{i}_0"] = Node(f[i], f[i], k[i], 1)
        for j in range(1, self.level + 1):
            for i in range(self.level + 1 - j):
                self.ups[f"x_{i}_{j}"] = nn.ConvTranspose2d(f[i + 1], f[i], 2, 2)
                self.nodes[f"x_{i}_{j}"] = Node(f[i] * (j + 1), f[i], k[i], 1)
            self.heads[f"x_0_{j}"] = nn.Conv2d(f[0], network.classes, 1)
        initialise(self)

    @staticmethod
    def _checked(level: int, depth: int) -> int:
        if not 1 <= level <= depth:
            raise ValueError(f"level {level} does not exist; the network has levels 1..{depth}")
        return level

    def forward(self, image: Tensor, level: int | None = None) -> list[Tensor]:
        """Logits of the heads `level` .. 1, deepest first.

        Args:
            image: (B, in_channels, H, W); H and W multiples of 2**level.
            level: deepest head to compute; None for the deepest there is.

        Returns:
            list of (B, classes, H, W).

        Raises:
            ValueError: a level that does not exist, or a size that cannot be halved so often.
        """
        level = self.level if level is None else self._checked(level, self.level)
        height, width = image.shape[-2:]
        if height % 2**level or width % 2**level:
            raise ValueError(f"image {height}x{width} must be a multiple of {2**level} in both sides for level {level}")
        x: dict[tuple[int, int], Tensor] = {}
        for i in range(level + 1):
            x[i, 0] = self.nodes[f"x_{i}_0"](x[i - 1, 0] if i else image)
            if f"x_{i}_0" in self.repeats:
                x[i, 0] = self.repeats[f"x_{i}_0"](x[i, 0])
            # Each new backbone node lets one more diagonal of fusing nodes run.
            for j in range(1, i + 1):
                row = i - j
                name = f"x_{row}_{j}"
                up = self.ups[name](x[row + 1, j - 1])
                x[row, j] = self.nodes[name](torch.cat([*(x[row, n] for n in range(j)), up], dim=1))
        return [self.heads[f"x_0_{j}"](x[0, j]) for j in range(level, 0, -1)]

    def pruned(self, level: int) -> UNetPlusPlus:
        """A copy without the nodes that `level` does not need; its outputs equal `forward(image, level)` to the bit."""
        smaller = UNetPlusPlus(self.network, self._checked(level, self.level))
        wanted = smaller.state_dict()
        own = self.state_dict()
        smaller.load_state_dict({name: own[name] for name in wanted})
        reference = next(self.parameters())
        return smaller.to(device=reference.device, dtype=reference.dtype).train(self.training)
