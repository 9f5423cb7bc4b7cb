"""The network in torch, made for running only: normalisation folded into the convolutions, channels last, both branches.

Folding: in evaluation mode batch normalisation is a fixed scale and shift per channel, so it disappears in the
weights of the convolution before it. `together` runs both branches as one network of grouped convolutions, which
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

from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.level_steps import LevelSteps, NextNodes, bounds, require_numbers
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode
from ClamSegLib.model.unetplusplus import Node, UNetPlusPlus

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


def folded(twin: TwinUNet) -> TwinUNet:
    """A copy in evaluation mode whose batch normalisations stand in the weights; instance normalisation stays."""
    copied = copy.deepcopy(twin).eval()
    for node in copied.modules():
        if not isinstance(node, Node):
            continue
        for conv, norm in (("conv1", "norm1"), ("conv2", "norm2")):
            old = getattr(node, norm)
            if isinstance(old, nn.BatchNorm2d):
                setattr(node, conv, fuse_conv_bn_eval(getattr(node, conv), old))
                setattr(node, norm, nn.Identity())
    return copied


def can_fold(twin: TwinUNet) -> bool:
    """Whether every branch is a UNet++ with batch normalisation, which `FoldedBranches` computes."""
    return twin.network.normalisation == "batch" and all(isinstance(s, UNetPlusPlus) for s in twin.branches)


class JoinedMaps:
    """Memory for what a node joins, kept from node to node and from batch to batch.

    A node's joined maps are the largest of a network and are gone once its first convolution has run. Memory as large as
    that comes from the system page by page, which takes several times as long as copying the maps into it.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def of(self, parts: Sequence[Tensor]) -> Tensor:
        """`parts` (B, H, W, branch, channel) one after the other along the channels; valid until the next call."""
        shape = (*parts[0].shape[:4], sum(p.shape[4] for p in parts))
        numbers = math.prod(shape)
        kept = self._memory
        if kept.numel() < numbers or kept.dtype != parts[0].dtype or kept.device != parts[0].device:
            self._memory = torch.empty(0)  # the old is given back before the new is asked for
            self._memory = torch.empty(numbers, dtype=parts[0].dtype, device=parts[0].device)
        return torch.cat(list(parts), dim=4, out=self._memory[:numbers].view(shape))


class FoldedBranches(nn.Module):
    """One or two folded UNet++ branches as one network; two run as groups of the same convolutions.

    Maps lie in memory as (B, H, W, branch, channel), so that what a node joins is copied once, into its place.

    Args:
        branches: with folded normalisation, of one architecture and level.
        dtype: of maps and weights; heads stay in float32.
        joined: shared by the branches that run in turn.
    """

    def __init__(self, branches: Sequence[UNetPlusPlus], dtype: torch.dtype, joined: JoinedMaps) -> None:
        super().__init__()
        self._memory = joined
        self.n, self.level, self.dtype = len(branches), branches[0].level, dtype
        self.weights = nn.ParameterDict()
        self.layout: dict[str, tuple[int, int]] = {}
        for name, first in branches[0].named_modules():
            if not isinstance(first, nn.Conv2d | nn.ConvTranspose2d):
                continue
            twins = [branch.get_submodule(name) for branch in branches]
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
        """Branch by branch the channels of all parts."""
        b, _, h, w = parts[0].shape
        split = [p.permute(0, 2, 3, 1).reshape(b, h, w, self.n, -1) for p in parts]
        return self._memory.of(split).view(b, h, w, -1).permute(0, 3, 1, 2)

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """As `TwinUNet.forward`: per branch the logits of its heads, deepest first, float32."""
        x: dict[tuple[int, int], Tensor] = {}
        self.go_on(x, image, 0, self.level)
        return self.heads_of(x, 1, self.level)

    def go_on(self, x: dict[tuple[int, int], Tensor], image: Tensor | None, first: int, last: int) -> None:
        """As `UNetPlusPlus.go_on`; a map holds the channels of all branches one after the other."""
        for i in range(first, last + 1):
            if i == 0:
                assert image is not None
                # All branches see the same image, so their first convolutions are one without groups.
                x[0, 0] = self._node("nodes/x_0_0", image.to(self.dtype), 1)
            else:
                x[i, 0] = self._node(f"nodes/x_{i}_0", x[i - 1, 0], self.n)
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

    def heads_of(self, x: dict[tuple[int, int], Tensor], first: int, last: int) -> list[list[Tensor]]:
        """Per branch the logits of the heads `last` .. `first` from the nodes, float32."""
        heads = [self._conv(f"heads/x_0_{j}", x[0, j].float(), self.n) for j in range(last, first - 1, -1)]
        return [[head.chunk(self.n, 1)[k] for head in heads] for k in range(self.n)]


