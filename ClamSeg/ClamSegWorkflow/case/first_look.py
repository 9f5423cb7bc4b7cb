"""The slices before the reader's eyes, segmented before all others: hatched, for it is provisional, and gone with the run."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.result_import import looks_of
from ClamSegWorkflow.case.result_views import view_of_plane
from ClamSegWorkflow.case.run_input import RunCase
from ClamSegWorkflow.scene.geometry import unchanged
from ClamSegWorkflow.scene.passing import PassingSegmentation
from ClamSegWorkflow.scene.segments import put_segment
from ClamSegWorkflow.scene.views import segment_fill, shows_behind, voxel_at_view
from ClamSegWorkflow.words import tr as _

_log = logging.getLogger(__name__)

_FILE = "first.npy"
# Of the longest side of the scan; a stripe has at least two voxels, as has the gap beside it.
_STRIPES = 128
_FILL = 0.6


class FirstLook:
    """What the worker found in a few slices, in the scene until the run ends in whatever way.

    Attributes:
        words: what is shown, '' where nothing is.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._shown = PassingSegmentation(scene)
        self.words = ""

    def wanted(self, case: RunCase, plane: str) -> dict[str, Any]:
        """What is asked of the worker: the slice that the view of the model's plane shows; nothing where it shows another scan."""
        view = view_of_plane(plane)
        position = voxel_at_view(self._scene, case.volume, view)
        if position is None or not shows_behind(self._scene, case.volume, view):
            return {}
        nearest = [math.floor(index + 0.5) for index in reversed(position)]
        voxel = [min(max(index, 0), size - 1) for index, size in zip(nearest, case.record.shape, strict=True)]
        return {"first_slice": voxel, "first_file": str(case.folder / _FILE)}

    def show(self, case: RunCase, event: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
        """Draws what the worker's `preview` tells of; False where that does not fit the scan or could not be drawn, and nothing is.

        Args:
            config: the model's config.json.
        """
        self.remove()
        if not self._scene.IsNodePresent(case.volume) or not unchanged(case.volume, case.record):
            return False
        try:
            labels = np.load(Path(event["file"]), allow_pickle=False)
            start, (first, last) = [int(index) for index in event["start"]], event["slices"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if labels.ndim != 3 or len(start) != 3 or not _fits(start, labels.shape, case.record.shape):
            return False
        try:
            is_marked = self._draw(case, labels, start, config)
        except Exception as error:  # nothing provisional may end a run, and nothing half-drawn stays in the views
            _log.warning("Preview: %s", type(error).__name__)  # its words may name the scan
            self.remove()
            return False
        self.words = _words(int(first), int(last), is_marked, case.is_picture)
        return True

    def _draw(self, case: RunCase, labels: np.ndarray, start: list[int], config: Mapping[str, Any]) -> bool:
        """Draws the organ's outline and hatched lesions; whether there are any."""
        node = self._shown.begin(case.volume, _("{volume}, first look").format(volume=case.name))
        stripes = _stripes(labels.shape, start, max(case.record.shape))
        is_marked = False
        for number, look in enumerate(looks_of(config), 1):
            mask = labels == number
            is_organ = look.id == "organ"
            is_marked = is_marked or (not is_organ and bool(mask.any()))
            if is_organ:
                mask = labels > 0  # lesions are no holes in it
            put_segment(node, case.volume, look, mask if is_organ else mask & stripes, start)
            segment_fill(node, look.id, 0.0 if is_organ else 1.0)
        display = node.GetDisplayNode()
        if display is not None:
            display.SetVisibility3D(False)
            display.SetOpacity2DFill(_FILL)
        return is_marked

    def remove(self) -> None:
        """The run ended, with a result or without."""
        self._shown.remove()
        self.words = ""


def _fits(start: list[int], part: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(s >= 0 and s + p <= n for s, p, n in zip(start, part, shape, strict=True))


def _stripes(part: tuple[int, ...], start: list[int], longest: int) -> np.ndarray:
    """True in every other diagonal stripe, in each plane of the voxels."""
    width = max(2, round(longest / _STRIPES))
    k, j, i = np.ogrid[tuple(slice(s, s + p) for s, p in zip(start, part, strict=True))]
    return np.asarray((k + j + i) // width % 2 == 0)


def _words(first: int, last: int, is_marked: bool, is_picture: bool) -> str:
    if is_picture:
        where = _("First look")
    elif first == last:
        where = _("First look at slice {n}").format(n=first + 1)
    else:
        where = _("First look at slices {first} to {last}").format(first=first + 1, last=last + 1)
    if is_marked:
        return _("{where}: hatched, not final").format(where=where)
    return _("{where}: nothing marked so far, not final").format(where=where)
