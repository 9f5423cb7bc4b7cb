"""A fresh MRML scene as Slicer starts with: slice views, cross-hair, the logic that segmentations need."""

from __future__ import annotations

from typing import Any

import slicer


def fresh_scene() -> tuple[Any, Any]:
    """The scene, and the logic, which must live as long as the scene is used."""
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    for colour, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        node = scene.CreateNodeByClass("vtkMRMLSliceNode")
        node.SetSingletonTag(colour)
        node.SetLayoutName(colour)
        node.SetName(colour)
        scene.AddNode(node)
        node.UnRegister(None)  # the scene keeps it
        node.SetOrientation(orientation)
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetSingletonTag(colour)
        scene.AddNode(composite)
    scene.AddNode(slicer.vtkMRMLCrosshairNode())
    return scene, logic
