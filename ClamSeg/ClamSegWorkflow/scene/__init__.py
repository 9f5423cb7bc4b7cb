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


def remove_node(scene: Any, node: Any) -> None:
    """Takes a node out of the scene, and its item out of the subject hierarchy.

    Slicer's plug-ins do the second by themselves. Where there are none, the item would stay, and be taken for that of a
    later node at the same address.
    """
    import slicer

    scene.RemoveNode(node)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    if item:
        hierarchy.RemoveItem(item, False, False)
