"""The maps of a case while they are filled: what engines find in crops becomes P_L of every slice in its place.

A model that hears slices together, or whose outlines depend on the strongest evidence of the volume, keeps the evidence of
every slice until all are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.early_exit import undecided
from ClamSegLib.engine import Engine
from ClamSegLib.errors import ClamSegError
from ClamSegLib.map_refinement import given_out, peaks, sharpened
from ClamSegLib.neighbours import evidence, heard_together
from ClamSegLib.preprocess import Preparation, resize_to_box
from ClamSegLib.progress import Reporter

_STAGE = "segmenting slices"


@dataclass
class CaseMaps:
    """Maps of a case, (K, slice, row, column) uint8 in steps of 1/255.

    Attributes:
        analysed: which slices have been through their last engine.
        together: slices are heard with those beside them.
        kept: (N,K,S,S) evidence of every slice, sharpened or still to be heard together; None where each slice stands
            for itself.
    """

    preparation: Preparation
    reporter: Reporter
    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8]
    analysed: NDArray[np.bool_]
    together: bool
    kept: NDArray[np.float16] | None

    @staticmethod
    def of(preparation: Preparation, reporter: Reporter, together: bool) -> CaseMaps:
        """Empty maps of a case."""
        config = preparation.config
        shape = (len(config.conditions), *preparation.volume.array.shape)
        waits = together or (config.refinement is not None and config.refinement.volume_peak_share > 0)
        side = config.image_size
        kept = np.zeros((shape[1], shape[0], side, side), np.float16) if waits else None
        reporter.progress(0, preparation.n_slices, _STAGE)
        empty = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        return CaseMaps(preparation, reporter, *empty, np.zeros(shape[1], bool), together, kept)

    def run(
        self, engine: Engine, slices: NDArray[np.int64], batch_size: int, leaving: float | None = None
    ) -> NDArray[np.int64]:
        """Takes `slices` through an engine.

        Args:
            leaving: slices of whose outline more is undecided are to be run again deeper; None: none is.

        Returns:
            The slices to run again.
        """
        config = self.preparation.config
        stays: list[NDArray[np.int64]] = []
        for start in range(0, len(slices), batch_size):
            indices = slices[start : start + batch_size]
            image = self.preparation.network_input(indices)
            found, differs = engine.run(image)
            final = np.ones(len(indices), bool)
            # Heard with its neighbours, a slice is sharpened only after all are known.
            sharpens = config.refinement is not None and (leaving is not None or not self.together)
            given, ratio = self._as_single(found, image, indices) if sharpens else (found, found)
            if leaving is not None:
                final = undecided(given, self.preparation.organ_input(indices), config.threshold) <= leaving
                stays.append(indices[~final])
            if final.any():
                if self.kept is None:
                    paste_steps(self.preparation, given[final], indices[final], self.probability)
                else:
                    self.kept[indices[final]] = evidence(found[final]) if self.together else ratio[final]
                paste_steps(self.preparation, differs[final], indices[final], self.disagreement)
            self.analysed[indices[final]] = True
            self.reporter.progress(int(self.analysed.sum()), len(self.analysed), _STAGE)
        return np.concatenate(stays) if stays else np.zeros(0, np.int64)

    def _as_single(
        self, found: NDArray[np.float32], image: NDArray[np.float32], indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """P_L of single slices and their sharpened log ratios."""
        refinement = self.preparation.config.refinement
        assert refinement is not None
        ratio = sharpened(found, image, refinement)
        return given_out(ratio, peaks(ratio, self.preparation.organ_input(indices)), refinement), ratio

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
        starts = range(0, len(self.kept), batch_size)
        batches = [np.arange(start, min(start + batch_size, len(self.kept))) for start in starts]
        refinement = self.preparation.config.refinement
        if refinement is None:
            for indices in batches:
                found = heard_together(self.kept, indices[0], indices[-1] + 1)
                paste_steps(self.preparation, found, indices, self.probability)
            return
        if self.together:
            heard = np.empty_like(self.kept)
            for indices in batches:
                found = heard_together(self.kept, indices[0], indices[-1] + 1)
                heard[indices] = sharpened(found, self.preparation.network_input(indices), refinement)
            self.kept = heard
        strongest = np.concatenate([peaks(self.kept[i], self.preparation.organ_input(i)) for i in batches])
        for indices in batches:
            found = given_out(self.kept[indices], strongest[indices], refinement, strongest.max(axis=0))
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
