"""Pictures in Slicer: a PNG has a made-up spacing, so nothing of it is measured in mm or ml; its name tells what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from volumes_in_scene import add_volume

from ClamSegWorkflow.case.result_import import grid_of
from ClamSegWorkflow.scene.geometry import record_geometry
from ClamSegWorkflow.scene.scan_facts import reading_of
from ClamSegWorkflow.scene.volume_facts import facts_of


def loaded(scene: Any, file: str, slices: int, name: str = "picture") -> Any:
    """A volume as Slicer's reader leaves it: spacing 1 mm, and the file in its storage node."""
    volume = add_volume(scene, np.zeros((slices, 20, 24), np.uint8), name=name)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(file)
    volume.SetAndObserveStorageNodeID(storage.GetID())
    return volume


@pytest.mark.parametrize("file", ["/data/Head CT.PNG", "/data/a.jpeg", "/data/a.tif"])
def test_a_picture_has_no_known_spacing_whatever_model_runs_on_it(scene: Any, file: str) -> None:
    volume = loaded(scene, file, 1)
    assert reading_of(volume).is_picture
    grid = grid_of(record_geometry(volume), volume, is_projection=False)
    assert grid.is_picture
    assert not grid.spacing_known


def test_a_stack_of_pictures_is_a_volume_of_unknown_spacing_and_a_scan_keeps_its_own(scene: Any) -> None:
    stack = reading_of(loaded(scene, "/data/slice_001.png", 12))
    assert (stack.is_picture, stack.spacing_known) == (False, False)
    scan = reading_of(loaded(scene, "/data/scan.nii.gz", 12))
    assert (scan.is_picture, scan.spacing_known) == (False, True)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("ClamSeg Head CT", "CT"),
        ("ClamSeg Brain FLAIR", "MR"),
        ("MRI of a head", "MR"),
        ("chest", "XR"),
        ("fracture", "XR"),
    ],
)
def test_the_name_of_a_picture_tells_its_modality_and_without_one_it_is_an_x_ray(
    scene: Any, name: str, modality: str, tmp_path: Path
) -> None:
    facts = facts_of(scene, loaded(scene, str(tmp_path / "x.png"), 1, name))
    assert (facts.modality, facts.certain) == (modality, False)
