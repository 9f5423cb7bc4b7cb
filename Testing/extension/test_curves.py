"""Curves of a training in the real scene."""

from __future__ import annotations

import math
from typing import Any

import slicer

from ClamSegWorkflow.scene.curves import show_curves

CURVES = {
    "loss": ([50.0, 100.0], {"loss": [2.0, 1.5]}),
    "figures": ([100.0], {"criterion": [0.9], "slice AUC": [math.nan]}),
}


def nodes(scene: Any, kind: str) -> list[Any]:
    return [scene.GetNthNodeByClass(k, kind) for k in range(scene.GetNumberOfNodesByClass(kind))]


def test_a_chart_shows_a_series_per_figure_over_the_steps(scene: Any) -> None:
    chart = show_curves(scene, "Training of x", CURVES)
    assert chart.GetTitle() == "Training of x"
    series = [chart.GetNthPlotSeriesNode(k) for k in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [node.GetName() for node in series] == ["loss", "criterion", "slice AUC"]
    assert len({node.GetColor() for node in series}) == 3
    table = series[0].GetTableNode().GetTable()
    assert series[0].GetXColumnName() == "step"
    assert [table.GetColumnByName("step").GetValue(k) for k in range(2)] == [50.0, 100.0]
    assert [table.GetColumnByName("loss").GetValue(k) for k in range(2)] == [2.0, 1.5]


def test_a_single_point_is_kept_as_a_line_of_two_so_that_the_plot_can_paint_it(scene: Any) -> None:
    chart = show_curves(scene, "x", {"figures": ([100.0], {"criterion": [0.9]})})
    table = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert [[table.GetValue(row, column).ToDouble() for column in range(2)] for row in range(2)] == [[100.0, 0.9]] * 2
    show_curves(scene, "x", {"figures": ([100.0, 200.0], {"criterion": [0.9, 0.8]})})
    table = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert [table.GetValue(row, 1).ToDouble() for row in range(2)] == [0.9, 0.8]


def test_curves_grow_in_place(scene: Any) -> None:
    first = show_curves(scene, "x", CURVES)
    before = scene.GetNumberOfNodes()
    more = {**CURVES, "loss": ([50.0, 100.0, 150.0], {"loss": [2.0, 1.5, 1.0]})}
    assert show_curves(scene, "x", more) is first
    assert scene.GetNumberOfNodes() == before
    assert first.GetNthPlotSeriesNode(0).GetTableNode().GetTable().GetNumberOfRows() == 3


def test_curves_are_not_saved_with_the_study_and_leave_it_whole(scene: Any) -> None:
    other = scene.AddNewNodeByClass("vtkMRMLTableNode", "the user's own")
    show_curves(scene, "x", CURVES)
    ours = [
        n for kind in ("Table", "PlotSeries", "PlotChart") for n in nodes(scene, f"vtkMRML{kind}Node") if n is not other
    ]
    assert len(ours) == 6
    assert not any(node.GetSaveWithScene() for node in ours)


def test_a_layout_shows_the_chart(scene: Any) -> None:
    view = scene.AddNewNodeByClass("vtkMRMLPlotViewNode", "PlotView1")
    view.SetLayoutName("PlotView1")
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    logic = slicer.vtkSlicerPlotsLogic()
    logic.SetMRMLApplicationLogic(application)
    logic.SetMRMLScene(scene)
    chart = show_curves(scene, "x", CURVES)
    logic.ShowChartInLayout(chart)
    assert view.GetPlotChartNodeID() == chart.GetID()


def test_nothing_learned_yet_is_an_empty_chart(scene: Any) -> None:
    assert show_curves(scene, "x", {"loss": ([], {})}).GetNumberOfPlotSeriesNodes() == 0
