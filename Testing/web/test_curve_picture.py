"""Curves as a drawing in the page's markup."""

from __future__ import annotations

import math
from types import SimpleNamespace
from xml.etree import ElementTree

from ClamSegWeb.curve_picture import curve_picture


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<all>{picture.replace('&#9632;', '')}</all>")


def points(picture: str) -> list[tuple[float, float]]:
    line = parsed(picture).find(".//polyline")
    assert line is not None
    return [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]  # type: ignore[misc]


def curve(x: list[float], **y: list[float]) -> SimpleNamespace:
    return SimpleNamespace(x=x, y=y)


def test_a_curve_goes_to_the_right_and_up_where_values_grow() -> None:
    placed = points(curve_picture({"loss": curve([10, 20, 30], total=[1.0, 2.0, 4.0])}))
    assert len(placed) == 3
    assert [x for x, _y in placed] == sorted(x for x, _y in placed)
    assert [y for _x, y in placed] == sorted((y for _x, y in placed), reverse=True)
    assert placed[-1][1] < 10 < placed[0][1]


def test_gaps_are_left_out_and_a_single_value_is_a_dot() -> None:
    assert len(points(curve_picture({"a": curve([1, 2, 3], dice=[0.5, math.nan, 0.7])}))) == 2
    alone = parsed(curve_picture({"a": curve([1, 2], dice=[math.nan, 0.7])}))
    assert alone.find(".//polyline") is None
    assert alone.find(".//circle") is not None


def test_equal_values_and_nothing_at_all_are_drawn_without_a_fault() -> None:
    assert len(points(curve_picture({"a": curve([0, 0], loss=[2.0, 2.0])}))) == 2
    assert curve_picture({}) == ""
    assert curve_picture({"a": curve([], loss=[])}) == ""
    assert curve_picture({"a": curve([1], loss=[math.nan])}) == ""


def test_names_from_files_never_become_markup() -> None:
    picture = curve_picture({"a": curve([1, 2], **{"<img src=x onerror=alert(1)>": [1.0, 2.0]})})
    assert "<img" not in picture
    assert "&lt;img" in picture
