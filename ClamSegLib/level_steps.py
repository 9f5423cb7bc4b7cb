"""Slices on their way through the levels of a network: what a shallow level has computed stays for the next.

The nodes of level L are among those of every deeper one, so a slice that goes on costs only the nodes that are new.
Slices whose answer is final are left out of the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ClamSegLib.engines.engine import EngineChoice, Maps
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.twin import decode
from ClamSegLib.model.unetplusplus import UNetPlusPlus, nodes_of
from ClamSegLib.system.errors import EngineError

Step = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class NextNodes(nn.Module):
    """The nodes of levels `first` .. `last` of all branches, as one step.

    Args:
        branches: UNet++ of one architecture, or folded groups of them.
        first: nodes with i + j < `first` are given; 0: the image is.
        last: level that the step reaches.
        ends: no step follows, so that no nodes are handed on.
    """

    def __init__(self, branches: Iterable[nn.Module], first: int, last: int, ends: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.first, self.last, self.ends = first, last, ends

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Branch by branch the logits of the new heads, deepest first; then branch by branch the new nodes.

        Args:
            given: the image (B,1,S,S), or branch by branch all nodes of the level before.
        """
        known = nodes_of(self.first - 1)
        heads: list[Tensor] = []
        nodes: list[Tensor] = []
        for number, branch in enumerate(self.branches):
            own = given[number * len(known) : (number + 1) * len(known)]
            x = dict(zip(known, own, strict=True))
            branch.go_on(x, None if known else given[0], self.first, self.last)  # type: ignore[operator]
            found = branch.heads_of(x, max(self.first, 1), self.last)  # type: ignore[operator]
            heads += found if isinstance(branch, UNetPlusPlus) else [head for one in found for head in one]
            nodes += [] if self.ends else [x[node] for node in nodes_of(self.last)[len(known) :]]
        return (*heads, *nodes)


