"""The maps of a case while they are filled: what engines find in crops becomes P_L of every slice in its place.

With slice smoothing, or where outlines depend on the strongest evidence of the volume, the evidence of every slice is kept
until all are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import peaks, sharpened, to_probability
from ClamSegLib.decoding.slice_smoothing import evidence, log_odds_inside, smooth_across_slices, smooth_log_odds
from ClamSegLib.engines.engine import Engine
from ClamSegLib.organ.crop_and_normalise import Preparation, resize_to_box
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter

_STAGE = "segmenting slices"


@dataclass
class CaseMaps:
    """Maps of a case, (K, slice, row, column) uint8 in steps of 1/255.

    Attributes:
        analysed: which slices have been through their last engine.
        smooths: evidence is averaged over neighbouring slices.
        kept: (N,K,S,S) evidence of every slice, sharpened or still to be smoothed; None where each slice stands for itself.
    """

    preparation: Preparation
    reporter: Reporter
    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8]
    analysed: NDArray[np.bool_]
    smooths: bool
    kept: NDArray[np.float16] | None

    @staticmethod
    def empty_for(preparation: Preparation, reporter: Reporter, smooths: bool) -> CaseMaps:
        """Empty maps of a case."""
        config = preparation.config
        shape = (len(config.conditions), *preparation.volume.array.shape)
        waits = smooths or (config.refinement is not None and config.refinement.volume_peak_share > 0)
        side = config.image_size
        kept = np.zeros((shape[1], shape[0], side, side), np.float16) if waits else None
        reporter.progress(0, preparation.n_slices, _STAGE)
        empty = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        return CaseMaps(preparation, reporter, *empty, np.zeros(shape[1], bool), smooths, kept)

    def run(self, engine: Engine, batch_size: int) -> None:
        """Takes every slice through an engine."""
        for indices in self.batches(batch_size):
            image = self.preparation.network_input(indices)
            self.take(indices, image, *engine.run(image))

    def batches(self, batch_size: int) -> list[NDArray[np.int64]]:
        """The numbers of all slices, `batch_size` at a time."""
        n = len(self.analysed)
        return [np.arange(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]

    def take(
        self,
        indices: NDArray[np.int64],
        image: NDArray[np.float32],
        found: NDArray[np.float32],
        differs: NDArray[np.float32],
    ) -> None:
        """Notes what a network has found in slices.

        Args:
            image: (B,1,S,S) its input.
            found: (B,K,S,S) P_L; `differs` likewise, of its branches.
        """
        refinement = self.preparation.config.refinement
        calibration = self.preparation.config.calibration
        if self.smooths and calibration:
            assert self.kept is not None
            self.kept[indices] = log_odds_inside(found, self.preparation.organ_input(indices), calibration)
        elif self.smooths:
            assert self.kept is not None
            self.kept[indices] = evidence(found)  # sharpened when all are known
        elif refinement is None:
            paste_steps(self.preparation, found, indices, self.probability)
        else:
            ratio = sharpened(found, image, refinement)
            if self.kept is not None:
                self.kept[indices] = ratio
            else:
                peak = peaks(ratio, self.preparation.organ_input(indices))
                paste_steps(self.preparation, to_probability(ratio, peak, refinement), indices, self.probability)
        paste_steps(self.preparation, differs, indices, self.disagreement)
        self.analysed[indices] = True
        self.reporter.progress(int(self.analysed.sum()), len(self.analysed), _STAGE)

    def finish(self, batch_size: int) -> None:
        """Makes the probability from what was kept of all slices.

        Raises:
            ClamSegError: a slice was not analysed.
        """
        if not self.analysed.all():
            raise ClamSegError(
                f"Only {self.analysed.sum()} of {len(self.analysed)} slices were analysed; the result is not given out."
            )
        if self.kept is None:
            return
        batches = self.batches(batch_size)
        refinement = self.preparation.config.refinement
        if refinement is None:
            smooth = smooth_log_odds if self.preparation.config.calibration else smooth_across_slices
            for indices in batches:
                found = smooth(self.kept, indices[0], indices[-1] + 1)
                paste_steps(self.preparation, found, indices, self.probability)
            return
        if self.smooths:
            smoothed = np.empty_like(self.kept)
            for indices in batches:
                found = smooth_across_slices(self.kept, indices[0], indices[-1] + 1)
                smoothed[indices] = sharpened(found, self.preparation.network_input(indices), refinement)
            self.kept = smoothed
        strongest = np.concatenate([peaks(self.kept[i], self.preparation.organ_input(i)) for i in batches])
        for indices in batches:
            found = to_probability(self.kept[indices], strongest[indices], refinement, strongest.max(axis=0))
            paste_steps(self.preparation, found, indices, self.probability)


def paste_steps(
    preparation: Preparation, maps: NDArray[np.float32], indices: NDArray[np.int64], into: NDArray[np.uint8]
) -> None:
    """Writes crops (B,K,S,S) in 0..1 as steps of 1/255 into the slices `indices` of (K, slice, row, column)."""
    box = preparation.box
    _, rows, columns = box.slices
    for condition in range(maps.shape[1]):
        values = resize_to_box(maps[:, condition], box)
        np.clip(values, 0, 1, out=values)
        values *= 255
        np.rint(values, out=values)
        # Slice by slice, so that what one step writes the next finds in the processor's cache.
        for index, steps in zip(indices, values, strict=True):
            # Outside the organ nothing was ever taught, so there the network's answer means nothing.
            place = into[condition, index, rows, columns]
            np.multiply(steps, preparation.mask[index, rows, columns], out=place, casting="unsafe")
