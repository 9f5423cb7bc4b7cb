"""A result in the scene and the review on it: segments, maps and lesion list kept in step."""

from __future__ import annotations

import json
from typing import Any

from ClamSegLib.segmentation.finding import Search
from ClamSegWorkflow.case.apart import Work
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result_segments import ResultSegments
from ClamSegWorkflow.case.review_text import summary_words
from ClamSegWorkflow.scene import SceneError, remove_node
from ClamSegWorkflow.scene.certificate import Certificate, certify
from ClamSegWorkflow.scene.geometry import GeometryRecord, record_geometry, unchanged
from ClamSegWorkflow.scene.overlays import (
    DOUBT,
    MAPS,
    PROBABILITY,
    add_map,
    map_array,
    map_image,
    map_of,
    set_shown_threshold,
)
from ClamSegWorkflow.scene.segments import SegmentLook, read_provenance, segment_time, write_provenance
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
        self._segments = ResultSegments(segmentation, volume, looks)
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
        """The volume of a map, None where it is gone; that of doubt is made from the probability when it is wanted first."""
        node = map_of(self.segmentation, kind)
        if node is None and kind == DOUBT:
            work = self.doubt_work()
            node = None if work is None else self.take_doubt(work())
        return node

    def doubt_work(self) -> Work | None:
        """Makes the image of the map of doubt, in any thread; None where it is there already, or can be made of nothing."""
        probability = map_of(self.segmentation, PROBABILITY)
        if probability is None or map_of(self.segmentation, DOUBT) is not None:
            return None
        values = map_array(probability)

        def work() -> Any:
            from ClamSegLib.segmentation.lesions import doubt_of

            return map_image(doubt_of(values))

        return work

    def take_doubt(self, image: Any) -> Any:
        """Brings what `doubt_work` made into the scene, where no other call has; the volume."""
        node = map_of(self.segmentation, DOUBT)
        return node or add_map(self.scene, self.volume, self.segmentation, image, DOUBT)

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
            smallest = lesions.smallest.ml if lesions.spacing_known else 0.0
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

    def keep_surfaces(self) -> None:
        """From now on surfaces stay as they are when voxels change: whoever shows them makes them anew."""
        self._segments.keeps_surfaces = True

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
        self._segments.editing = number
        self.write()
        return self._segments.id_of(number, condition)

    def begin_lesion(self, condition: str) -> str:
        """An empty segment for a missed lesion; returns its id. Left empty, it is dropped."""
        lesions = self._list()
        self.end_edit()
        return self._segments.begin(lesions.free_number(), condition)

    def end_edit(self) -> bool:
        """The reader is done with drawing: it is taken over and named as what it is now; True where something was drawn."""
        taken = self._take_over()
        edited, self._segments.editing = self._segments.editing, None
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
        return self._segments.take_drawn(self._list(), self.record.shape)

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

    def know_as_exported(self, revision: int | None = None) -> None:
        """What stands now has been written to a file, or saved as corrections.

        Args:
            revision: of the review's steps, where the reader may have gone on while it was written.
        """
        if self.lesions is not None:
            self._exported_revision = self.lesions.steps.revision if revision is None else revision

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

    def condition_names(self) -> dict[str, str]:
        """What people read of each condition, by its id."""
        return {condition: self._segments.condition_name(condition) for condition in self._list().conditions}

    def _own_segments(self) -> list[tuple[int, str, str]]:
        """(number, condition, id) of the segments that hold one lesion each."""
        return [] if self.lesions is None else self._segments.of_one_lesion(self.lesions.conditions)

    def is_own(self, segment_id: str) -> bool:
        """Whether a segment is of this result, and not one that the reader put beside it."""
        return segment_id in self._segments.looks or segment_id in [each for *_rest, each in self._own_segments()]

    def decision_on(self, segment_id: str) -> Decision:
        """What was decided on the lesion that a segment holds alone; UNDECIDED for all other segments."""
        decisions = {} if self.lesions is None else self.lesions.decisions()
        number = next((number for number, _condition, each in self._own_segments() if each == segment_id), None)
        return Decision.UNDECIDED if number is None else decisions.get(number, Decision.UNDECIDED)

    def drawn_at(self) -> dict[str, int]:
        """When the voxels of each segment were last touched, by its id; changes with every stroke, and takes nothing over."""
        data = self.segmentation.GetSegmentation()
        names = [data.GetNthSegmentID(index) for index in range(data.GetNumberOfSegments())]
        return {name: segment_time(self.segmentation, name) for name in names}

    def write(self) -> None:
        """Brings the segments in step with the list, as one step of the scene's undo."""
        lesions = self._list()
        if self.scene.GetUndoFlag():
            self.scene.SaveStateForUndo()
        self._segments.write(lesions)
        write_provenance(self.segmentation, {"threshold": f"{lesions.threshold:.4g}"})
        self._remember()

    def known_as_written(self) -> None:
        """The segments in the scene are those of the list: a reopened review begins without edits.

        Where the scene was saved with a lesion open for drawing, what was drawn into it counts.
        """
        if self._segments.know_as_written(self._list()) and not self.take_over_edits():
            self.write()

    def _remember(self) -> None:
        lesions = self._list()
        memory = {
            **lesions.memory(),
            "is_picture": lesions.is_picture,
            "looks": [
                [look.id, look.name, list(look.colour), look.terminology] for look in self._segments.looks.values()
            ],
        }
        self.segmentation.SetAttribute(REVIEW, json.dumps(memory))
