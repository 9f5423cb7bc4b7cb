"""A result in the scene and the review on it: segments, maps and lesion list kept in step.

The undecided lesions of a condition share the segment 'lesion-<condition>'. A lesion that was accepted, edited or
added has a segment of its own, 'lesion-<condition>-<number>', which no threshold touches any more. So has an undecided
one while it is edited: only what is drawn into it decides on it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ClamSegLib.segmentation.finding import Search
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_row import FROZEN, Decision, LesionRow
from ClamSegWorkflow.case.review_text import summary_words
from ClamSegWorkflow.scene import SceneError, remove_node
from ClamSegWorkflow.scene.certificate import Certificate, certify
from ClamSegWorkflow.scene.geometry import GeometryRecord, record_geometry, unchanged
from ClamSegWorkflow.scene.overlays import DOUBT, MAPS, PROBABILITY, add_map, map_array, map_of, set_shown_threshold
from ClamSegWorkflow.scene.segments import (
    SegmentLook,
    put_segment,
    read_provenance,
    segment_mask,
    segment_time,
    write_provenance,
)
from ClamSegWorkflow.scene.views import segment_fill
from ClamSegWorkflow.words import tr as _

REVIEW = "ClamSeg.review"
# Reference of a result to the scan it was made from.
VOLUME = "ClamSeg.volume"
_SAME_THRESHOLD = 1e-6


class Result:
    """A segmentation node of ours, its maps and its lesions.

    Made by `result_import` from a worker's folder, or from a saved scene.
    """

    def __init__(
        self, scene: Any, volume: Any, segmentation: Any, lesions: LesionList | None, looks: list[SegmentLook]
    ):
        self.scene, self.volume, self.segmentation = scene, volume, segmentation
        self.lesions = lesions
        self._looks = {look.id: look for look in looks}
        self._kept: dict[str, tuple[Decision, np.ndarray]] = {}
        self._times: dict[str, int] = {}
        self.editing: int | None = None
        self._exported_revision: int | None = None

    # Facts

    @property
    def record(self) -> GeometryRecord:
        """The volume's grid."""
        return record_geometry(self.volume)

    @property
    def provenance(self) -> dict[str, str]:
        """Model, hash, level, threshold, version and summary."""
        return read_provenance(self.segmentation)

    @property
    def marks(self) -> dict[int, str]:
        """What the reader labelled slices, by canonical slice."""
        return self.lesions.marks() if self.lesions is not None else {}

    def is_alive(self) -> bool:
        """Whether its nodes are still in the scene."""
        return all(
            node is not None and self.scene.IsNodePresent(node) for node in (self.segmentation, self.volume)
        ) and unchanged(self.volume, self.record)

    def remove(self) -> None:
        """Takes segments and maps out of the scene; the scan stays."""
        for node in (*(map_of(self.segmentation, kind) for kind in MAPS), self.segmentation):
            if node is not None:
                remove_node(self.scene, node)

    def map_node(self, kind: str) -> Any:
        """The volume of a map, None where it is gone; that of doubt is made from the probability where a scene of before has none."""
        node, probability = map_of(self.segmentation, kind), map_of(self.segmentation, PROBABILITY)
        if node is None and kind == DOUBT and probability is not None:
            from ClamSegLib.segmentation.lesions import doubt_of

            node = add_map(self.scene, self.volume, self.segmentation, doubt_of(map_array(probability)), DOUBT)
        return node

    def certificate(self) -> Certificate:
        """Where the segments lie against the volume, now."""
        return certify(self.segmentation, self.volume)

    def summary(self) -> str:
        """What stands now, in one line."""
        lesions = self.lesions
        if lesions is None:
            return self.provenance.get("summary", "")
        return summary_words(lesions, self._search(lesions))

    def _search(self, lesions: LesionList) -> Search:
        """What the run looked for, and where, as its report tells; scenes of before know the lesion list only."""
        try:
            return Search.from_json(json.loads(self.provenance["report"])["search"])
        except (KeyError, TypeError, ValueError):
            smallest = lesions.minimum_volume_ml if lesions.spacing_known else 0.0
            names = tuple(self.condition_names().values())
            return Search(names, lesions.n_slices, lesions.n_slices, smallest_ml=smallest)

    # Threshold

    def preview_threshold(self, threshold: float) -> None:
        """While dragging: only the map's display moves, no mask is touched.

        The marks of undecided lesions are mere outlines meanwhile, because filled they would cover the map that moves;
        at the list's own threshold they are filled again.
        """
        node = map_of(self.segmentation, PROBABILITY)
        if node is not None:
            set_shown_threshold(node, threshold)
        lesions = self.lesions
        if lesions is None:
            return
        fill = 1.0 if abs(threshold - lesions.threshold) < _SAME_THRESHOLD else 0.0
        for condition in lesions.conditions:
            if self.segmentation.GetSegmentation().GetSegment(f"lesion-{condition}") is not None:
                segment_fill(self.segmentation, f"lesion-{condition}", fill)

    def set_threshold(self, threshold: float) -> None:
        """On release: the masks of undecided lesions follow; decided ones stay."""
        lesions = self._list()
        self.take_over_edits()
        lesions.set_threshold(threshold)
        self.preview_threshold(threshold)
        self.write()

    # Decisions

    def decide(self, number: int, decision: Decision) -> None:
        """Accepts, rejects or frees a lesion."""
        self.take_over_edits()
        self._list().decide(number, decision)
        self.write()

    def begin_edit(self, number: int) -> str:
        """Gives a lesion a segment of its own to be edited; returns the segment's id. Opening it decides nothing."""
        lesions = self._list()
        self.end_edit()
        condition = lesions.row(number).condition
        self.editing = number
        self.write()
        return self._id_of(number, condition)

    def begin_lesion(self, condition: str) -> str:
        """An empty segment for a missed lesion; returns its id. Left empty, it is dropped."""
        lesions = self._list()
        self.end_edit()
        number = lesions.free_number()
        self.editing = number
        look = self._look_of(number, condition, Decision.ADDED)
        put_segment(self.segmentation, self.volume, look, np.zeros((1, 1, 1), bool))
        self._times[look.id] = segment_time(self.segmentation, look.id)
        return look.id

    def end_edit(self) -> bool:
        """The reader is done with drawing: it is taken over and named as what it is now; True where something was drawn."""
        taken = self._take_over()
        edited, self.editing = self.editing, None
        if taken or edited is not None:
            self.write()
        return taken

    def take_over_edits(self) -> bool:
        """Reads what was drawn into our segments since we wrote them; True where something was.

        Raises:
            SceneError: a segment reaches beyond the volume.
        """
        taken = self._take_over()
        if taken:
            self.write()
        return taken

    def _take_over(self) -> bool:
        lesions = self._list()
        shape = self.record.shape
        taken = False
        for number, condition, segment_id in self._own_segments():
            if self._times.get(segment_id) == segment_time(self.segmentation, segment_id):
                continue
            mask = segment_mask(self.segmentation, segment_id, shape)
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
            if self.segmentation.GetSegmentation().GetSegment(segment_id) is None:
                continue  # the reader removed it: it is written again with what is undecided
            if self._times.get(segment_id) != segment_time(self.segmentation, segment_id):
                mask = segment_mask(self.segmentation, segment_id, shape)
                if (apart := self._apart(condition)) is not None:
                    _add(mask, *lesions.lesion_mask(apart))
                taken = lesions.adopt(mask, index) or taken
        return taken

    def is_reviewed(self) -> bool:
        """Whether decisions, drawings or marked slices would go with it."""
        if self.lesions is None:
            return False
        self.take_over_edits()
        return bool(self.lesions.decisions() or self.marks)

    def undo(self) -> bool:
        """Takes the last step of the review back, a decision, drawing, threshold or label of a slice.

        What was drawn meanwhile is taken over first.
        """
        self.take_over_edits()
        return self._shown_again(self._list().undo())

    def redo(self) -> bool:
        """Does the step that was taken back last again; a drawing made since then has taken its place."""
        self.take_over_edits()
        return self._shown_again(self._list().redo())

    def _shown_again(self, moved: bool) -> bool:
        if moved:
            self.write()
            self.preview_threshold(self._list().threshold)
        return moved

    def reject_below(self, minimum: float) -> int:
        """Rejects every undecided lesion smaller than `minimum` ml (pixels without spacing), as one step; how many."""
        self.take_over_edits()
        count = self._list().reject_below(minimum)
        if count:
            self.write()
        return count

    def know_as_exported(self) -> None:
        """What stands now has been written to a file, or saved as corrections."""
        if self.lesions is not None:
            self._exported_revision = self.lesions.steps.revision

    def waits_for_export(self) -> bool:
        """Whether something of the review is in no file yet."""
        lesions = self.lesions
        if lesions is None or not (lesions.decisions() or lesions.marks()):
            return False
        return lesions.steps.revision != self._exported_revision

    def mark(self, canonical_slice: int, word: str) -> None:
        """Marks a slice 'normal', 'diseased' or 'unsure'; '' takes the mark away."""
        self._list().mark(canonical_slice, word)
        self._remember()

    # Scene

    def _list(self) -> LesionList:
        if self.lesions is None:
            raise SceneError(_("This result has no lesions to review."))
        return self.lesions

    def _id_of(self, number: int, condition: str) -> str:
        return f"lesion-{condition}-{number}"

    def _look_of(self, number: int, condition: str, decision: Decision) -> SegmentLook:
        base = self._looks[f"lesion-{condition}"]
        # What is being drawn is not said to be decided.
        name = f"{base.name} {number}" if number == self.editing else f"{base.name} {number} ({decision.value})"
        return SegmentLook(self._id_of(number, condition), name, base.colour, base.terminology)

    def condition_names(self) -> dict[str, str]:
        """What people read of each condition, by its id."""
        return {condition: self._looks[f"lesion-{condition}"].name for condition in self._list().conditions}

    def _own_segments(self) -> list[tuple[int, str, str]]:
        """(number, condition, id) of the segments that hold one lesion each."""
        data = self.segmentation.GetSegmentation()
        found = []
        for index in range(data.GetNumberOfSegments()):
            segment_id = data.GetNthSegmentID(index)
            for condition in self._list().conditions:
                number = segment_id.removeprefix(f"lesion-{condition}-")
                if number != segment_id and number.isdigit():
                    found.append((int(number), condition, segment_id))
        return found

    def is_own(self, segment_id: str) -> bool:
        """Whether a segment is of this result, and not one that the reader put beside it."""
        own = [] if self.lesions is None else [each for *_rest, each in self._own_segments()]
        return segment_id in self._looks or segment_id in own

    def decision_on(self, segment_id: str) -> Decision:
        """What was decided on the lesion that a segment holds alone; UNDECIDED for all other segments."""
        decisions = {} if self.lesions is None else self.lesions.decisions()
        numbers = [] if self.lesions is None else self._own_segments()
        number = next((number for number, _condition, each in numbers if each == segment_id), None)
        return Decision.UNDECIDED if number is None else decisions.get(number, Decision.UNDECIDED)

    def write(self) -> None:
        """Brings the segments in step with the list, as one step of the scene's undo."""
        lesions = self._list()
        if self.scene.GetUndoFlag():
            self.scene.SaveStateForUndo()
        modified = self.segmentation.StartModify()
        try:
            self._write_undecided(lesions)
            self._write_opened(lesions)
            self._write_decided(lesions)
        finally:
            self.segmentation.EndModify(modified)
        write_provenance(self.segmentation, {"threshold": f"{lesions.threshold:.4g}"})
        self._remember()

    def _opened(self) -> LesionRow | None:
        """The found lesion that is open for drawing while neither a stroke nor a decision lets it stand."""
        lesions = self._list()
        if self.editing is None or not lesions.has(self.editing):
            return None
        row = lesions.row(self.editing)
        return None if row.decision in FROZEN else row

    def _apart(self, condition: str) -> int | None:
        """The undecided lesion of a condition that lies in a segment of its own, because it is open for drawing."""
        row = self._opened()
        is_apart = row is not None and row.condition == condition and row.decision is Decision.UNDECIDED
        return row.number if row is not None and is_apart else None

    def _write_undecided(self, lesions: LesionList) -> None:
        for index, condition in enumerate(lesions.conditions, 1):
            look = self._looks[f"lesion-{condition}"]
            mask, start = lesions.undecided_mask(index, self._apart(condition))
            put_segment(self.segmentation, self.volume, look, mask, start)
            self._times[look.id] = segment_time(self.segmentation, look.id)

    def _write_opened(self, lesions: LesionList) -> None:
        row = self._opened()
        if row is not None:
            look = self._look_of(row.number, row.condition, row.decision)
            put_segment(self.segmentation, self.volume, look, *lesions.lesion_mask(row.number))
            self._times[look.id] = segment_time(self.segmentation, look.id)

    def _write_decided(self, lesions: LesionList) -> None:
        frozen = {number: decision for number, decision in lesions.decisions().items() if decision in FROZEN}
        data = self.segmentation.GetSegmentation()
        for number, _condition, segment_id in self._own_segments():
            if number not in frozen and number != self.editing:
                data.RemoveSegment(segment_id)
                self._kept.pop(segment_id, None)
        for number, decision in frozen.items():
            kept = lesions.kept(number)
            look = self._look_of(number, lesions.conditions[kept.condition - 1], decision)
            there = data.GetSegment(look.id) is not None
            before = self._kept.get(look.id)
            if not there or before is None or before[1] is not kept.mask:
                put_segment(self.segmentation, self.volume, look, *lesions.lesion_mask(number))
            data.GetSegment(look.id).SetName(look.name)
            self._kept[look.id] = (decision, kept.mask)
            self._times[look.id] = segment_time(self.segmentation, look.id)

    def known_as_written(self) -> None:
        """The segments in the scene are those of the list: a reopened review begins without edits.

        Where the scene was saved with a lesion open for drawing, what was drawn into it counts.
        """
        lesions = self._list()
        was_drawing = False
        for number, _condition, segment_id in self._own_segments():
            if lesions.decisions().get(number) not in FROZEN:
                was_drawing = True
                continue
            self._kept[segment_id] = (lesions.decisions()[number], lesions.kept(number).mask)
            self._times[segment_id] = segment_time(self.segmentation, segment_id)
        for condition in lesions.conditions:
            self._times[f"lesion-{condition}"] = segment_time(self.segmentation, f"lesion-{condition}")
        if was_drawing and not self.take_over_edits():
            self.write()

    def _remember(self) -> None:
        lesions = self._list()
        memory = {
            **lesions.memory(),
            "is_picture": lesions.is_picture,
            "looks": [[look.id, look.name, list(look.colour), look.terminology] for look in self._looks.values()],
        }
        self.segmentation.SetAttribute(REVIEW, json.dumps(memory))


def _add(mask: np.ndarray, part: np.ndarray, start: tuple[int, int, int]) -> None:
    """Adds the voxels of a box to a whole-volume mask."""
    mask[tuple(slice(first, first + size) for first, size in zip(start, part.shape, strict=True))] |= part


def _same(mask: np.ndarray, part: np.ndarray, start: tuple[int, int, int]) -> bool:
    """Whether a whole-volume mask holds exactly the voxels of a box."""
    where = tuple(slice(first, first + size) for first, size in zip(start, part.shape, strict=True))
    return np.array_equal(mask[where], part) and int(np.count_nonzero(mask)) == int(np.count_nonzero(part))
