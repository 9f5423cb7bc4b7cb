"""Figures of a map against references, slice by slice: the same for a model, an intensity threshold or a Grad-CAM.

Maps come in 256 steps, so every threshold is tried at no cost. Undefined figures are None with the number of
cases they rest on beside them, never NaN (docs/reference.md lists the definitions).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.evaluation.calibration import STEPS, calibration_error
from ClamSegLib.metrics import (
    bootstrap_interval,
    box_overlap,
    dice,
    hd95_mm,
    lesion_sensitivity,
    mean_of_strongest,
    pointing_hit,
    roc_auc,
)

_TOP_SHARE = 0.01
_P_L = np.arange(STEPS) / (STEPS - 1)


@dataclass(frozen=True)
class SliceFigures:
    """One slice.

    Attributes:
        dice: at the given threshold; None without an outline or on normal slices.
        dice_at: Dice at every threshold 0..255 (above it), None likewise.
        box_iou_at: intersection over union with the boxes at every threshold, None without boxes.
        false_positive_area: share of the organ called lesion; normal slices only.
        score: mean of the highest hundredth of the map inside the organ.
    """

    patient: str
    row: int
    diseased: bool
    score: float
    dice: float | None = None
    dice_at: NDArray[np.float64] | None = None
    false_positive_area: float | None = None
    hd95: float | None = None
    pointing: bool | None = None
    box_iou: float | None = None
    box_iou_at: NDArray[np.float64] | None = None
    energy_in_box: float | None = None


@dataclass
class Scoreboard:
    """Collects slices and volumes of one method; `figures` gives the table row."""

    name: str
    threshold: float | None
    slices: list[SliceFigures] = field(default_factory=list)
    volume_dice: list[tuple[str, float]] = field(default_factory=list)
    lesions_found: int = 0
    lesions_all: int = 0
    spacing_known: bool = True
    positives: NDArray[np.int64] = field(default_factory=lambda: np.zeros(STEPS, np.int64))
    negatives: NDArray[np.int64] = field(default_factory=lambda: np.zeros(STEPS, np.int64))
    unknown_slices: int = 0

    def add_slice(
        self,
        shown: NDArray[np.uint8],
        organ: NDArray[np.bool_],
        reference: NDArray[np.bool_] | None,
        boxes: NDArray[np.bool_] | None,
        *,
        patient: str,
        row: int,
        diseased: bool,
        pixel_mm: tuple[float, float],
    ) -> SliceFigures:
        """Adds a slice.

        Args:
            shown: (row, column) map in 256 steps.
            organ: support of the figures; outside nothing counts.
            reference: outline, known empty on normal slices, None where unknown.
            boxes: filled reference boxes, or None.
        """
        inside = np.where(organ, shown, 0).astype(np.uint8)
        score = mean_of_strongest(shown[organ], _TOP_SHARE) / (STEPS - 1)
        found = inside > self._limit()
        values: dict[str, Any] = {}
        if reference is not None:
            reference = reference & organ
            self.positives += np.bincount(shown[reference], minlength=STEPS)
            self.negatives += np.bincount(shown[organ & ~reference], minlength=STEPS)
            if reference.any():
                values["dice_at"] = _dice_curve(inside, reference)
                values["dice"] = dice(found, reference)
                values["hd95"] = hd95_mm(found, reference, pixel_mm)
            elif not diseased:
                area = int(organ.sum())
                values["false_positive_area"] = float(found.sum()) / area if area else 0.0
        else:
            self.unknown_slices += 1
        if boxes is not None and boxes.any():
            overlap = box_overlap(inside.astype(np.float64), found, boxes)
            values["pointing"] = pointing_hit(inside.astype(np.float64), boxes) if inside.any() else False
            values["box_iou"] = overlap.iou if overlap else None
            values["box_iou_at"] = _overlap_curve(inside, boxes)
            values["energy_in_box"] = overlap.energy_inside if overlap else None
        figures = SliceFigures(patient, row, diseased, score, **values)
        self.slices.append(figures)
        return figures

    def add_volume(self, patient: str, found: NDArray[np.bool_], reference: NDArray[np.bool_]) -> None:
        """Adds the slices of a case whose outlines are all known, as a volume."""
        self.volume_dice.append((patient, dice(found, reference)))
        hits, count = lesion_sensitivity(found, reference)
        self.lesions_found += hits
        self.lesions_all += count

    def add(self, other: Scoreboard) -> None:
        """Adds what another one has collected of the same method."""
        self.slices += other.slices
        self.volume_dice += other.volume_dice
        self.lesions_found += other.lesions_found
        self.lesions_all += other.lesions_all
        self.spacing_known = other.spacing_known
        self.positives += other.positives
        self.negatives += other.negatives
        self.unknown_slices += other.unknown_slices

    def worst_patients(self, most: int = 5) -> list[dict[str, Any]]:
        """The patients with the lowest mean Dice over their lesion slices, worst first; none without a threshold."""
        told: list[dict[str, Any]] = []
        for patient in sorted({s.patient for s in self.slices if s.dice is not None}):
            own = [s for s in self.slices if s.patient == patient]
            dices = [s.dice for s in own if s.dice is not None]
            areas = [s.false_positive_area for s in own if s.false_positive_area is not None]
            told.append(
                {
                    "patient": patient,
                    "dice": float(np.mean(dices)),
                    "lesion_slices": len(dices),
                    "lesion_slices_missed": sum(d == 0 for d in dices),
                    "false_positive_area": float(np.mean(areas)) if areas else None,
                    "normal_slices": len(areas),
                    "volume_dice": next((d for p, d in self.volume_dice if p == patient), None),
                }
            )
        return sorted(told, key=lambda row: row["dice"])[:most] if self.threshold is not None else []

    def _limit(self) -> float:
        return 127.5 if self.threshold is None else self.threshold * 255

    def figures(self, seed: int) -> dict[str, Any]:
        """The table row; each mean with the number of slices and, from five patients on, its 95 % interval."""
        label = np.array([s.diseased for s in self.slices])
        score = np.array([s.score for s in self.slices])
        unit = "mm" if self.spacing_known else "px"
        row: dict[str, Any] = {"name": self.name, "threshold": self.threshold}
        row["dice"] = _mean(self.slices, "dice", seed) if self.threshold is not None else None
        row["best_dice_oracle"] = _best([s.dice_at for s in self.slices if s.dice_at is not None])
        row["pixel_ap"] = _histogram_ap(self.positives, self.negatives)
        row["calibration_error"] = (
            None if self.threshold is None else calibration_error(_P_L, self.positives, self.positives + self.negatives)
        )
        row["slice_auc"] = roc_auc(score, label) if len(label) else None
        row["false_positive_area"] = (
            _mean(self.slices, "false_positive_area", seed) if self.threshold is not None else None
        )
        row[f"hd95_{unit}"] = _mean(self.slices, "hd95", seed) if self.threshold is not None else None
        row["volume_dice"] = _mean_of(self.volume_dice, seed) if self.threshold is not None else None
        sensitivity = self.lesions_found / self.lesions_all if self.lesions_all else None
        row["lesion_sensitivity"] = (
            {"value": sensitivity, "n": self.lesions_all} if self.threshold is not None else None
        )
        for name in ("pointing", "box_iou", "energy_in_box"):
            row[name] = _mean(self.slices, name, seed)
        row["best_box_iou_oracle"] = _best([s.box_iou_at for s in self.slices if s.box_iou_at is not None])
        row["slices"] = len(self.slices)
        row["slices_without_outline"] = self.unknown_slices
        return row


def _dice_curve(inside: NDArray[np.uint8], reference: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of 'value above t' for t = 0..255, from two histograms."""
    both = np.bincount(inside[reference], minlength=STEPS)
    every = np.bincount(inside.ravel(), minlength=STEPS)
    hits = both.sum() - np.cumsum(both)
    marked = every.sum() - np.cumsum(every)
    curve: NDArray[np.float64] = 2.0 * hits / np.maximum(marked + both.sum(), 1)
    return curve


