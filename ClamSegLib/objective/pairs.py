"""Which slices are shown together: a diseased and a normal one from the same height of the organ.

Without matching positions anatomy alone predicts the label where normal slices lie at the ends of the organ,
and the networks learn that (docs/explanation.md).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ClamSegLib.system.errors import InputError

# Draws of a partner until one is of another patient; the last resort is the same patient, which is allowed.
_TRIES = 4


class PairSampler:
    """Draws position-matched pairs; conditions, and patients within a condition, are equally likely.

    Normal slices are drawn evenly among those at the right height, of another patient where there is one. The
    same patient's are allowed: negatives from the volumes that show disease keep the scanner from telling.

    Args:
        label: (N,) 0 normal, c condition.
        position: (N,) relative height of the slice in its organ, 0..1; 0.5 for single images.
        patient: (N,) patient numbers.
        position_tolerance: largest difference of positions; beyond it the nearest slice serves.

    Raises:
        InputError: only one class is present, or the three lists do not fit.
    """

    def __init__(
        self,
        label: ArrayLike,
        position: ArrayLike,
        patient: ArrayLike,
        *,
        position_tolerance: float = 0.10,
    ) -> None:
        self._label = np.asarray(label)
        self._position = np.asarray(position, dtype=np.float64)
        self._patient = np.asarray(patient)
        self._check(position_tolerance)
        self._of_class = {
            int(c): _ByPosition(np.flatnonzero(self._label == c), self._position, self._patient, position_tolerance)
            for c in np.unique(self._label)
        }
        # A diseased slice is drawn by condition, then patient, then slice.
        self._diseased = np.flatnonzero(self._label > 0)
        key = np.stack([self._label[self._diseased], self._patient[self._diseased]], axis=1)
        groups, group_of = np.unique(key, axis=0, return_inverse=True)
        group_of = group_of.ravel()
        patients_of_condition = np.bincount(groups[:, 0])[groups[:, 0]]
        weight = 1.0 / (patients_of_condition[group_of] * np.bincount(group_of)[group_of])
        self._cumulative = np.cumsum(weight) / weight.sum()

    def _check(self, tolerance: float) -> None:
        shapes = {self._label.shape, self._position.shape, self._patient.shape}
        if len(shapes) != 1 or self._label.ndim != 1:
            raise InputError(f"Labels, positions and patients must be lists of one length; came {sorted(shapes)}.")
        if not np.isfinite(self._position).all():
            raise InputError("A slice position is not a number; positions lie in 0..1, and 0.5 stands for unknown.")
        if not tolerance >= 0:
            raise InputError(f"position_tolerance {tolerance} must not be negative.")
        n_normal, n_diseased = int((self._label == 0).sum()), int((self._label > 0).sum())
        if n_normal == 0 or n_diseased == 0:
            raise InputError(
                f"Pairs need normal and diseased slices; came {n_normal} normal and {n_diseased} diseased ones."
            )

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`n` pairs: indices (n,) int64 of diseased slices and of normal slices at their height, on the CPU."""
        random = torch.rand(1 + _TRIES, n, generator=generator, dtype=torch.float64).numpy()
        place = np.searchsorted(self._cumulative, random[0], side="right").clip(max=len(self._diseased) - 1)
        diseased = self._diseased[place]
        normal = self._of_class[0].near(self._position[diseased], self._patient[diseased], random[1:])
        return torch.from_numpy(diseased), torch.from_numpy(normal)


class _ByPosition:
    """Slices of one class sorted by position, to draw one near a given position without a loop."""

    def __init__(
        self, slices: NDArray[np.int64], position: NDArray[np.float64], patient: NDArray[np.int64], tolerance: float
    ) -> None:
        self._slices = slices[np.argsort(position[slices], kind="stable")]
        self._sorted, self._patient = position[self._slices], patient[self._slices]
        # The small addition keeps a slice at exactly the tolerance, whatever the rounding.
        self._tolerance = tolerance + 1e-9

    def near(
        self, position: NDArray[np.float64], patient: NDArray[np.int64], random: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """A slice within the tolerance of each position (n,), of another patient where a try finds one.

        Args:
            position: (n,) wanted.
            patient: (n,) to avoid.
            random: (tries, n) in 0..1, each a draw of a slice; without a slice near enough the nearest is taken.
        """
        low = np.searchsorted(self._sorted, position - self._tolerance, side="left")
        high = np.searchsorted(self._sorted, position + self._tolerance, side="right")
        last = len(self._sorted) - 1
        drawn = np.minimum(low + np.floor(random * (high - low)).astype(np.int64), last)
        found = np.argmax(self._patient[drawn] != patient, axis=0)  # 0, the first try, when none is of another patient
        inside = np.take_along_axis(drawn, found[None], axis=0)[0]
        right = np.searchsorted(self._sorted, position).clip(max=last)
        left = (right - 1).clip(min=0)
        nearest = np.where(np.abs(self._sorted[left] - position) < np.abs(self._sorted[right] - position), left, right)
        chosen: NDArray[np.int64] = self._slices[np.where(high > low, inside, nearest)]
        return chosen
