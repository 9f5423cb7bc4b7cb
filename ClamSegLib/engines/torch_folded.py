"""The network in torch, made for running only: normalisation folded into the convolutions, channels last.

Folding: in evaluation mode batch normalisation is a fixed scale and shift per channel, so it disappears in the
weights of the convolution before it. Heads and decoding compute in float32 whatever the precision.
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
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ClamSegLib.engines.engine import Engine, EngineChoice, Maps
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import TwinUNet, decode
from ClamSegLib.model.unetplusplus import Node, UNetPlusPlus
from ClamSegLib.system.errors import EngineError

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
    """A copy in evaluation mode whose batch normalisations stand in the weights."""
    copied = copy.deepcopy(twin).eval()
    for node in copied.modules():
        if isinstance(node, Node):
            for conv, norm in (("conv1", "norm1"), ("conv2", "norm2")):
                setattr(node, conv, fuse_conv_bn_eval(getattr(node, conv), getattr(node, norm)))
                setattr(node, norm, nn.Identity())
    return copied


def maps_of(logits: Sequence[Sequence[Tensor]], config: ModelConfig, choice: EngineChoice) -> Maps:
    """Probability and disagreement (B,K,S,S) float32 of logits as `TwinUNet.forward` gives them.

    Raises:
        EngineError: a logit is infinite or no number; decoded, it would mark nothing, or everything, without a word.
    """
    if not all(bool(head.isfinite().all()) for heads in logits for head in heads):
        raise EngineError(
            f"The engine '{choice.engine}' answered with values that are no numbers; "
            + ("the model is damaged." if choice.engine == "reference" else "run again with --engine reference.")
        )
    found, differs = decode(logits, config)
    return found.float().cpu().numpy(), differs.float().cpu().numpy()


class JoinedMaps:
    """Memory for what a node joins, kept from node to node and from batch to batch.

    A node's joined maps are the largest of a network and are gone once its first convolution has run. Memory as large as
    that comes from the system page by page, which takes several times as long as copying the maps into it.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def of(self, parts: Sequence[Tensor]) -> Tensor:
        """`parts` (B,C,H,W), channels last, one after the other along the channels; valid until the next call."""
        batch, _, height, width = parts[0].shape
        shape = (batch, height, width, sum(part.shape[1] for part in parts))
        numbers = math.prod(shape)
        kept = self._memory
        if kept.numel() < numbers or kept.dtype != parts[0].dtype or kept.device != parts[0].device:
            self._memory = torch.empty(0)  # the old is given back before the new is asked for
            self._memory = torch.empty(numbers, dtype=parts[0].dtype, device=parts[0].device)
        joined = self._memory[:numbers].view(shape)
        return torch.cat([part.permute(0, 2, 3, 1) for part in parts], dim=3, out=joined).permute(0, 3, 1, 2)


class FoldedBranch(nn.Module):
    """A folded UNet++ whose joined maps lie in memory that is kept.

    Args:
        branch: with folded normalisation; taken over, not copied.
        dtype: of maps and weights; heads stay in float32.
        joined: shared by the branches, which run in turn.
    """

    def __init__(self, branch: UNetPlusPlus, dtype: torch.dtype, joined: JoinedMaps) -> None:
        super().__init__()
        self._branch, self._dtype, self._joined = branch.to(dtype), dtype, joined
        self._branch.heads.float()

    def forward(self, image: Tensor) -> list[Tensor]:
        """As `UNetPlusPlus.forward` at the branch's own level."""
        own, x = self._branch, dict[tuple[int, int], Tensor]()
        for i in range(own.level + 1):
            x[i, 0] = self._node(own.nodes[f"x_{i}_0"], x[i - 1, 0] if i else image.to(self._dtype))
            if f"x_{i}_0" in own.repeats:
                x[i, 0] = self._node(own.repeats[f"x_{i}_0"], x[i, 0])
            for j in range(1, i + 1):
                row = i - j
                up = own.ups[f"x_{row}_{j}"](x[row + 1, j - 1])
                x[row, j] = self._node(own.nodes[f"x_{row}_{j}"], self._joined.of([*(x[row, k] for k in range(j)), up]))
        return [own.heads[f"x_0_{j}"](x[0, j].float()) for j in range(own.level, 0, -1)]

    @staticmethod
    def _node(node: nn.Module, x: Tensor) -> Tensor:
        x = node.conv1(x).relu_()  # type: ignore[operator]
        found: Tensor = node.conv2(x).relu_()  # type: ignore[operator]
        return found


class ReferenceEngine(Engine):
    """The network as it was trained, in float32, on a device: what every other engine is compared with."""

    def __init__(self, twin: TwinUNet, config: ModelConfig, choice: EngineChoice, device: torch.device) -> None:
        super().__init__(choice)
        self._config, self._device = config, device
        self._network = twin.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, image: NDArray[np.float32]) -> Maps:
        """As `Engine.run`."""
        given = torch.from_numpy(image).to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch_threads(self.choice.threads if self._device.type == "cpu" else 0):
            return maps_of(self._logits(given), self._config, self.choice)

    def _logits(self, image: Tensor) -> list[list[Tensor]]:
        logits: list[list[Tensor]] = self._network(image)
        return logits


class TorchEngine(ReferenceEngine):
    """The folded network with the precision and threads of its choice."""

    def __init__(self, twin: TwinUNet, config: ModelConfig, choice: EngineChoice, device: torch.device) -> None:
        super().__init__(folded(twin), config, choice, device)
        self._dtype, joined = _DTYPES[choice.precision], JoinedMaps()
        self._branches = [
            FoldedBranch(branch, self._dtype, joined) if isinstance(branch, UNetPlusPlus) else branch.to(self._dtype)
            for branch in self._network.branches
        ]

    def _logits(self, image: Tensor) -> list[list[Tensor]]:
        return [branch(image.to(self._dtype)) for branch in self._branches]