def _overlap_curve(inside: NDArray[np.uint8], boxes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of 'value above t' and the boxes for t = 0..255: from Dice, which is 2 IoU / (1 + IoU)."""
    dice_at = _dice_curve(inside, boxes)
    return dice_at / (2.0 - dice_at)


def _best(curves: list[NDArray[np.float64]]) -> dict[str, Any] | None:
    """The threshold at which the mean over slices is largest; the references themselves choose it."""
    if not curves:
        return None
    mean = np.mean(curves, axis=0)
    return {"value": float(mean.max()), "threshold": float(mean.argmax() / 255), "n": len(curves)}


def _histogram_ap(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> float | None:
    """Average precision from counts per step."""
    total = int(positives.sum())
    if total == 0:
        return None
    hits = np.cumsum(positives[::-1])
    marked = hits + np.cumsum(negatives[::-1])
    precision = hits / np.maximum(marked, 1)
    return float(np.sum(np.diff(np.r_[0, hits]) / total * precision))


def _mean(slices: list[SliceFigures], name: str, seed: int) -> dict[str, Any] | None:
    return _mean_of([(s.patient, float(v)) for s in slices if (v := getattr(s, name)) is not None], seed)


def _mean_of(pairs: list[tuple[str, float]], seed: int) -> dict[str, Any] | None:
    if not pairs:
        return None
    patients, values = [p for p, _ in pairs], [v for _, v in pairs]
    interval = bootstrap_interval(values, patients, seed)
    return {
        "value": float(np.mean(values)),
        "n": len(values),
        "patients": len(set(patients)),
        "interval_95": None if interval is None else list(interval),
    }
