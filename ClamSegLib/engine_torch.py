"""The network in torch, made for running only: normalisation folded into the convolutions, channels last, both shells.

Folding: in evaluation mode batch normalisation is a fixed scale and shift per channel, so it disappears in the
weights of the convolution before it. `together` runs both shells as one network of grouped convolutions, which
halves the number of calls and pays for narrow networks; `in turn` runs one after the other. Heads and decoding
compute in float32 whatever the precision.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ClamSegLib.clam import Clam, decode
from ClamSegLib.config import ModelConfig
from ClamSegLib.engine import Engine, EngineChoice
from ClamSegLib.unetplusplus import Node, UNetPlusPlus

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs a block with `count` threads of torch (0 leaves them), and gives the old number back."""
    before = torch.get_num_threads()
    if count and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def folded(clam: Clam) -> Clam:
    """A copy in evaluation mode whose batch normalisations stand in the weights; instance normalisation stays."""
    copied = copy.deepcopy(clam).eval()
    for node in copied.modules():
        if not isinstance(node, Node):
            continue
        for conv, norm in (("conv1", "norm1"), ("conv2", "norm2")):
            old = getattr(node, norm)
            if isinstance(old, nn.BatchNorm2d):
                setattr(node, conv, fuse_conv_bn_eval(getattr(node, conv), old))
                setattr(node, norm, nn.Identity())
    return copied


def can_fold(clam: Clam) -> bool:
    """Whether every shell is a UNet++ with batch normalisation, which `FoldedShells` computes."""
    return clam.network.normalisation == "batch" and all(isinstance(s, UNetPlusPlus) for s in clam.shells)


