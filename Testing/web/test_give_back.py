"""What a scan held goes when it is closed, and a result when another takes its place; not when Python next looks for circles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import vtk
from asyncio_apart import run_apart

from ClamSegWeb.input_section import InputSection
from ClamSegWeb.open_case import OpenCase
from ClamSegWeb.opened_scan import OpenedScan
from ClamSegWeb.roots import Roots

FACTS = {
    "spacing_mm": (1.0, 1.0, 1.0), "origin": (0.0, 0.0, 0.0), "direction": np.eye(3).ravel().tolist(), "is_picture": False,
    "spacing_known": True, "warnings": [], "modality": "CT", "description": "",
}  # fmt: skip


class State(SimpleNamespace):
    """The page's state without a browser."""

    def update(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def change(self, *_names: str) -> Callable[[Any], Any]:
        return lambda call: call


class HoldsItself:
    """A result in a circle, as a closure of a view makes one."""

    def __init__(self, volume: Any) -> None:
        self.volume, self.me = volume, self

    def remove(self) -> None:
        """Nothing is in the scene."""

    def is_reviewed(self) -> bool:
        return False


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def section(monkeypatch: pytest.MonkeyPatch) -> InputSection:
    soon: list[Callable[[], None]] = []
    page: Any = SimpleNamespace(
        state=State(), roots=Roots([]), views=SimpleNamespace(scene=None), later=soon.append, soon=soon,
        kept=SimpleNamespace(drop=lambda _case: None, sources=list), review=SimpleNamespace(stop_drawing=lambda: None), scan_shown=lambda _case: None, failed=pytest.fail,
        segment=SimpleNamespace(run=SimpleNamespace(job=SimpleNamespace(is_busy=False))),
    )  # fmt: skip
    monkeypatch.setattr("ClamSegWeb.input_section.remove_node", lambda _scene, _node: None)
    made = InputSection(page)
    monkeypatch.setattr(made, "_tell", lambda: None)
    volume = SimpleNamespace(GetName=lambda: "scan")
    case = OpenCase(1, OpenedScan(volume, Path("scan.nrrd"), False, ()), False, HoldsItself(volume))
    made._cases.append(case)
    made.current = case
    return made


def settle(section: InputSection) -> None:
    soon = section._page.soon
    while soon:
        soon.pop(0)()


def test_a_closed_scan_gives_back_what_its_result_held(section: InputSection, no_collector: None) -> None:
    held = weakref.ref(section.current.result)
    section.close(1)
    settle(section)
    assert held() is None


def test_a_result_that_is_replaced_gives_back_what_it_held(section: InputSection, no_collector: None) -> None:
    held = weakref.ref(section.current.result)
    section.keep_result(HoldsItself(section.current.scan.volume))
    settle(section)
    assert held() is None


def test_the_views_let_go_of_the_image_of_a_closed_scan_and_show_the_next_one() -> None:
    from trame.app import get_server

    from ClamSegWeb.opened_scan import add_volume
    from ClamSegWeb.scene_views import SceneViews
    from ClamSegWorkflow.scene import remove_node

    async def looked_at() -> None:
        server = get_server("clamseg-give-back", client_type="vue3")
        views = SceneViews(server, lambda *_given: None, lambda *_given: None)
        gone = []

        def show() -> Any:
            image = vtk.vtkImageData()
            image.SetDimensions(20, 18, 16)
            image.AllocateScalars(vtk.VTK_SHORT, 1)
            image.GetPointData().GetScalars().Fill(7)
            image.AddObserver("DeleteEvent", lambda *_given: gone.append(True))
            node = add_volume(views.scene, "scan", image, FACTS)
            views.show(node, is_picture=False)
            return node

        for closed in (1, 2):
            node = show()
            logics = views.app.app_logic.GetSliceLogics()
            layers = [logics.GetItemAsObject(n).GetBackgroundLayer() for n in range(logics.GetNumberOfItems())]
            assert [layer.GetVolumeNode() is node for layer in layers] == [True] * 3
            assert all(layer.GetReslice().GetInput() is node.GetImageData() for layer in layers)
            remove_node(views.scene, node)
            del node
            views.show_nothing()
            gc.collect()
            assert len(gone) == closed

    run_apart(looked_at())
