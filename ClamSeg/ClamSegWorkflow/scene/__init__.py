"""Scene to arrays and back, on any application with Slicer's core: imports slicer, vtk and numpy only.

Arrays are (k, j, i) in the volume's own frame, unhardened. World coordinates are RAS in mm with all parent
transforms applied.
"""

from typing import Any


class SceneError(Exception):
    """What a user can understand and mend; the text is shown as it is."""


def nodes_of(scene: Any, kind: str) -> list[Any]:
    """All nodes of a class, e.g. 'vtkMRMLSegmentationNode', in the order of the scene."""
    nodes = scene.GetNodesByClass(kind)
    nodes.UnRegister(None)
    return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