class JoinedMaps:
    """Memory for what a node joins, kept from node to node and from batch to batch.

    A node's joined maps are the largest of a network and are gone once its first convolution has run. Memory as large as
    that comes from the system page by page, which takes several times as long as copying the maps into it.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def of(self, parts: Sequence[Tensor]) -> Tensor:
        """`parts` (B, H, W, shell, channel) one after the other along the channels; valid until the next call."""
        shape = (*parts[0].shape[:4], sum(p.shape[4] for p in parts))
        numbers = math.prod(shape)
        kept = self._memory
        if kept.numel() < numbers or kept.dtype != parts[0].dtype or kept.device != parts[0].device:
            self._memory = torch.empty(0)  # the old is given back before the new is asked for
            self._memory = torch.empty(numbers, dtype=parts[0].dtype, device=parts[0].device)
        return torch.cat(list(parts), dim=4, out=self._memory[:numbers].view(shape))


class FoldedShells(nn.Module):
    """One or two folded UNet++ shells as one network; two run as groups of the same convolutions.

    Maps lie in memory as (B, H, W, shell, channel), so that what a node joins is copied once, into its place.

    Args:
        shells: with folded normalisation, of one architecture and level.
        dtype: of maps and weights; heads stay in float32.
        joined: shared by the shells that run in turn.
    """

    def __init__(self, shells: Sequence[UNetPlusPlus], dtype: torch.dtype, joined: JoinedMaps) -> None:
        super().__init__()
        self._memory = joined
        self.n, self.level, self.dtype = len(shells), shells[0].level, dtype
        self.weights = nn.ParameterDict()
        self.layout: dict[str, tuple[int, int]] = {}
        for name, first in shells[0].named_modules():
            if not isinstance(first, nn.Conv2d | nn.ConvTranspose2d):
                continue
            twins = [shell.get_submodule(name) for shell in shells]
            kind = torch.float32 if name.startswith("heads") else dtype
            weight = torch.cat([t.weight.detach() for t in twins]).to(kind)  # type: ignore[operator]
            bias = torch.cat([t.bias.detach() for t in twins]).to(kind)  # type: ignore[operator]
            key = name.replace(".", "/")
            self.weights[f"{key}/weight"] = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), False)
            self.weights[f"{key}/bias"] = nn.Parameter(bias, False)
            self.layout[key] = (first.stride[0], int(first.padding[0]))

    def _conv(self, name: str, x: Tensor, groups: int) -> Tensor:
        stride, padding = self.layout[name]
        weight, bias = self.weights[f"{name}/weight"], self.weights[f"{name}/bias"]
        return conv2d(x, weight, bias, stride, padding, groups=groups)

    def _node(self, name: str, x: Tensor, groups: int) -> Tensor:
        x = self._conv(f"{name}/conv1", x, groups).relu_()
        return self._conv(f"{name}/conv2", x, self.n).relu_()

    def _joined(self, parts: list[Tensor]) -> Tensor:
        """Shell by shell the channels of all parts."""
        b, _, h, w = parts[0].shape
        split = [p.permute(0, 2, 3, 1).reshape(b, h, w, self.n, -1) for p in parts]
        return self._memory.of(split).view(b, h, w, -1).permute(0, 3, 1, 2)

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """As `Clam.forward`: per shell the logits of its heads, deepest first, float32."""
        x: dict[tuple[int, int], Tensor] = {}
        image = image.to(self.dtype)
        for i in range(self.level + 1):
            # All shells see the same image, so their first convolutions are one without groups.
            x[i, 0] = self._node(f"nodes/x_{i}_0", x[i - 1, 0] if i else image, self.n if i else 1)
            if f"repeats/x_{i}_0/conv1" in self.layout:
                x[i, 0] = self._node(f"repeats/x_{i}_0", x[i, 0], self.n)
            for j in range(1, i + 1):
                row = i - j
                up = f"ups/x_{row}_{j}"
                above = conv_transpose2d(
                    x[row + 1, j - 1], self.weights[f"{up}/weight"], self.weights[f"{up}/bias"], 2, groups=self.n
                )
                joined = self._joined([*(x[row, k] for k in range(j)), above])
                x[row, j] = self._node(f"nodes/x_{row}_{j}", joined, self.n)
        heads = [self._conv(f"heads/x_0_{j}", x[0, j].float(), self.n) for j in range(self.level, 0, -1)]
        return [[head.chunk(self.n, 1)[k] for head in heads] for k in range(self.n)]


class ReferenceEngine(Engine):
    """The network as it was trained, in float32, on a device: what every other engine is compared with."""

    def __init__(self, clam: Clam, config: ModelConfig, choice: EngineChoice, device: torch.device) -> None:
        super().__init__(choice)
        self._config, self._device = config, device
        self._network = clam.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _run(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        given = torch.from_numpy(image).to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch_threads(self.choice.threads if self._device.type == "cpu" else 0):
            found, differs = decode(self._logits(given), self._config)
        return found.float().cpu().numpy(), differs.float().cpu().numpy()

    def _logits(self, image: Tensor) -> list[list[Tensor]]:
        logits: list[list[Tensor]] = self._network(image)
        return logits


class TorchEngine(ReferenceEngine):
    """The folded network with the precision, threads and order of the shells of its choice."""

    def __init__(self, clam: Clam, config: ModelConfig, choice: EngineChoice, device: torch.device) -> None:
        super().__init__(folded(clam), config, choice, device)
        self._dtype = _DTYPES[choice.precision]
        self._shells: list[FoldedShells] = []
        if can_fold(clam):
            shells = [s for s in self._network.shells if isinstance(s, UNetPlusPlus)]
            groups = [shells] if choice.shells == "together" else [[s] for s in shells]
            joined = JoinedMaps()
            self._shells = [FoldedShells(group, self._dtype, joined).to(device) for group in groups]
            del self._network
        else:
            self._network = self._network.to(self._dtype)

    def _logits(self, image: Tensor) -> list[list[Tensor]]:
        if self._shells:
            return [heads for group in self._shells for heads in group(image)]
        return super()._logits(image.to(self._dtype))