def shapes_of_step(
    config: ModelConfig, first: int, last: int, ends: bool
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Names and shapes (C,H,W) of what a step of unfolded branches takes and gives."""
    network, side = config.network, config.image_size
    branches = range(network.branches)

    def maps(wanted: list[tuple[int, int]]) -> dict[str, tuple[int, ...]]:
        return {
            f"shell_{k}_x_{i}_{j}": (network.features[i], side >> i, side >> i) for k in branches for i, j in wanted
        }

    known = nodes_of(first - 1)

    image: dict[str, tuple[int, ...]] = {"image": (network.in_channels, side, side)}
    levels = range(min(last, network.heads), max(first, 1) - 1, -1)
    heads: dict[str, tuple[int, ...]] = {
        f"shell_{k}_head_{j}": (network.classes, side, side) for k in branches for j in levels
    }
    return maps(known) if first else image, heads if ends else {**heads, **maps(nodes_of(last)[len(known) :])}


@dataclass(frozen=True)
class Halfway:
    """Slices that have reached a level.

    Attributes:
        slices: (B,) which slices they are, to whoever sent them.
        image: (B,1,S,S) their crops.
        heads: per branch, deepest first, logits (B, classes, S, S) of the heads so far.
        nodes: branch by branch the maps (B,...) of all nodes of the level, as the engine keeps them; none at the end.
    """

    slices: NDArray[np.int64]
    image: NDArray[np.float32]
    heads: list[list[Tensor]]
    nodes: list[Tensor]

    def of(self, rows: NDArray[np.int64]) -> Halfway:
        """Those at `rows` of 0..B-1, in memory of their own, so that one that waits does not keep a whole batch."""
        if np.array_equal(rows, np.arange(len(self.slices))):
            return self
        wanted = torch.from_numpy(rows)

        def picked(maps: Tensor) -> Tensor:
            return maps[wanted.to(maps.device)]

        heads = [[picked(head) for head in branch] for branch in self.heads]
        return Halfway(self.slices[rows], self.image[rows], heads, [picked(node) for node in self.nodes])

    @staticmethod
    def together(parts: Sequence[Halfway]) -> Halfway:
        """All slices of parts that have reached the same level."""
        if len(parts) == 1:
            return parts[0]
        branches = zip(*(part.heads for part in parts), strict=True)
        return Halfway(
            np.concatenate([part.slices for part in parts]),
            np.concatenate([part.image for part in parts]),
            [[torch.cat(same) for same in zip(*branch, strict=True)] for branch in branches],
            [torch.cat(same) for same in zip(*(part.nodes for part in parts), strict=True)],
        )


class LevelSteps:
    """A network that stops at some levels, the last of them as deep as it goes.

    Args:
        config: of the model.
        levels: where it stops, shallow first.
        choice: what computes the steps.
        steps: to each of the levels from the one before, as `NextNodes` takes and gives maps.
    """

    def __init__(self, config: ModelConfig, levels: Sequence[int], choice: EngineChoice, steps: Sequence[Step]) -> None:
        self.config, self.levels, self.choice, self._steps = config, tuple(levels), choice, tuple(steps)

    def begin(self, slices: NDArray[np.int64], image: NDArray[np.float32]) -> Halfway:
        """Takes crops (B,1,S,S) of slices (B,) to the first of the levels."""
        none: list[list[Tensor]] = [[] for _ in range(self.config.network.branches)]
        crops = np.ascontiguousarray(image)
        return self._went(0, Halfway(slices, crops, none, [torch.from_numpy(crops)]))

    def go_on(self, step: int, halfway: Halfway) -> Halfway:
        """Takes slices that have reached `levels[step - 1]` to `levels[step]`."""
        return self._went(step, halfway)

    def maps(self, halfway: Halfway) -> Maps:
        """Probability and disagreement (B,K,S,S) float32 at the level that was reached."""
        found, differs = decode(halfway.heads, self.config)
        return found.float().cpu().numpy(), differs.float().cpu().numpy()

    def _went(self, step: int, halfway: Halfway) -> Halfway:
        found = list(self._steps[step](halfway.nodes))
        new = self.levels[step] - (self.levels[step - 1] if step else 0)
        require_numbers(found[: new * len(halfway.heads)], self.choice)
        heads = [[*found[k * new : (k + 1) * new], *shallow] for k, shallow in enumerate(halfway.heads)]
        return Halfway(
            halfway.slices, halfway.image, heads, self._all_nodes(step, halfway.nodes, found[new * len(heads) :])
        )

    def _all_nodes(self, step: int, before: list[Tensor], new: list[Tensor]) -> list[Tensor]:
        """The nodes of a level from those of the level before and those that its step added."""
        if not step or not new:
            return new
        known = len(nodes_of(self.levels[step - 1]))
        added = len(nodes_of(self.levels[step])) - known
        groups = range(len(before) // known)  # branches, or groups of them that an engine computes together
        return [
            maps for k in groups for maps in (*before[k * known : (k + 1) * known], *new[k * added : (k + 1) * added])
        ]


def require_numbers(heads: Iterable[Tensor], choice: EngineChoice) -> None:
    """Refuses logits that overflowed: decoded, they would mark nothing, or everything, without a word.

    Raises:
        EngineError: a logit is infinite or no number.
    """
    if not all(bool(head.isfinite().all()) for head in heads):
        raise EngineError(
            f"The engine '{choice.engine}' answered with values that are no numbers; "
            + ("the model is damaged." if choice.engine == "reference" else "run again with --engine reference.")
        )


def bounds(levels: Sequence[int]) -> list[tuple[int, int, bool]]:
    """First and last diagonal i + j of the step to each of the levels, and whether it is the last step."""
    firsts = [0, *(level + 1 for level in levels[:-1])]
    return [(first, last, last == levels[-1]) for first, last in zip(firsts, levels, strict=True)]
