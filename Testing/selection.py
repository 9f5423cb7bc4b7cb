"""Which tests are slow: those that start a process or a browser, or train. Nobody has to remember a marker.

A test is judged by its own text, that of its fixtures, and that of the helpers of its file which these name. What the
text does not show (seconds of computing) is marked by hand: `@pytest.mark.slow`, or the file's name below.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import pytest

_STARTS = re.compile(
    r"\bsubprocess\.\w+\(|\bPopen\(|sys\.executable|#!/|getfixturevalue|\bmultiprocessing\b"  # a process
    r"|\bWorkerProcess\(|\bPageServer\(|\bsync_playwright\b"  # a worker, the page, a browser
    r"|\"(?:checkFolder|startTraining)Button\""  # the panel's check and training, processes of their own
    r"|\bstart_training\b|\brun_training\(|\bTrainer\(|\btune_eta\(|\bcs\.train\(|[\[(]\s*\"(?:train|study|benchmark)\""  # a training
)
# Files whose tests convert or measure networks, seconds each.
_COMPUTING = {"test_engine.py", "test_engine_mnn.py", "test_export.py"}
_BROWSER_OR_WORKER = {"browser", "reader", "serve", "server", "real_window"}


def mark_slow_tests(items: list[pytest.Item]) -> None:
    """Adds the marker `slow` to the tests that start something."""
    for item in items:
        if isinstance(item, pytest.Function) and _is_slow(item):
            item.add_marker(pytest.mark.slow)


def _is_slow(item: pytest.Function) -> bool:
    if item.path.name in _COMPUTING or _BROWSER_OR_WORKER & set(item.fixturenames):
        return True
    definitions = item._fixtureinfo.name2fixturedefs.values()  # pytest has no public way to a test's fixtures
    fixtures = [definition[-1].func for definition in definitions]
    return any(_starts_something(function) for function in (item.function, *fixtures))


def _starts_something(function: Any) -> bool:
    """Whether the text of a function, or of the helpers of its file that it names, starts a process or a training."""
    seen: set[str] = set()
    waiting = [inspect.unwrap(function)]
    while waiting:
        text = _source(waiting.pop())
        if _STARTS.search(text):
            return True
        helpers = _helpers(inspect.getmodule(inspect.unwrap(function)))
        for name in (set(re.findall(r"\w+", text)) & set(helpers)) - seen:
            seen.add(name)
            waiting.append(helpers[name])
    return False


@cache
def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # a fixture of a plug-in without Python text
        return ""


@cache
def _helpers(module: ModuleType | None) -> dict[str, Any]:
    """Functions and classes written in a test file or imported from a file beside the tests."""
    if module is None or "Testing" not in (getattr(module, "__file__", None) or ""):
        return {}
    found = {name: value for name, value in vars(module).items() if isinstance(value, FunctionType | type)}
    return {name: value for name, value in found.items() if _is_of_the_tests(value) and not name.startswith("test_")}


def _is_of_the_tests(value: Any) -> bool:
    return "Testing" in (getattr(inspect.getmodule(value), "__file__", None) or "")