def _folded_branches(
    twin: TwinUNet, dtype: torch.dtype, choice: EngineChoice, device: torch.device
) -> list[FoldedBranches]:
    """The branches of a folded twin one by one, or as one group."""
    branches = [branch for branch in twin.branches if isinstance(branch, UNetPlusPlus)]
    groups = [branches] if choice.branches == "together" else [[branch] for branch in branches]
    joined = JoinedMaps()
    return [FoldedBranches(group, dtype, joined).to(device) for group in groups]


class ReferenceEngine(Engine):
    """The network as it was trained, in float32, on a device: what every other engine is compared with."""

    def __init__(self, twin: TwinUNet, config: ModelConfig, choice: EngineChoice, device: torch.device) -> None:
        super().__init__(choice)
        self._config, self._device = config, device
        self._network = twin.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _run(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        given = torch.from_numpy(image).to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch_threads(self.choice.threads if self._device.type == "cpu" else 0):
            logits = self._logits(given)
            require_numbers([head for heads in logits for head in heads], self.choice)
            found, differs = decode(logits, self._config)
        return found.float().cpu().numpy(), differs.float().cpu().numpy()

    def _logits(self, image: Tensor) -> list[list[Tensor]]:
        logits: list[list[Tensor]] = self._network(image)
        return logits


class TorchEngine(ReferenceEngine):
    """The folded network with the precision, threads and order of the branches of its choice."""

    def __init__(self, twin: TwinUNet, config: ModelConfig, choice: EngineChoice, device: torch.device) -> None:
        super().__init__(folded(twin), config, choice, device)
        self._dtype = _DTYPES[choice.precision]
        self._branches: list[FoldedBranches] = []
        if can_fold(twin):
            self._branches = _folded_branches(self._network, self._dtype, choice, device)
            del self._network
        else:
            self._network = self._network.to(self._dtype)

    def _logits(self, image: Tensor) -> list[list[Tensor]]:
        if self._branches:
            return [heads for group in self._branches for heads in group(image)]
        return super()._logits(image.to(self._dtype))


class _TorchStep:
    """A step on a device, in a precision, with a number of threads."""

    def __init__(self, nodes: NextNodes, dtype: torch.dtype, choice: EngineChoice, device: torch.device) -> None:
        self._nodes, self._dtype, self._device = nodes, dtype, device
        self._threads = choice.threads if device.type == "cpu" else 0

    def __call__(self, given: Sequence[Tensor]) -> Sequence[Tensor]:
        moved = [maps.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last) for maps in given]
        with torch.inference_mode(), torch_threads(self._threads):
            found: Sequence[Tensor] = self._nodes(*moved)
        return found


def torch_steps(
    twin: TwinUNet, config: ModelConfig, levels: Sequence[int], choice: EngineChoice, device: torch.device
) -> LevelSteps:
    """The network in steps to `levels`, by the engine 'reference' or 'torch'; of UNet++ only."""
    branches: Sequence[nn.Module]
    if choice.engine == "reference":
        dtype = torch.float32
        branches = list(twin.to(device, memory_format=torch.channels_last).branches)  # type: ignore[call-overload]
    else:
        dtype = _DTYPES[choice.precision]
        own = folded(twin)
        if can_fold(twin):
            branches = _folded_branches(own, dtype, choice, device)
        else:
            branches = list(own.to(device, dtype, memory_format=torch.channels_last).branches)  # type: ignore[call-overload]
    steps = [_TorchStep(NextNodes(branches, *bound), dtype, choice, device) for bound in bounds(levels)]
    return LevelSteps(config, levels, choice, steps)
