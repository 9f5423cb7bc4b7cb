"""ClamSeg.ui asks only for what the widgets of Slicer have: Qt's loader takes an unknown property without a word."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from slicer_stand_in import api
from slicer_stand_in.ui_loader import unknown_parts
from slicer_stand_in.unlisted_classes import UNLISTED

MODULE = Path(__file__).resolve().parents[2] / "ClamSeg"
FILE = MODULE / "Resources" / "UI" / "ClamSeg.ui"
TREE = ElementTree.parse(FILE).getroot()
WIDGETS = list(TREE.iter("widget"))
SILENT = ("QLabel", "QProgressBar", "qMRMLWidget")  # nothing to click or to type in
VALUE_TAGS = {
    "bool": {"bool"}, "int": {"number", "enum"}, "double": {"double"}, "QString": {"string"}, "QStringList": {"stringlist"},
}  # fmt: skip


def given(widget: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return widget.find(f"property[@name='{name}']")


def words(widget: ElementTree.Element, name: str) -> str:
    found = given(widget, name)
    return "" if found is None else (found.findtext("string") or "")


def test_every_class_property_signal_and_slot_exists_in_slicer() -> None:
    assert unknown_parts(TREE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('class="ctkPathLineEdit"', 'class="ctkPathEdit"'),
        ('name="collapsed"', 'name="isCollapsed"'),
        ("mrmlSceneChanged(vtkMRMLScene*)", "sceneChanged(vtkMRMLScene*)"),
        ("setMRMLScene(vtkMRMLScene*)", "setScene(vtkMRMLScene*)"),
    ],
)
def test_a_slip_of_the_pen_is_found(right: str, wrong: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert right in text
    assert unknown_parts(ElementTree.fromstring(text.replace(right, wrong, 1))) != []


def test_every_value_is_of_its_propertys_kind() -> None:
    slips = []
    for widget in WIDGETS:
        listed = api.members(widget.get("class", "")).properties
        for each in widget.findall("property"):
            kind, tags = listed.get(each.get("name", "")), {child.tag for child in each}
            if kind in VALUE_TAGS and not tags <= VALUE_TAGS[kind]:
                slips.append(f"{widget.get('name')}.{each.get('name')} is {kind}, not {tags}")
    assert slips == []


def test_every_enumeration_value_exists() -> None:
    unknown = []
    for each in [*TREE.iter("enum"), *TREE.iter("set")]:
        for value in (each.text or "").split("|"):
            owner, name = value.split("::")
            if name not in api.full_list()[api.room_of(owner) or "qt"][owner]["python"]:
                unknown.append(value)
    assert unknown == []


def test_names_are_there_once() -> None:
    names = [each.get("name") for each in TREE.iter() if each.tag in ("widget", "layout", "spacer")]
    assert None not in names
    assert sorted(names) == sorted(set(names))


def test_whoever_hears_the_window_or_hovers_over_it_is_told_what_a_widget_is() -> None:
    speaking = [widget for widget in WIDGETS if widget.get("class") not in SILENT]
    assert len(speaking) > 30
    for what in ("toolTip", "accessibleName"):
        assert [widget.get("name") for widget in speaking if not words(widget, what)] == []


def test_what_is_written_beside_a_widget_belongs_to_it() -> None:
    """A label that names a widget ends in a colon and stands in the same row of its form."""
    for layout in TREE.iter("layout"):
        if layout.get("class") != "QFormLayout":
            continue
        for item in layout.findall("item"):
            widget = item.find("widget")
            if item.get("column") == "0" and item.get("colspan") is None:
                assert widget is not None
                assert words(widget, "text").endswith(":")
                assert layout.find(f"item[@row='{item.get('row')}'][@column='1']") is not None


def test_parameters_named_in_the_window_are_fields_of_the_parameter_node() -> None:
    source = ast.parse((MODULE / "ClamSeg.py").read_text(encoding="utf-8"))
    node = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "ClamSegParameterNode")
    fields = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    bound = {words(widget, "SlicerParameterName") for widget in WIDGETS} - {""}
    assert "inputVolume" in bound
    assert bound <= fields


def test_custom_widgets_are_declared_with_their_bases() -> None:
    custom = {widget.get("class", "") for widget in WIDGETS if not re.match("Q[A-Z]", widget.get("class", ""))}
    declared = {each.findtext("class", ""): each.findtext("extends", "") for each in TREE.iter("customwidget")}
    assert custom == set(declared)
    known = set(declared) | {"QWidget", "QGroupBox", "QPushButton"}
    assert [name for name, base in declared.items() if base not in known] == []


def test_every_widget_that_shows_nodes_is_told_the_scene() -> None:
    showing = {
        str(widget.get("name"))
        for widget in WIDGETS
        if "setMRMLScene(vtkMRMLScene*)" in api.members(widget.get("class", "")).slots
    }
    told = {connection.findtext("receiver", "") for connection in TREE.iter("connection")}
    assert showing - {"ClamSeg"} == told


def test_text_wraps_and_combo_boxes_do_not_widen_the_panel() -> None:
    for widget in WIDGETS:
        name = str(widget.get("name"))
        if widget.get("class") == "QLabel" and not name.endswith("_"):
            assert (given(widget, "wordWrap") is not None) or name == "trainingPreviewLabel", name
        if widget.get("class") == "QComboBox":
            assert given(widget, "minimumContentsLength") is not None, name


def test_classes_that_the_list_lacks_are_named_with_their_source() -> None:
    for name, entry in UNLISTED.items():
        assert "/" in entry["source"], name
        assert name not in api.full_list()[entry["module"]]
