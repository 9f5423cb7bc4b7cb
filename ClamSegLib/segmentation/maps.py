"""The maps of a case while they are filled: what engines find in crops becomes P_L of every slice in its place.

With slice smoothing, or where outlines depend on the whole volume, the evidence of every slice is kept until all are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import peaks, sharpened, to_probability
from ClamSegLib.decoding.slice_smoothing import (
    evidence,
    log_odds_inside,
    mean_of_neighbours,
    smooth_across_slices,
    smooth_log_odds,
)
from ClamSegLib.decoding.volume_evidence import probability_of, raw_log_odds, weigh_together
from ClamSegLib.engines.engine import Engine
from ClamSegLib.model.normative_map import CHANNEL_SCALE, evidence_of
from ClamSegLib.organ.crop_and_normalise import Preparation, resize_to_box
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.system.sparse_memory import zeros_on_demand

_STAGE = "segmenting slices"


@dataclass
class CaseMaps:
    """Maps of a case, (K, slice, row, column) uint8 in steps of 1/255.

    Attributes:
        disagreement: of the branches; None where nobody asks for it, for it is as large as the probability.
        analysed: which slices have been through their last engine.
        smooths: evidence is averaged over neighbouring slices.
        kept: (N,K,S,S) evidence of every slice, sharpened or still to be smoothed; None where each slice stands for itself.
        unlike_normal: (N,S,S) normative map, where it is weighed beside the network; else None.
        organ: (N,S,S) where it is weighed.
    """

    preparation: Preparation
    reporter: Reporter
    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8] | None
    analysed: NDArray[np.bool_]
    smooths: bool
    kept: NDArray[np.float16] | None
    unlike_normal: NDArray[np.float16] | None = None
    organ: NDArray[np.bool_] | None = None

    @staticmethod
    def empty_for(
        preparation: Preparation, reporter: Reporter, smooths: bool, *, with_disagreement: bool = False
    ) -> CaseMaps:
        """Empty maps of a case."""
        config = preparation.config
        shape = (len(config.conditions), *preparation.volume.array.shape)
        weighed = config.volume_evidence is not None
        waits = smooths or weighed or (config.refinement is not None and config.refinement.volume_peak_share > 0)
        side = config.image_size
        kept = np.zeros((shape[1], shape[0], side, side), np.float16) if waits else None
        unlike_normal = np.zeros((shape[1], side, side), np.float16) if weighed else None
        organ = np.zeros((shape[1], side, side), np.bool_) if weighed else None
        reporter.progress(0, preparation.n_slices, _STAGE)
        differs = zeros_on_demand(shape, np.uint8) if with_disagreement else None
        probability, analysed = zeros_on_demand(shape, np.uint8), np.zeros(shape[1], bool)
        return CaseMaps(preparation, reporter, probability, differs, analysed, smooths, kept, unlike_normal, organ)

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
            image: (B,C,S,S) its input.
            found: (B,K,S,S) P_L; `differs` likewise, of its branches.
        """
        refinement = self.preparation.config.refinement
        calibration = self.preparation.config.calibration
        if (self.smooths and calibration) or self.unlike_normal is not None:
            assert self.kept is not None
            organ = self.preparation.organ_input(indices)
            self.kept[indices] = log_odds_inside(found, organ, calibration)
            self._note_unlike_normal(indices, image, organ)
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
        if self.disagreement is not None:
            paste_steps(self.preparation, differs, indices, self.disagreement)
        self.analysed[indices] = True
        self.reporter.progress(int(self.analysed.sum()), len(self.analysed), _STAGE)

    def _note_unlike_normal(
        self, indices: NDArray[np.int64], image: NDArray[np.float32], organ: NDArray[np.bool_]
    ) -> None:
        """Keeps the normative map of slices whose network input (B,3,S,S) is (x, z, m) / 2, where it is needed."""
        normative = self.preparation.config.normative
        if self.unlike_normal is None or self.organ is None or normative is None:
            return
        self.organ[indices] = organ
        _, z, m = np.moveaxis(image / CHANNEL_SCALE, 1, 0)
        self.unlike_normal[indices] = evidence_of(z, m, organ, normative)

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
        if self.unlike_normal is not None:
            self._weigh_with_volume(self.kept, self.unlike_normal, batches)
            return
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

    def _weigh_with_volume(
        self, kept: NDArray[np.float16], unlike_normal: NDArray[np.float16], batches: list[NDArray[np.int64]]
    ) -> None:
        """The probability from the network's log odds and the normative map of the whole volume."""
        preparation, config = self.preparation, self.preparation.config
        assert config.volume_evidence is not None
        assert config.normative is not None
        assert self.organ is not None
        organ = self.organ
        own = np.empty_like(kept)
        for indices in batches:
            odds = mean_of_neighbours(kept, indices[0], indices[-1] + 1) if self.smooths else kept[indices]
            own[indices] = raw_log_odds(odds.astype(np.float32), organ[indices], config.calibration)
        self.kept = None  # memory

        def image(k: int) -> NDArray[np.float32]:
            return np.asarray(preparation.image(np.array([k]))[0])

        weigh_together(own, unlike_normal, organ, image, config.normative, config.volume_evidence)
        for indices in batches:
            found = probability_of(own[indices], config.volume_evidence)
            paste_steps(preparation, found, indices, self.probability)


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
            organ = preparation.mask[index, rows, columns]
            shows = np.flatnonzero(organ.any(axis=1))
            if len(shows):  # where nothing is written no memory is taken
                own = slice(shows[0], shows[-1] + 1)
                place = into[condition, index, rows, columns]
                np.multiply(steps[own], organ[own], out=place[own], casting="unsafe")
