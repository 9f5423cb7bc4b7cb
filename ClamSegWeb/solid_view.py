"""The surfaces of a result in the 3-D view, made beside the page: it answers the reader all the while."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import slicer
from vtkmodules.vtkCommonCore import vtkTypeInt64Array
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ClamSegWeb.surface_process import SurfaceProcess
from ClamSegWeb.surfaces import read_surface, write_mask
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.segments import closed_surface, segment_time
from ClamSegWorkflow.words import tr as _

_TIME = "ClamSeg.made from"  # in a surface: the time of the mask it was made from
_PATIENCE_S = 0.3  # who decides on one lesion after the other gets the surfaces of all of them at once
# What is drawn or decided meanwhile makes a surface old before it is shown; then it is made again, and after so many times those
# that are there are shown first.
_TRIES = 3


class SolidView:
    """Shows one result's surfaces; a later call takes an earlier one's place."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._process = SurfaceProcess()
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, segmentation: Any, shown: Any = lambda: None) -> None:
        """Makes what is missing or old and shows it.

        Args:
            segmentation: of the result.
            shown: is called when the surfaces stand there.
        """
        self._begin(segmentation, shown, 0.0)

    def follow(self, segmentation: Any, shown: Any = lambda: None) -> None:
        """Masks may have changed: old surfaces stay until new ones stand in their place. A result that never had any gets none."""
        if _without_surface(segmentation) and _has_surfaces(segmentation):
            self._begin(segmentation, shown, _PATIENCE_S)

    def _begin(self, segmentation: Any, shown: Any, after_s: float) -> None:
        self._turn += 1
        task = asyncio.get_running_loop().create_task(self._show(segmentation, self._turn, shown, after_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hide(self, segmentation: Any) -> None:
        """Puts them away; what is being made is not shown any more."""
        self._turn += 1
        self._page.state.solid_words = ""
        if segmentation.GetDisplayNode() is not None:
            segmentation.GetDisplayNode().SetVisibility3D(False)

    def close(self) -> None:
        """The page ends: the process that makes surfaces with it."""
        self._turn += 1
        self._process.close()

    async def _show(self, segmentation: Any, turn: int, shown: Any, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if turn != self._turn:
            return
        self._page.state.solid_words = _("surfaces are being made")
        self._page.state.flush()
        try:
            is_whole = False
            for _try in range(_TRIES):
                is_whole = await self._make(segmentation, turn)
                if is_whole:
                    break
            display = segmentation.GetDisplayNode()  # None where the scan was closed meanwhile
            if turn == self._turn and display is not None:
                display.SetVisibility3D(True)
                shown()
                if not is_whole:  # the reader goes on: those of what stands then, seen from where the reader looks now
                    self._begin(segmentation, self._page.views.draw_solid, _PATIENCE_S)
        except (OSError, SceneError) as error:
            if turn == self._turn:  # else a later call makes them, or the page has ended
                self._page.failed(_("The 3-D view could not be made ({error}).").format(error=error))
        finally:
            if turn == self._turn:
                self._page.state.solid_words = ""
            self._page.state.flush()

    async def _make(self, segmentation: Any, turn: int) -> bool:
        """One round; whether every segment has its surface, or nobody waits for it any more."""
        folder = Path(tempfile.mkdtemp(prefix="clamseg-surfaces-"))
        try:
            times: dict[str, int] = {}
            for number, segment_id in enumerate(_without_surface(segmentation)):
                if segmentation.GetSegmentation().GetSegment(segment_id) is None:
                    continue  # taken back while the others were written
                times[segment_id] = segment_time(segmentation, segment_id)  # before the page goes on with what is drawn
                image = slicer.vtkOrientedImageData()
                if segmentation.GetBinaryLabelmapRepresentation(segment_id, image):
                    await asyncio.to_thread(write_mask, folder, number, image, segment_id == "organ")
                await asyncio.sleep(0)
            if times and turn == self._turn:
                await asyncio.to_thread(self._process.make, folder)
            if turn != self._turn:
                return True
            return await _take(segmentation, times, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _without_surface(segmentation: Any) -> list[str]:
    """Ids of segments that have none, or one of other voxels than they have now."""
    return [each for each in _ids(segmentation) if _made_from(segmentation, each) != segment_time(segmentation, each)]


def _has_surfaces(segmentation: Any) -> bool:
    """Whether any were made beside the page."""
    return any(_made_from(segmentation, each) is not None for each in _ids(segmentation))


def _ids(segmentation: Any) -> list[str]:
    data = segmentation.GetSegmentation()
    return [data.GetNthSegmentID(n) for n in range(data.GetNumberOfSegments())]


def _made_from(segmentation: Any, segment_id: str) -> int | None:
    """The time of the mask that a segment's surface was made from; None where there is none, or the scene made it."""
    surface = segmentation.GetSegmentation().GetSegment(segment_id).GetRepresentation(closed_surface())
    time = surface.GetFieldData().GetArray(_TIME) if surface is not None else None
    return None if time is None else int(time.GetValue(0))


def _dated(surface: Any, time: int) -> Any:
    """A surface that says what it was made from."""
    array = vtkTypeInt64Array()
    array.SetName(_TIME)
    array.InsertNextValue(time)
    surface.GetFieldData().AddArray(array)
    return surface


async def _take(segmentation: Any, times: dict[str, int], folder: Path) -> bool:
    """Puts the surfaces into the scene; False where a segment was changed or added meanwhile."""
    surfaces = {}
    for number, segment_id in enumerate(times):
        surfaces[segment_id] = read_surface(folder, number)
        await asyncio.sleep(0)
    data = segmentation.GetSegmentation()
    is_whole = True
    modified = segmentation.StartModify()
    try:
        for segment_id, surface in surfaces.items():
            segment = data.GetSegment(segment_id)
            if segment is None:
                continue
            if segment_time(segmentation, segment_id) != times[segment_id]:
                is_whole = False
                continue
            made = surface if surface is not None else vtkPolyData()
            segment.AddRepresentation(closed_surface(), _dated(made, times[segment_id]))
    finally:
        segmentation.EndModify(modified)
    data.Modified()
    return is_whole and not _without_surface(segmentation)
