"""The segments of a result: the lesion list written into the scene, and what a reader drew into them taken into the list.

The undecided lesions of a condition share the segment 'lesion-<condition>'. A lesion that was accepted, edited or
added has a segment of its own, 'lesion-<condition>-<number>', which no threshold touches any more. So has an undecided
one while it is edited: only what is drawn into it decides on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_row import FROZEN, Decision, LesionRow
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment, segment_mask, segment_time


class ResultSegments:
    """The segments of one segmentation node of ours.

    Args:
        looks: of the segments that a result begins with, among them one for each condition.

    Attributes:
        looks: by their ids.
        editing: number of the lesion that is open for drawing, or None.
        keeps_surfaces: surfaces stay as they are when voxels change; whoever shows them makes them anew.
    """

    def __init__(self, segmentation: Any, volume: Any, looks: list[SegmentLook]) -> None:
        self._segmentation, self._volume = segmentation, volume
        self.looks = {look.id: look for look in looks}
        self.editing: int | None = None
        self.keeps_surfaces = False
        self._kept: dict[str, tuple[Decision, np.ndarray]] = {}
        self._times: dict[str, int] = {}

    def condition_name(self, condition: str) -> str:
        """What people read of a condition."""
        return self.looks[f"lesion-{condition}"].name

    def id_of(self, number: int, condition: str) -> str:
        """The segment that holds a lesion alone."""
        return f"lesion-{condition}-{number}"

    def of_one_lesion(self, conditions: Iterable[str]) -> list[tuple[int, str, str]]:
        """(number, condition, id) of the segments that hold one lesion each."""
        data = self._segmentation.GetSegmentation()
        found = []
        for index in range(data.GetNumberOfSegments()):
            segment_id = data.GetNthSegmentID(index)
            for condition in conditions:
                number = segment_id.removeprefix(f"lesion-{condition}-")
                if number != segment_id and number.isdigit():
                    found.append((int(number), condition, segment_id))
        return found

    def _look_of(self, number: int, condition: str, decision: Decision) -> SegmentLook:
        base = self.looks[f"lesion-{condition}"]
        # What is being drawn is not said to be decided.
        name = f"{base.name} {number}" if number == self.editing else f"{base.name} {number} ({decision.value})"
        return SegmentLook(self.id_of(number, condition), name, base.colour, base.terminology)

    def _put(self, look: SegmentLook, mask: np.ndarray, start: tuple[int, int, int] = (0, 0, 0)) -> None:
        put_segment(self._segmentation, self._volume, look, mask, start, keep_surface=self.keeps_surfaces)
        self._times[look.id] = segment_time(self._segmentation, look.id)

    def begin(self, number: int, condition: str) -> str:
        """An empty segment for a lesion that is to be drawn; its id."""
        self.editing = number
        look = self._look_of(number, condition, Decision.ADDED)
        self._put(look, np.zeros((1, 1, 1), bool))
        return look.id

    # From the list to the scene

    def write(self, lesions: LesionList) -> None:
        """Brings the segments in step with the list, as one change of the node."""
        modified = self._segmentation.StartModify()
        try:
            self._write_undecided(lesions)
            self._write_opened(lesions)
            self._write_decided(lesions)
        finally:
            self._segmentation.EndModify(modified)

    def _opened(self, lesions: LesionList) -> LesionRow | None:
        """The found lesion that is open for drawing while neither a stroke nor a decision lets it stand."""
        if self.editing is None or not lesions.has(self.editing):
            return None
        row = lesions.row(self.editing)
        return None if row.decision in FROZEN else row

    def _apart(self, lesions: LesionList, condition: str) -> int | None:
        """The undecided lesion of a condition that lies in a segment of its own, because it is open for drawing."""
        row = self._opened(lesions)
        is_apart = row is not None and row.condition == condition and row.decision is Decision.UNDECIDED
        return row.number if row is not None and is_apart else None

    def _write_undecided(self, lesions: LesionList) -> None:
        for index, condition in enumerate(lesions.conditions, 1):
            self._put(
                self.looks[f"lesion-{condition}"], *lesions.undecided_mask(index, self._apart(lesions, condition))
            )

    def _write_opened(self, lesions: LesionList) -> None:
        row = self._opened(lesions)
        if row is not None:
            self._put(self._look_of(row.number, row.condition, row.decision), *lesions.lesion_mask(row.number))

    def _write_decided(self, lesions: LesionList) -> None:
        frozen = {number: decision for number, decision in lesions.decisions().items() if decision in FROZEN}
        data = self._segmentation.GetSegmentation()
        for number, _condition, segment_id in self.of_one_lesion(lesions.conditions):
            if number not in frozen and number != self.editing:
                data.RemoveSegment(segment_id)
                self._kept.pop(segment_id, None)
        for number, decision in frozen.items():
            kept = lesions.kept(number)
            look = self._look_of(number, lesions.conditions[kept.condition - 1], decision)
            there = data.GetSegment(look.id) is not None
            before = self._kept.get(look.id)
            if not there or before is None or before[1] is not kept.mask:
                self._put(look, *lesions.lesion_mask(number))
            data.GetSegment(look.id).SetName(look.name)
            self._kept[look.id] = (decision, kept.mask)
            self._times[look.id] = segment_time(self._segmentation, look.id)

    def know_as_written(self, lesions: LesionList) -> bool:
        """The segments in the scene are those of the list; True where one is left that was open for drawing."""
        was_drawing = False
        for number, _condition, segment_id in self.of_one_lesion(lesions.conditions):
            if lesions.decisions().get(number) not in FROZEN:
                was_drawing = True
                continue
            self._kept[segment_id] = (lesions.decisions()[number], lesions.kept(number).mask)
            self._times[segment_id] = segment_time(self._segmentation, segment_id)
        for condition in lesions.conditions:
            self._times[f"lesion-{condition}"] = segment_time(self._segmentation, f"lesion-{condition}")
        return was_drawing

    # From the scene to the list

    def take_drawn(self, lesions: LesionList, shape: tuple[int, int, int]) -> bool:
        """Takes into the list what was drawn since the segments were written; True where something was.

        Args:
            shape: (k, j, i) of the volume.

        Raises:
            SceneError: a segment reaches beyond the volume.
        """
        taken = False
        for number, condition, segment_id in self.of_one_lesion(lesions.conditions):
            if self._times.get(segment_id) == segment_time(self._segmentation, segment_id):
                continue
            mask = segment_mask(self._segmentation, segment_id, shape)
            known = lesions.has(number)
            if known and _same(mask, *lesions.lesion_mask(number)):
                continue
            if mask.any():
                lesions.set_mask(number, mask, lesions.conditions.index(condition) + 1)
                taken = True
            elif known and lesions.row(number).decision is not Decision.REJECTED:
                lesions.decide(number, Decision.REJECTED)
                taken = True
        for index, condition in enumerate(lesions.conditions, 1):
            segment_id = f"lesion-{condition}"
            if self._segmentation.GetSegmentation().GetSegment(segment_id) is None:
                continue  # the reader removed it: it is written again with what is undecided
            if self._times.get(segment_id) != segment_time(self._segmentation, segment_id):
                mask = segment_mask(self._segmentation, segment_id, shape)
                if (apart := self._apart(lesions, condition)) is not None:
                    _add(mask, *lesions.lesion_mask(apart))
                taken = lesions.adopt(mask, index) or taken
        return taken


def _add(mask: np.ndarray, part: np.ndarray, start: tuple[int, int, int]) -> None:
    """Adds the voxels of a box to a whole-volume mask."""
    mask[tuple(slice(first, first + size) for first, size in zip(start, part.shape, strict=True))] |= part


def _same(mask: np.ndarray, part: np.ndarray, start: tuple[int, int, int]) -> bool:
    """Whether a whole-volume mask holds exactly the voxels of a box."""
    where = tuple(slice(first, first + size) for first, size in zip(start, part.shape, strict=True))
    return np.array_equal(mask[where], part) and int(np.count_nonzero(mask)) == int(np.count_nonzero(part))
