"""Which volumes of the scene are scans: not labelmaps, and not the maps that a result brought."""

from __future__ import annotations

from typing import Any

from ClamSegWorkflow.scene import nodes_of
from ClamSegWorkflow.scene.overlays import map_ids
from ClamSegWorkflow.scene.volumes import problem_of_volume


def first_scan(scene: Any) -> Any:
    """The first volume that can be segmented, None where there is none; one whose voxels are not there yet is none."""
    maps = map_ids(scene)
    for volume in nodes_of(scene, "vtkMRMLScalarVolumeNode"):
        if not volume.GetHideFromEditors() and volume.GetID() not in maps and not problem_of_volume(volume):
            return volume
    return None
