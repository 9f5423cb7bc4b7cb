"""Surfaces made beside the page: as the scene itself makes them, while the loop answers; never old ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from asyncio_apart import run_apart
from vtk.util import numpy_support

from ClamSegWeb import surface_process
from ClamSegWeb.solid_view import SolidView
from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment

SHAPE = (24, 40, 36)
SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()


@pytest.fixture(scope="module")
def app() -> Any:
    """Slicer's scene with its logics, as the page has it."""
    from trame_slicer.core import SlicerApp

    return SlicerApp()


@pytest.fixture
def segmentation(app: Any) -> Any:
    """Two segments on an oblique scan."""
    volume = app.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*SHAPE[::-1])
    image.AllocateScalars(4, 1)
    volume.SetAndObserveImageData(image)
    volume.SetSpacing(0.8, 0.8, 2.0)
    volume.SetIJKToRASDirections(0.96, -0.28, 0, 0.28, 0.96, 0, 0, 0, 1)
    made = add_segmentation(app.scene, volume, "result")
    for number, size in enumerate((12, 5)):
        put_segment(made, volume, look(number), ball(size))
    made.volume = volume
    return made


def look(number: int) -> SegmentLook:
    return SegmentLook(f"segment-{number}", f"Segment {number}", (200, 80, 0))


def ball(radius: int) -> np.ndarray:
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return (2.5 * (k - 12)) ** 2 + (j - 20) ** 2 + (i - 18) ** 2 < radius**2


def points(segmentation: Any, segment_id: str) -> np.ndarray:
    surface = segmentation.GetSegmentation().GetSegment(segment_id).GetRepresentation(SURFACE)
    return numpy_support.vtk_to_numpy(surface.GetPoints().GetData()).copy()


def page() -> Any:
    failures: list[str] = []
    state = SimpleNamespace(solid_words="", flush=lambda: None)
    drawn: list[None] = []
    views = SimpleNamespace(draw_solid=lambda: drawn.append(None))
    return SimpleNamespace(state=state, failed=failures.append, failures=failures, views=views, drawn=drawn)


