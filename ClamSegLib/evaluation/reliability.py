"""How far the maps of a model can be trusted: which sign of doubt tells errors, and what P_L is worth as a chance.

Two signs of doubt are compared: the disagreement of the branches and, at no cost, the doubt 1 - |2 P_L - 1| of
P_L itself. Pixels are kept as counts per step of P_L and of disagreement, from which every figure follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.evaluation.calibration import STEPS, calibration_error, chance_by_labels, squared_error
from ClamSegLib.metrics import rank_correlation

DISAGREEMENT, DOUBT = "disagreement", "doubt"
FEWEST_PATIENTS = 5
_COVERAGE = 0.9
_P_L = np.arange(STEPS) / (STEPS - 1)


@dataclass(frozen=True)
class Curve:
    """Share of wrong pixels among those kept, when the most doubtful are given away first.

    Attributes:
        coverage: (n,) share kept, rising to 1.
        risk: (n,) share of wrong ones among them.
        error_auc: chance that a wrong pixel is more doubtful than a right one, ties counting half; None without errors.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    error_auc: float | None

    def figures(self) -> dict[str, Any]:
        """Area under the curve (smaller is better), risk when a tenth is given away, error_auc."""
        steps = np.diff(np.r_[0.0, self.coverage])
        place = int(np.searchsorted(self.coverage, _COVERAGE - 1e-12))
        return {
            "risk_area": float((self.risk * steps).sum()),
            "risk_at_90": float(self.risk[place]),
            "error_auc": self.error_auc,
        }


def risk_coverage(doubt: NDArray[np.int64], wrong: NDArray[np.int64], every: NDArray[np.int64]) -> Curve | None:
    """The curve of a sign of doubt; pixels of equal doubt are kept or given away together. None without pixels.

    Args:
        doubt: (n,) whole numbers, larger means more doubtful.
        wrong: (n,) wrong pixels with that doubt.
        every: (n,) all pixels with it.
    """
    if every.sum() == 0:
        return None
    size = int(doubt.max()) + 1
    bad, all_ = np.bincount(doubt, wrong, size), np.bincount(doubt, every, size)
    shown = all_ > 0
    bad, all_ = bad[shown], all_[shown]
    good, kept = all_ - bad, np.cumsum(all_)
    auc = None
    if bad.sum() and good.sum():
        auc = float((bad * (np.cumsum(good) - good / 2)).sum() / (bad.sum() * good.sum()))
    return Curve(kept / kept[-1], np.cumsum(bad) / kept, auc)


