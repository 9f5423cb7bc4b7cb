"""The decided lesions of a review: accepted, rejected, edited or added, each with voxels that no threshold touches any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import box_of
from ClamSegWorkflow.case.drawn_lesions import FoundLesion
from ClamSegWorkflow.case.lesion_map import KeptLesion, LesionMap
from ClamSegWorkflow.case.lesion_row import FROZEN, Decision
from ClamSegWorkflow.words import tr as _

Peak = tuple[int, int, int]  # canonical (slice, row, column) of a lesion's strongest voxel


class DecidedLesions:
    """Decided lesions by number.

    Args:
        lesion_map: the map that they were found on.

    Attributes:
        by_number: number -> lesion; its owner adds and takes away.
    """

    def __init__(self, lesion_map: LesionMap) -> None:
        self._map = lesion_map
        self.by_number: dict[int, KeptLesion] = {}

    def standing_masks(self, conditions: Sequence[str]) -> dict[str, np.ndarray]:
        """Per condition what the reader let stand (accepted, edited, added), own frame, whole volume."""
        masks = {name: np.zeros(self._map.own_shape, bool) for name in conditions}
        for kept in self.by_number.values():
            if kept.decision in FROZEN:
                self._map.orientation.apply(masks[conditions[kept.condition - 1]])[kept.box] |= kept.mask
        return masks

    def rejected_mask(self) -> np.ndarray:
        """All rejected voxels, own frame, whole volume."""
        mask = np.zeros(self._map.own_shape, bool)
        turned = self._map.orientation.apply(mask)
        for kept in self.by_number.values():
            if kept.decision is Decision.REJECTED:
                turned[kept.box] |= kept.mask
        return mask

    def drawn(
        self, number: int, mask: np.ndarray, condition: int, threshold: float, found: FoundLesion | None
    ) -> KeptLesion:
        """A lesion as the reader drew it, known by the voxel it was known by before; it is not among the decided ones yet.

        Args:
            number: of a decided lesion, of `found`, or a new one.
            mask: (k, j, i) bool, own frame, whole volume.
            condition: of a lesion that was not decided before, from 1.
            threshold: of this moment.
            found: the undecided lesion of this number as the map gives it, None where there is none.

        Raises:
            ValueError: the mask is empty.
        """
        turned = self._map.orientation.apply(mask)
        box = box_of(turned)
        if box is None:
            raise ValueError(_("the lesion is empty; reject it instead"))
        part, old = np.array(turned[box]), self.by_number.get(number)
        if old is not None:
            is_added = old.decision is Decision.ADDED
            settled = None if is_added else old.settled or (old.box, old.mask)
            condition, peak = old.condition, old.peak_index
        elif found is not None:
            is_added, settled, peak = False, (found.box, found.mask), found.peak_index
        else:
            s, r, c = (int(value + side.start) for value, side in zip(np.argwhere(part)[0], box, strict=True))
            is_added, settled, peak = True, None, (s, r, c)
        decision = Decision.ADDED if is_added else Decision.EDITED
        return KeptLesion(number, condition, decision, box, part, peak, threshold, settled)

    def restore(
        self,
        frozen: Mapping[int, tuple[int, Decision, np.ndarray, float, Peak]],
        rejected: Mapping[int, tuple[int, float, Peak]],
    ) -> None:
        """Brings saved decisions back; arguments as for `LesionList.restore`."""
        for number, (condition, decision, mask, threshold, peak) in frozen.items():
            turned = self._map.orientation.apply(mask)
            box = box_of(turned)
            if box is not None:
                settled = self._map.component_at(peak, threshold) if decision is Decision.EDITED else None
                drawn = np.array(turned[box])
                self.by_number[number] = KeptLesion(number, condition, decision, box, drawn, peak, threshold, settled)
        for number, (condition, threshold, peak) in rejected.items():
            found = self._map.component_at(peak, threshold)
            if found is not None:
                self.by_number[number] = KeptLesion(number, condition, Decision.REJECTED, *found, peak, threshold)

    def memory(self) -> list[dict[str, Any]]:
        """What a saved scene needs besides the segments, as JSON values."""
        return [
            {"number": k.number, "condition": k.condition, "decision": k.decision.value, "peak": list(k.peak_index),
             "threshold": k.threshold}
            for k in self.by_number.values()
        ]  # fmt: skip
