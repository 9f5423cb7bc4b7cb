"""What a scan held goes when it is closed, and a result when another takes its place; not when Python next looks for circles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ClamSegWeb.input_section import InputSection, OpenCase
from ClamSegWeb.opened_scan import OpenedScan
from ClamSegWeb.roots import Roots


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
        kept=SimpleNamespace(drop=lambda _case: None), review=SimpleNamespace(stop_drawing=lambda: None), scan_shown=lambda _case: None, failed=pytest.fail,
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