async def shown(view: SolidView, segmentation: Any, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Waits until the surfaces stand there; how often the loop turned meanwhile."""
    done = asyncio.Event()
    view.show(segmentation, done.set)
    await asyncio.sleep(0.05)
    meanwhile()
    turns = 0
    while not done.is_set():
        await asyncio.sleep(0.01)
        turns += 1
    return turns


@pytest.fixture
def solid() -> Iterator[SolidView]:
    view = SolidView(page())
    yield view
    view.close()


def test_they_equal_those_of_the_scene_and_the_loop_goes_on_while_they_are_made(
    segmentation: Any, solid: SolidView
) -> None:
    told = solid._page
    turns = run_apart(shown(solid, segmentation))
    assert turns > 5
    assert told.failures == []
    assert told.state.solid_words == ""
    assert segmentation.GetDisplayNode().GetVisibility3D()
    made = [points(segmentation, f"segment-{n}") for n in (0, 1)]
    segmentation.RemoveClosedSurfaceRepresentation()
    segmentation.CreateClosedSurfaceRepresentation()
    for number, those in enumerate(made):
        assert np.allclose(those, points(segmentation, f"segment-{number}"), atol=1e-3)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_small_lesion_keeps_its_volume_in_the_surface_made_beside_the_page(
    segmentation: Any, solid: SolidView, side: int
) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[8 : 8 + side, 10 : 10 + side, 30 - side : 30] = True
    put_segment(segmentation, segmentation.volume, look(1), mask)
    run_apart(shown(solid, segmentation))
    surface = segmentation.GetSegmentation().GetSegment("segment-1").GetRepresentation(SURFACE)
    assert surface_volume(surface) == pytest.approx(side**3 * 0.8 * 0.8 * 2.0, rel=0.1)


def test_an_organ_is_smooth_and_keeps_its_volume(segmentation: Any, solid: SolidView) -> None:
    organ = SegmentLook("organ", "Organ", (0, 100, 200), "")
    put_segment(segmentation, segmentation.volume, organ, ball(16))
    put_segment(segmentation, segmentation.volume, look(0), ball(16))
    run_apart(shown(solid, segmentation))
    smooth, as_drawn = (
        segmentation.GetSegmentation().GetSegment(name).GetRepresentation(SURFACE) for name in ("organ", "segment-0")
    )
    assert surface_volume(smooth) == pytest.approx(surface_volume(as_drawn), rel=0.03)
    assert measured(smooth).GetSurfaceArea() < 0.95 * measured(as_drawn).GetSurfaceArea()


def surface_volume(surface: Any) -> float:
    """mm3 inside a closed surface."""
    return float(measured(surface).GetVolume())


def measured(surface: Any) -> Any:
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    triangles.Update()
    properties = vtk.vtkMassProperties()
    properties.SetInputData(triangles.GetOutput())
    return properties


def test_what_is_drawn_meanwhile_is_in_the_surface_that_is_shown(segmentation: Any, solid: SolidView) -> None:
    def draw() -> None:
        put_segment(segmentation, segmentation.volume, look(1), ball(9))

    run_apart(shown(solid, segmentation, draw))
    drawn = points(segmentation, "segment-1")
    assert np.ptp(drawn, axis=0).max() > 0.8 * 2 * 7


def test_the_process_is_kept_for_the_next_surfaces_started_again_where_it_was_killed_and_ended_with_the_page(
    segmentation: Any, solid: SolidView
) -> None:
    run_apart(shown(solid, segmentation))
    first = solid._process._process
    assert first is not None
    assert first.poll() is None
    put_segment(segmentation, segmentation.volume, look(0), ball(7))
    run_apart(shown(solid, segmentation))
    assert solid._process._process is first
    first.kill()
    first.wait()
    put_segment(segmentation, segmentation.volume, look(0), ball(11))
    run_apart(shown(solid, segmentation))
    assert np.ptp(points(segmentation, "segment-0"), axis=0).max() > 0.8 * 2 * 9
    second = solid._process._process
    assert second is not None
    solid.close()
    assert second.poll() is not None


def test_a_process_that_fails_is_told_and_the_page_goes_on(segmentation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface_process, "python_program", lambda: "/bin/false")
    told = page()

    async def fail() -> None:
        view = SolidView(told)
        view.show(segmentation)
        while not told.failures:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    run_apart(fail())
    assert "3-D view could not be made" in told.failures[0]
    assert told.state.solid_words == ""


def test_a_scan_that_is_closed_while_its_surfaces_are_made_leaves_nothing_behind(
    segmentation: Any, solid: SolidView
) -> None:
    problems: list[dict[str, Any]] = []

    async def close_meanwhile() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, problem: problems.append(problem))
        solid.show(segmentation)
        (task,) = solid._tasks
        await asyncio.sleep(0.05)
        segmentation.GetScene().RemoveNode(segmentation.GetDisplayNode())
        await asyncio.wait([task])
        assert task.exception() is None

    run_apart(close_meanwhile())
    assert problems == []
    assert solid._page.failures == []
    assert solid._page.state.solid_words == ""


def test_a_changed_mask_keeps_its_old_surface_for_a_moment_and_gets_its_own_beside_the_page(
    segmentation: Any, solid: SolidView
) -> None:
    run_apart(shown(solid, segmentation))
    before = [points(segmentation, f"segment-{n}") for n in (0, 1)]
    untouched = segmentation.GetSegmentation().GetSegment("segment-0").GetRepresentation(SURFACE)
    put_segment(segmentation, segmentation.volume, look(1), ball(9), keep_surface=True)
    assert np.array_equal(points(segmentation, "segment-1"), before[1]), "nothing is made while the page waits"
    put_segment(segmentation, segmentation.volume, look(2), ball(4), keep_surface=True)
    new = segmentation.GetSegmentation().GetSegment("segment-2")
    assert new.GetRepresentation(SURFACE).GetNumberOfPoints() == 0

    async def followed() -> None:
        done = asyncio.Event()
        solid.follow(segmentation, done.set)
        await asyncio.wait_for(done.wait(), 20)
        done.clear()
        solid.follow(segmentation, done.set)  # all are of today: nothing is made
        await asyncio.sleep(0.5)
        assert not done.is_set()

    run_apart(followed())
    assert np.ptp(points(segmentation, "segment-1"), axis=0).max() > 0.8 * 2 * 7
    assert len(points(segmentation, "segment-2")) > 20
    assert segmentation.GetSegmentation().GetSegment("segment-0").GetRepresentation(SURFACE) is untouched


def test_a_result_that_never_had_surfaces_gets_none_by_a_decision(segmentation: Any, solid: SolidView) -> None:
    async def followed() -> None:
        solid.follow(segmentation)
        await asyncio.sleep(0.6)

    run_apart(followed())
    assert segmentation.GetSegmentation().GetSegment("segment-0").GetRepresentation(SURFACE) is None


def test_surfaces_that_met_a_change_in_every_try_are_made_once_the_reader_rests(
    segmentation: Any, solid: SolidView, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, radii = solid._process.make, iter((6, 7, 8, 9))

    def make_and_change(folder: Any) -> None:
        made(folder)
        radius = next(radii, None)
        if radius is not None:
            put_segment(segmentation, segmentation.volume, look(1), ball(radius), keep_surface=True)
            put_segment(segmentation, segmentation.volume, look(0), ball(radius + 3), keep_surface=True)

    monkeypatch.setattr(solid._process, "make", make_and_change)

    fitted: list[None] = []

    async def rested() -> None:
        solid.show(segmentation, lambda: fitted.append(None))
        for _turn in range(500):
            await asyncio.sleep(0.02)
            if not solid._tasks:
                return

    run_apart(rested())
    assert np.ptp(points(segmentation, "segment-1"), axis=0).max() > 0.8 * 2 * 7
    assert segmentation.GetDisplayNode().GetVisibility3D()
    assert solid._page.state.solid_words == ""
    assert len(fitted) == 1  # what comes later leaves the reader's view as it is
    assert solid._page.drawn