@dataclass
class Reliability:
    """Collects the slices of one model; `figures` gives what metrics.json holds.

    Attributes:
        counts: (2, 256, 256) organ pixels without and with lesion by step of P_L and of disagreement.
        by_label: per patient (2, 256): organ pixels of normal and of diseased slices by step of P_L.
        by_outline: per patient (2, 256): organ pixels without and with lesion, where outlines are known.
        predicted: Dice, mean disagreement and mean doubt of the predicted pixels of each slice with a lesion.
    """

    threshold: float
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, STEPS, STEPS), np.int64))
    by_label: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    by_outline: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    predicted: list[tuple[float, float, float]] = field(default_factory=list)

    def add_slice(
        self,
        shown: NDArray[np.uint8],
        disagreement: NDArray[np.uint8],
        organ: NDArray[np.bool_],
        reference: NDArray[np.bool_] | None,
        *,
        patient: str,
        diseased: bool,
        dice: float | None,
    ) -> None:
        """Adds a slice; arguments as for `scoring.Scoreboard.add_slice`, `dice` at the threshold."""
        steps, apart = shown[organ].astype(np.int64), disagreement[organ]
        nothing = np.zeros((2, STEPS), np.int64)
        self.by_label.setdefault(patient, nothing.copy())[int(diseased)] += np.bincount(steps, minlength=STEPS)
        if reference is None:
            return
        lesion = reference[organ]
        known = self.by_outline.setdefault(patient, nothing.copy())
        for number, own in enumerate((~lesion, lesion)):
            pairs = np.bincount(steps[own] * STEPS + apart[own], minlength=STEPS * STEPS).reshape(STEPS, STEPS)
            self.counts[number] += pairs
            known[number] += pairs.sum(axis=1)
        predicted = steps > self.threshold * (STEPS - 1)
        if dice is not None and predicted.any():
            doubt = 1 - np.abs(2 * _P_L[steps[predicted]] - 1)
            self.predicted.append((dice, float(apart[predicted].mean()) / (STEPS - 1), float(doubt.mean())))

    def add(self, other: Reliability) -> None:
        """Adds what another one has collected of the same model."""
        self.counts += other.counts
        self.predicted += other.predicted
        for mine, others in ((self.by_label, other.by_label), (self.by_outline, other.by_outline)):
            for patient, counts in others.items():
                mine[patient] = mine[patient] + counts if patient in mine else counts

    def curves(self, predicted_only: bool) -> dict[str, Curve]:
        """The curve of each sign of doubt, over all organ pixels or over the predicted ones; none for a single branch."""
        step, apart = np.meshgrid(np.arange(STEPS), np.arange(STEPS), indexing="ij")
        is_predicted = step > self.threshold * (STEPS - 1)
        wrong = np.where(is_predicted, self.counts[0], self.counts[1])
        every = self.counts.sum(axis=0)
        if predicted_only:
            wrong, every = np.where(is_predicted, wrong, 0), np.where(is_predicted, every, 0)
        signs = {DOUBT: STEPS - 1 - np.abs(2 * step - (STEPS - 1))}
        if self.counts[:, :, 1:].any():
            signs[DISAGREEMENT] = apart
        found = {name: risk_coverage(sign.ravel(), wrong.ravel(), every.ravel()) for name, sign in signs.items()}
        return {name: curve for name, curve in found.items() if curve is not None}

    def chances(self) -> dict[str, NDArray[np.float64]] | None:
        """Per patient the chance of each step, learned from the image labels of all other patients.

        None where fewer than five patients tell, or one class is missing.
        """
        if len(self.by_label) < FEWEST_PATIENTS:
            return None
        everyone = np.sum(list(self.by_label.values()), axis=0)
        found = {name: chance_by_labels(*(everyone - own)) for name, own in self.by_label.items()}
        told = {name: chance for name, chance in found.items() if chance is not None}
        return told if len(told) == len(found) else None

    def predicted_and_observed(
        self, calibrated: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
        """Chance, lesion pixels and all pixels of every patient and step; None where it cannot be calibrated."""
        chances = self.chances() if calibrated else dict.fromkeys(self.by_outline, _P_L)
        if chances is None or not self.by_outline:
            return None
        known = list(self.by_outline)
        lesion = np.concatenate([self.by_outline[name][1] for name in known]).astype(float)
        every = np.concatenate([self.by_outline[name].sum(axis=0) for name in known]).astype(float)
        return np.concatenate([chances[name] for name in known]), lesion, every

    def figures(self) -> dict[str, Any] | None:
        """What metrics.json holds; None where no outline of a lesion is known."""
        every = int(self.counts.sum())
        if not self.counts[1].any():
            return None
        row: dict[str, Any] = {"pixels": every, "patients": len(self.by_outline)}
        for place, predicted_only in (("organ", False), ("predicted", True)):
            row[place] = {name: curve.figures() for name, curve in self.curves(predicted_only).items()}
            row[place]["wrong"] = self._wrong(predicted_only)
        row["slices"] = self._slices()
        for name, calibrated in (("as_it_is", False), ("by_image_labels", True)):
            told = self.predicted_and_observed(calibrated)
            row[f"chance_{name}"] = (
                None
                if told is None
                else {"calibration_error": calibration_error(*told), "squared_error": squared_error(*told)}
            )
        return row

    def _wrong(self, predicted_only: bool) -> float | None:
        """Share of wrong pixels, of the organ or of the prediction."""
        above = np.greater(_P_L, self.threshold)
        free, lesion = self.counts.sum(axis=2)
        wrong, every = free[above].sum(), free[above].sum() + lesion[above].sum()
        if not predicted_only:
            wrong, every = wrong + lesion[~above].sum(), self.counts.sum()
        return float(wrong / every) if every else None

    def _slices(self) -> dict[str, Any]:
        """Rank correlation of 1 - Dice with the mean of each sign over the predicted pixels of a slice."""
        row: dict[str, Any] = {"n": len(self.predicted)}
        if len(self.predicted) >= FEWEST_PATIENTS:
            dice, apart, doubt = zip(*self.predicted, strict=True)
            worse = [1 - value for value in dice]
            row[DISAGREEMENT] = rank_correlation(worse, apart)
            row[DOUBT] = rank_correlation(worse, doubt)
        return row
