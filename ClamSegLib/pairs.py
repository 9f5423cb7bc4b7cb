"""Which slices are shown together: a diseased and a normal one from the same height of the organ.

Without matching positions anatomy alone predicts the label where normal slices lie at the ends of the organ,
and the networks learn that (docs/explanation.md).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ClamSegLib.errors import InputError


class PairSampler:
    """Draws position-matched pairs; patients, and conditions, are equally likely.

    Args:
        label: (N,) 0 normal, c condition.
        position: (N,) relative height of the slice in its organ, 0..1.
        patient: (N,) patient numbers.
        position_tolerance: largest difference of positions; beyond it the nearest slices serve.

    Raises:
        InputError: only one class is present.
    """

    def __init__(
        self, label: ArrayLike, position: ArrayLike, patient: ArrayLike, *, position_tolerance: float = 0.10
    ) -> None:
        self._label = np.asarray(label)
        self._position = np.asarray(position, dtype=np.float64)
        self._patient = np.asarray(patient)
        self._tolerance = position_tolerance
        normal, diseased = np.flatnonzero(self._label == 0), np.flatnonzero(self._label > 0)
        if len(normal) == 0 or len(diseased) == 0:
            came = "normal" if len(normal) else "diseased"
            raise InputError(f"All slices are {came}; pairs need normal and diseased slices.")
        self._normal = _ByPosition(normal, self._position)
        self._diseased = _ByPosition(diseased, self._position)
        # A diseased slice is drawn by condition, then patient, then slice.
        key = np.stack([self._label[diseased], self._patient[diseased]], axis=1)
        groups, group_of = np.unique(key, axis=0, return_inverse=True)
        group_of = group_of.ravel()
        per_condition = np.array([np.sum(groups[:, 0] == g[0]) for g in groups])
        weight = 1.0 / (per_condition[group_of] * np.bincount(group_of)[group_of])
        self._diseased_slices = diseased
        self._diseased_cumulative = np.cumsum(weight) / weight.sum()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`n` pairs: indices (n,) of diseased slices and of normal slices at their height."""
        random = torch.rand(2, n, generator=generator, dtype=torch.float64).numpy()
        place = np.searchsorted(self._diseased_cumulative, random[0]).clip(max=len(self._diseased_slices) - 1)
        diseased = self._diseased_slices[place]
        normal = self._normal.near(self._position[diseased], self._tolerance, random[1])
        return torch.from_numpy(diseased), torch.from_numpy(normal)

    def same_class(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`n` position-matched pairs of one class each, half of them normal; never teaches that a seam means disease."""
        diseased, normal = self.sample(n, generator)
        random = torch.rand(2, n, generator=generator, dtype=torch.float64).numpy()
        take_normal = random[0] < 0.5
        first = np.where(take_normal, normal.numpy(), diseased.numpy())
        position = self._position[first]
        among_normal = self._normal.near(position, self._tolerance, random[1])
        among_diseased = self._diseased.near(position, self._tolerance, random[1])
        # A second slice of another condition would carry a label at the seam: then the slice meets itself.
        among_diseased = np.where(self._label[among_diseased] == self._label[first], among_diseased, first)
        return torch.from_numpy(first), torch.from_numpy(np.where(take_normal, among_normal, among_diseased))


class _ByPosition:
    """Slices sorted by position, to draw one near a given position without a loop."""

    def __init__(self, slices: NDArray[np.int64], position: NDArray[np.float64]) -> None:
        order = np.argsort(position[slices], kind="stable")
        self._slices, self._sorted = slices[order], position[slices][order]

    def near(self, position: NDArray[np.float64], tolerance: float, random: NDArray[np.float64]) -> NDArray[np.int64]:
        """A slice within `tolerance` of each position, chosen by `random` in 0..1, else the nearest one."""
        # The small addition keeps a slice at exactly the tolerance, whatever the rounding.
        low = np.searchsorted(self._sorted, position - tolerance - 1e-9, side="left")
        high = np.searchsorted(self._sorted, position + tolerance + 1e-9, side="right")
        inside = low + np.floor(random * (high - low)).astype(np.int64)
        right = np.searchsorted(self._sorted, position).clip(max=len(self._sorted) - 1)
        left = (right - 1).clip(min=0)
        nearest = np.where(np.abs(self._sorted[left] - position) < np.abs(self._sorted[right] - position), left, right)
        chosen: NDArray[np.int64] = self._slices[np.where(high > low, inside.clip(max=len(self._sorted) - 1), nearest)]
        return chosen
