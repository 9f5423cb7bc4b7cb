"""A lesion added by clicks: each click changes a proposal; kept, it is one step of the review, dropped, it is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.step_words import decided_words
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import record_geometry
from ClamSegWorkflow.scene.overlays import PROBABILITY, STRONGEST, map_array, map_of
from ClamSegWorkflow.scene.proposal import Proposal
from ClamSegWorkflow.scene.segments import segment_mask
from ClamSegWorkflow.scene.views import voxel_at
from ClamSegWorkflow.scene.volumes import voxels_of
from ClamSegWorkflow.words import tr as _


class ClickOutline:
    """The clicks on one result, from the first one to Keep or Drop.

    Args:
        result: `Result` with lesions.
        condition: of the lesion to add; '' takes the model's most probable at the first click.

    Attributes:
        condition: likewise.
        width: steps wider (above 0) or tighter.
        takes_away: the next click takes away also without Alt.
    """

    def __init__(self, result: Any, condition: str = "") -> None:
        if result is None or result.lesions is None:
            raise SceneError(_("This result has no lesions to review."))
        self._result, self.condition = result, condition
        self.width, self.takes_away = 0, False
        self._chosen = condition
        self._clicks: list[Any] = []
        self._outlines: Any = None  # of the same clicks, at every width asked so far
        self._outline: Any = None
        self._overlap: list[int] = []  # decided lesions that keep their voxels
        self._replaced: list[int] = []  # undecided ones that give theirs
        self._proposal = Proposal(result.scene, result.volume)
        self._check()
        self._tissue = tissue_of_result(result)

    @property
    def has_clicks(self) -> bool:
        """Whether there is something to drop: clicks of which nothing is left count, too."""
        return bool(self._clicks)

    @property
    def has_proposal(self) -> bool:
        """Whether there is something to keep."""
        return self._outline is not None and bool(self._outline.mask.any())

    def click(self, ras: Sequence[float], alt: bool = False) -> None:
        """A click at a point of the world.

        Args:
            alt: it takes away what lies there.

        Raises:
            SceneError: the scan was changed, or the click lies outside of it or of the organ; the proposal stays as it was.
        """
        from ClamSegLib.outlining.outline import Click

        self._check()
        i, j, k = (math.floor(value + 0.5) for value in voxel_at(self._result.volume, ras))
        shape = self._result.record.shape
        if not all(0 <= at < size for at, size in zip((k, j, i), shape, strict=True)):
            raise SceneError(_("The click lies outside the scan."))
        adds = not (alt or self.takes_away)
        if not self._clicks and not adds:
            raise SceneError(_("There is nothing to take away yet; click on the lesion first."))
        if not self._clicks and not self._chosen:
            self.condition = self._condition_at((k, j, i))
        self._propose([*self._clicks, Click((k, j, i), adds)], self.width)

    def set_width(self, steps: int) -> None:
        """Wider or tighter, -8 to 8; without clicks it counts for the next one."""
        from ClamSegLib.outlining.outline import WIDEST

        steps = max(-WIDEST, min(WIDEST, int(steps)))
        if self._clicks:
            self._check()
            self._propose(self._clicks, steps)
        self.width = steps

    def choose(self, condition: str) -> None:
        """The condition that the lesion will have; '' leaves it to the model."""
        self._chosen = condition
        if condition:
            self.condition = condition

    def take_back(self) -> bool:
        """Takes the last click back; False where there is none."""
        if not self._clicks:
            return False
        if len(self._clicks) == 1:
            self.drop()
        else:
            self._propose(self._clicks[:-1], self.width)
        return True

    def keep(self) -> int:
        """The proposal becomes a lesion of the review, as one step; returns its number.

        Raises:
            SceneError: there is none, or the scan was changed.
        """
        self._check()
        if not self.has_proposal:
            raise SceneError(_("There is nothing to keep yet; click on the lesion first."))
        result = self._result
        result.take_over_edits()
        mask = self._outline.whole(result.record.shape) & ~self._finished()
        if not mask.any():
            raise SceneError(_("All of it belongs to lesions that are decided already."))
        number = result.lesions.free_number()
        index = result.lesions.conditions.index(self.condition) + 1
        result.lesions.redraw(decided_words(number, Decision.ADDED), {number: (mask, index)})
        result.write()
        self.drop()
        return int(number)

    def drop(self) -> None:
        """Forgets clicks and proposal; the review stays as it is."""
        self._proposal.hide()
        self._clicks, self._outlines, self._outline = [], None, None
        self._overlap, self._replaced = [], []

    def words(self) -> str:
        """What is proposed, in one line."""
        if self._outline is None:
            return _("Click on a lesion in a slice view.")
        count = int(np.count_nonzero(self._outline.mask))
        if not count:
            return _("Nothing is left; click again, or drop it.")
        lesions = self._result.lesions
        size = _("{count} px").format(count=count)
        if lesions.spacing_known and not lesions.is_picture:
            size = _("{volume:.2f} ml").format(volume=count * float(np.prod(self._result.record.spacing_mm)) / 1000)
        words = _("Proposed: {size}, {clicks} clicks").format(size=size, clicks=len(self._clicks))
        if len(self._clicks) == 1:
            words = _("Proposed: {size}, 1 click").format(size=size)
        if self._overlap:
            numbers = ", ".join(map(str, self._overlap))
            words += "; " + _("what it shares with lesion {numbers} stays there").format(numbers=numbers)
        if self._replaced:
            numbers = ", ".join(map(str, self._replaced))
            words += "; " + _("it takes what it shares with undecided lesion {numbers}").format(numbers=numbers)
        return words

    # How it is done

    def _check(self) -> None:
        """The scan is there, on the grid and in the place where the result was made."""
        result = self._result
        probability = map_of(result.segmentation, PROBABILITY)
        if probability is None or not result.is_alive():
            self._proposal.hide()
            raise SceneError(_("The scan or the result was removed; segment it again."))
        same = record_geometry(probability).shape == record_geometry(result.volume).shape
        if not same or not result.certificate().holds:
            raise SceneError(_("The scan was changed since it was segmented; segment it again."))

    def _condition_at(self, kji: tuple[int, int, int]) -> str:
        conditions = self._result.lesions.conditions
        strongest = map_of(self._result.segmentation, STRONGEST)
        place = 0 if strongest is None else int(map_array(strongest)[kji])
        return str(conditions[max(1, min(place, len(conditions))) - 1])

    def _propose(self, clicks: list[Any], width: int) -> None:
        from ClamSegLib.outlining.outline import Outline, Outlines

        outlines = self._outlines
        if outlines is None or outlines.clicks != tuple(clicks):
            outlines = Outlines(self._tissue, clicks)
        found = outlines.at(width)
        part = found.mask.copy()
        self._overlap, self._replaced = [], []
        for row in sorted(self._result.lesions.rows(), key=lambda row: row.decision is Decision.UNDECIDED):
            if row.decision is Decision.REJECTED:
                continue
            theirs, start = self._result.lesions.lesion_mask(row.number)
            common = _common(found.box, start, theirs.shape)
            if common is None or not (part[common[0]] & theirs[common[1]]).any():
                continue
            if row.decision is Decision.UNDECIDED:
                self._replaced.append(row.number)
            else:
                self._overlap.append(row.number)
                part[common[0]] &= ~theirs[common[1]]
        if not part.any() and self._overlap:
            raise SceneError(_("This lesion is in the list already, as number {n}.").format(n=self._overlap[0]))
        self._clicks, self.width, self._outline = clicks, width, Outline(found.box, part)
        self._outlines = outlines
        self._proposal.show(part, [side.start for side in found.box])

    def _finished(self) -> np.ndarray:
        """Voxels of accepted, edited and added lesions."""
        finished = np.zeros(self._result.record.shape, bool)
        for mask in self._result.lesions.standing_masks().values():
            finished |= mask
        return finished


def tissue_of_result(result: Any) -> Any:
    """What outlines are grown in: the scan of a result in its own frame, its organ and what the model found."""
    from ClamSegLib.outlining.tissue import tissue_of

    organ = None
    if result.segmentation.GetSegmentation().GetSegment("organ") is not None:
        organ = segment_mask(result.segmentation, "organ", result.record.shape)
    probability = map_of(result.segmentation, PROBABILITY)
    i, j, k = result.record.spacing_mm
    known = result.lesions.spacing_known
    return tissue_of(
        voxels_of(result.volume), (k, j, i) if known else None, organ, None if probability is None else map_array(probability)
    )  # fmt: skip


def _common(
    box: Sequence[slice], start: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Where two boxes of the scan meet, counted in each of them; None where they do not."""
    here, there = [], []
    for side, first, size in zip(box, start, shape, strict=True):
        low, high = max(side.start, first), min(side.stop, first + size)
        if low >= high:
            return None
        here.append(slice(low - side.start, high - side.start))
        there.append(slice(low - first, high - first))
    return tuple(here), tuple(there)
