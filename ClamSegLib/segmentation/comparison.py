"""Two results of one patient: which lesion is new, grown, shrunk, the same or gone, in ml and percent.

Every lesion is measured in its own scan; the alignment only says which lesion is which. Unseen on real pairs of scans: it was
tried on samples moved and changed by a known transform.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ClamSegLib.imaging.registration import Alignment, align
from ClamSegLib.imaging.seg_nrrd import Segment
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.words import in_cell

_ORGAN = "organ"
_NEAR_MM = 3.0  # lesions that do not overlap after the alignment, but lie so near, may be the same
SAME_PERCENT = 20.0  # a change in volume below this is none: outlines and alignment are not better than that
_UNLIKE = 0.5  # correlation below which the alignment should be looked at


class Change(Enum):
    """What became of a lesion."""

    NEW = "new"
    GROWN = "grown"
    SAME = "same"
    SHRUNK = "shrunk"
    GONE = "gone"


@dataclass(frozen=True)
class ComparedLesion:
    """One lesion, or several that have merged or parted.

    Attributes:
        before, now: numbers in the earlier and the present result, from 1, the largest first; empty where it is gone or new.
        before_ml, now_ml: together; 0 where there is none.
        centre_lps_mm: in the present scan; of one that is gone, where it would lie.
    """

    change: Change
    condition: str
    before: tuple[int, ...]
    now: tuple[int, ...]
    before_ml: float
    now_ml: float
    centre_lps_mm: tuple[float, float, float]

    @property
    def change_ml(self) -> float:
        """By how much it is larger now."""
        return self.now_ml - self.before_ml

    @property
    def change_percent(self) -> float | None:
        """Likewise, of what it was; None of a new one."""
        return 100 * self.change_ml / self.before_ml if self.before_ml else None


@dataclass(frozen=True)
class Comparison:
    """What became of each lesion, and how the scans were aligned for that.

    Attributes:
        lesions: the largest first.
        warnings: what should be known before it is believed.
    """

    lesions: tuple[ComparedLesion, ...]
    alignment: Alignment
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    condition: str
    points: NDArray[np.float64]  # of its voxels, LPS mm of its own scan
    ml: float


def compare(
    before: Volume, before_segments: Sequence[Segment], now: Volume, now_segments: Sequence[Segment],
    same_percent: float = SAME_PERCENT,
) -> Comparison:  # fmt: skip
    """Compares a result with an earlier one of the same patient.

    Args:
        before: the earlier scan.
        before_segments: of its result, on its grid; the organ is left out.
        now: the present scan.
        now_segments: likewise.
        same_percent: smaller changes in volume count as none.

    Raises:
        InputError: scans that cannot be aligned (`registration.align`).
    """
    alignment = align(before, now)
    earlier, present = _parts(before, before_segments), _parts(now, now_segments)
    moved = [alignment.to_now(part.points) for part in earlier]
    touch_mm = 0.5 * max(float(np.linalg.norm(volume.spacing_mm)) for volume in (before, now))
    groups = _groups(_links(moved, [part.points for part in present], touch_mm), len(earlier), len(present))
    lesions = []
    for olds, news in groups:
        before_ml, now_ml = sum(earlier[n].ml for n in olds), sum(present[n].ml for n in news)
        points = np.concatenate([present[n].points for n in news] or [moved[n] for n in olds])
        x, y, z = (float(value) for value in points.mean(axis=0))
        named = present[news[0]] if news else earlier[olds[0]]
        lesions.append(
            ComparedLesion(
                _change(before_ml, now_ml, same_percent), named.condition, tuple(n + 1 for n in olds), tuple(n + 1 for n in news),
                before_ml, now_ml, (x, y, z),
            )
        )  # fmt: skip
    lesions.sort(key=lambda lesion: max(lesion.before_ml, lesion.now_ml), reverse=True)
    return Comparison(tuple(lesions), alignment, _warnings(alignment))


def _change(before_ml: float, now_ml: float, same_percent: float) -> Change:
    if not before_ml:
        return Change.NEW
    if not now_ml:
        return Change.GONE
    percent = 100 * (now_ml - before_ml) / before_ml
    if abs(percent) < same_percent:
        return Change.SAME
    return Change.GROWN if percent > 0 else Change.SHRUNK


def _parts(volume: Volume, segments: Sequence[Segment]) -> list[_Part]:
    """The connected parts of all segments but the organ, the largest first."""
    parts = []
    for segment in segments:
        if segment.id == _ORGAN:
            continue
        labels, _count = ndimage.label(segment.mask, np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(labels), 1):
            inside = np.argwhere(labels[box] == number) + [side.start for side in box]
            parts.append(_Part(segment.name, np.asarray(volume.to_lps(inside), float), len(inside) * volume.voxel_ml))
    return sorted(parts, key=lambda part: part.ml, reverse=True)


def _links(
    before: Sequence[NDArray[np.float64]], now: Sequence[NDArray[np.float64]], touch_mm: float
) -> list[tuple[int, int]]:
    """Pairs that are the same lesion: all that overlap; then of the others those that lie near, the nearest first."""
    trees = [cKDTree(points) for points in now]
    near = max(_NEAR_MM, touch_mm)
    away = [
        (float(tree.query(points, distance_upper_bound=near)[0].min()), old, new)
        for old, points in enumerate(before)
        for new, tree in enumerate(trees)
    ]
    links = [(old, new) for mm, old, new in away if mm <= touch_mm]
    for mm, old, new in sorted(away):
        if touch_mm < mm <= near and all(old != o and new != n for o, n in links):
            links.append((old, new))
    return links


def _groups(links: Sequence[tuple[int, int]], olds: int, news: int) -> list[tuple[list[int], list[int]]]:
    """Lesions that hang together by links."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = [old for old, _ in links], [olds + new for _, new in links]
    graph = coo_matrix((np.ones(len(links)), (rows, columns)), (olds + news, olds + news))
    count, group = connected_components(graph, directed=False)
    members = [np.flatnonzero(group == n) for n in range(count)]
    return [([int(m) for m in each if m < olds], [int(m) - olds for m in each if m >= olds]) for each in members]


def _warnings(alignment: Alignment) -> tuple[str, ...]:
    warnings = [
        "Comparison by rigid alignment was tried on made changes only, not on real pairs of scans; check each lesion."
    ]
    if alignment.likeness < _UNLIKE:
        warnings.append(
            f"The aligned scans are little alike (correlation {alignment.likeness:.2f}): other sequences, or the alignment "
            "failed; new and gone lesions may be the same ones."
        )
    return tuple(warnings)


COLUMNS = (
    "change", "condition", "before", "now", "before_ml", "now_ml", "change_ml", "change_percent",
    "centre_l_mm", "centre_p_mm", "centre_s_mm",
)  # fmt: skip


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes a CSV: a line a lesion; numbers of merged or parted ones are joined by +; centres lie in the present scan."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for lesion in comparison.lesions:
            percent = lesion.change_percent
            writer.writerow(
                [
                    lesion.change.value, in_cell(lesion.condition), *("+".join(map(str, n)) for n in (lesion.before, lesion.now)),
                    *(f"{ml:.3f}" for ml in (lesion.before_ml, lesion.now_ml, lesion.change_ml)),
                    "" if percent is None else f"{percent:.0f}", *(f"{mm:.1f}" for mm in lesion.centre_lps_mm),
                ]
            )  # fmt: skip
