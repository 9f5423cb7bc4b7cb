"""Curves of a training in a plot of the scene: tables, series and a chart, found again and replaced as they grow.

The nodes are not saved with the scene: a training belongs to the computer, not to the study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import vtk

from ClamSegWorkflow.scene import nodes_of
from ClamSegWorkflow.words import tr as _

_MARK = "ClamSeg.curves"
_STEP = "step"
# Okabe and Ito: stay apart for colour-blind eyes; black is left out for dark views.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))


def chart_of(scene: Any) -> Any:
    """The chart of the curves, None where there is none."""
    return _marked(scene, "vtkMRMLPlotChartNode", "chart")


def show_curves(
    scene: Any, title: str, curves: Mapping[str, tuple[Sequence[float], Mapping[str, Sequence[float]]]]
) -> Any:
    """Puts curves into the scene, replacing those of before; returns the chart, which a layout can show.

    Args:
        title: of the chart.
        curves: by table: steps, and values by name, as long as the steps.
    """
    chart = _node(scene, "vtkMRMLPlotChartNode", "chart", _("ClamSeg training"))
    chart.SetTitle(title)
    chart.SetXAxisTitle(_STEP)
    chart.SetLegendVisibility(True)
    colour = 0
    for name, (steps, columns) in curves.items():
        if not steps or not columns:
            continue
        table = _node(scene, "vtkMRMLTableNode", f"table {name}", _("ClamSeg training {name}").format(name=name))
        _fill(table, steps, columns)
        for label in columns:
            series = _node(scene, "vtkMRMLPlotSeriesNode", f"series {label}", label)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName(_STEP)
            series.SetYColumnName(label)
            series.SetPlotType(series.PlotTypeScatter)
            series.SetMarkerStyle(series.MarkerStyleCircle if len(steps) < 40 else series.MarkerStyleNone)
            series.SetColor(*(part / 255 for part in _COLOURS[colour % len(_COLOURS)]))
            colour += 1
            if not chart.HasPlotSeriesNodeID(series.GetID()):
                chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _fill(table: Any, steps: Sequence[float], columns: Mapping[str, Sequence[float]]) -> None:
    content = vtk.vtkTable()
    for name, values in {_STEP: steps, **columns}.items():
        array = vtk.vtkDoubleArray()
        array.SetName(name)
        # A single point is written twice: the plot draws no line of one point and complains at every paint.
        for value in [*values, *values] if len(values) == 1 else values:
            array.InsertNextValue(float(value))
        content.AddColumn(array)
    table.SetAndObserveTable(content)


def _node(scene: Any, kind: str, mark: str, name: str) -> Any:
    """The node with this mark, made where it is missing."""
    node = _marked(scene, kind, mark)
    if node is None:
        node = scene.AddNewNodeByClass(kind, name)
        node.SetAttribute(_MARK, mark)
        node.SetSaveWithScene(False)
    return node


def _marked(scene: Any, kind: str, mark: str) -> Any:
    return next((node for node in nodes_of(scene, kind) if node.GetAttribute(_MARK) == mark), None)
