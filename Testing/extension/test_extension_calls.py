"""Every name of Slicer and Qt in the extension's files exists in the application, also where no test comes by."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import slicer
from slicer_stand_in import api

EXTENSION = Path(__file__).resolve().parents[2] / "ClamSeg"
FILES = sorted(EXTENSION.rglob("*.py"))
# Attributes of `slicer` that the application sets at its start, read in Slicer/Slicer Base/Python/slicer/__init__.py
# and Applications/SlicerApp; the tests have no DICOM database.
SET_BY_THE_APPLICATION = {"app", "modules", "mrmlScene", "i18n", "util", "packaging", "dicomDatabase", "selfTests"}


@cache
def widgets() -> dict[str, str]:
    tree = ElementTree.parse(EXTENSION / "Resources" / "UI" / "ClamSeg.ui").getroot()
    return {str(each.get("name")): str(each.get("class")) for each in tree.iter("widget")}


def dotted(node: ast.AST) -> list[str]:
    """'a.b.c' as a list; a call or an index ends the chain, [] where it does not begin with a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []


def chains(tree: ast.AST) -> Iterator[list[str]]:
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            yield dotted(node)


def problem_of(chain: list[str]) -> str:
    """Why a chain of names cannot be used in Slicer; '' where it can, or where nothing is known of it."""
    root, rest = chain[0], chain[1:]
    if root in ("qt", "ctk"):
        if api.room_of(rest[0]) != root:
            return f"no class {root}.{rest[0]}"
        if len(rest) > 1 and not api.members(rest[0]).has(rest[1]):
            return f"{rest[0]} has no {rest[1]}"
    elif root == "slicer":
        return problem_in_slicer(rest)
    for index, name in enumerate(chain[:-1]):
        if name in ("ui", "_ui") and chain[index + 1] in widgets() and len(chain) > index + 2:
            kind, member = widgets()[chain[index + 1]], chain[index + 2]
            if not api.members(kind).has(member):
                return f"{chain[index + 1]} is a {kind} and has no {member}"
        elif name in ("ui", "_ui") and chain[index + 1] not in widgets():
            return f"the window has no widget {chain[index + 1]}"
    return ""


def problem_in_slicer(rest: list[str]) -> str:
    first, second = rest[0], rest[1] if len(rest) > 1 else ""
    if first in ("util", "packaging", "testing") and second:
        return "" if second in api.functions(f"slicer.{first}") else f"slicer.{first} has no {second}"
    if first == "app" and second:
        return "" if api.members("app").has(second) else f"slicer.app has no {second}"
    if first == "modules" and second:
        known = second in api.full_list()["modules"] or second.lower().startswith("clamseg")
        return "" if known else f"slicer.modules has no {second}"
    known = first in SET_BY_THE_APPLICATION or first in api.full_list()["slicer"] or hasattr(slicer, first)
    return "" if known else f"slicer has no {first}"


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [
        ("qt.QLabel('x')", False),
        ("qt.QLable('x')", True),
        ("qt.QProcess.FailedToStart", False),
        ("qt.QProcess.FailedToBegin", True),
        ("slicer.util.settingsValue('a', 'b')", False),
        ("slicer.util.settingValue('a', 'b')", True),
        ("slicer.app.layoutManager()", False),
        ("slicer.app.layouts()", True),
        ("self._ui.applyButton.text = ''", False),
        ("self._ui.applyButton.txet = ''", True),
        ("self._panel.ui.aplyButton.text = ''", True),
        ("slicer.vtkMRMLNoSuchNode()", True),
    ],
)
def test_a_name_that_slicer_does_not_have_is_found(source: str, is_wrong: bool) -> None:
    found = [problem_of(chain) for chain in chains(ast.parse(source)) if len(chain) > 1]
    assert any(found) is is_wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_name_exists_in_slicer(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [why for chain in chains(tree) if len(chain) > 1 and (why := problem_of(chain))] == []


@cache
def all_signals() -> frozenset[str]:
    rooms = api.full_list()
    names = [name for room in ("qt", "ctk", "slicer") for name in rooms[room]]
    return frozenset(signal for name in names for signal in api.members(name).signals)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_connected_signal_exists_in_slicer(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in ("connect", "disconnect") or not node.args:
                continue
            signal = node.args[0]
            if isinstance(signal, ast.Constant):
                assert api.normalized(str(signal.value)) in all_signals(), f"line {node.lineno}: {signal.value}"


def parameters(signature: str) -> set[str] | None:
    """Names of a listed signature; None where it takes any."""
    if "**" in signature:
        return None
    return {match.group(1) for match in re.finditer(r"(?:^\(|, )\*?(\w+)", signature)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_slicers_functions_are_called_with_arguments_that_they_take(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        chain = dotted(node.func)
        if len(chain) == 3 and chain[0] == "slicer" and chain[1] in ("util", "packaging"):
            signature = api.functions(f"slicer.{chain[1]}").get(chain[2])
            allowed = parameters(signature) if isinstance(signature, str) else None
            if allowed is not None:
                assert {each.arg for each in node.keywords} <= allowed, f"line {node.lineno}: {chain[2]}{signature}"
                assert len(node.args) + len(node.keywords) <= len(allowed), f"line {node.lineno}"
