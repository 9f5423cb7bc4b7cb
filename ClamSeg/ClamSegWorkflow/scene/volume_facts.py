"""What a volume is: modality and words from its DICOM header where it has one, its values and name otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ClamSegLib.imaging.volume import MODALITY_OF, looks_like_hu
from ClamSegLib.imaging.xray_view import view_of
from ClamSegWorkflow.scene.geometry import oblique_deg, stack_plane
from ClamSegWorkflow.scene.volumes import problem_of_volume, voxels_of

_SAMPLE = 200_000
# ViewPosition, BodyPartExamined.
_VIEW_AND_PART = ("0018,5101", "0018,0015")


@dataclass(frozen=True)
class VolumeFacts:
    """What is known of a volume.

    Attributes:
        modality: 'CT', 'MR', 'XR' or '' where nothing tells.
        certain: whether the header said so; otherwise it was guessed from values and shape.
        words: series and volume names and the header's body part in small letters, for body part and sequence; shown
            nowhere, kept nowhere.
        n_slices: slices of the node.
        is_hu: values look like Hounsfield units.
        instance_uids: of the DICOM files it was read from, in their order.
        oblique_deg: largest angle between an axis of its voxels and the nearest axis of the body.
        plane: of the slices as the file stacks them.
        view: of an X-ray by its header: 'frontal', 'lateral', 'oblique', '' where it does not tell.
    """

    modality: str
    certain: bool
    words: str
    n_slices: int
    is_hu: bool
    instance_uids: tuple[str, ...] = ()
    oblique_deg: float = 0.0
    plane: str = "axial"
    view: str = ""


def facts_of(scene: Any, volume: Any) -> VolumeFacts:
    """Looks at a volume without changing anything; fast, because only a sample of the values is read."""
    from_header, series = _from_hierarchy(scene, volume)
    uids = tuple((volume.GetAttribute("DICOM.instanceUIDs") or "").split())
    view, part = _from_database(uids)
    words = f"{volume.GetName() or ''} {series} {part}".lower()
    if problem_of_volume(volume):
        return VolumeFacts(MODALITY_OF.get(from_header, ""), bool(from_header), words, 0, False, uids)
    n_slices = volume.GetImageData().GetDimensions()[2]
    is_hu = _looks_like_hu(volume)
    modality = MODALITY_OF.get(from_header, "")
    guessed = modality or ("CT" if is_hu else _of_picture(words) if n_slices == 1 else "MR")
    return VolumeFacts(
        guessed, bool(modality), words, n_slices, is_hu, uids, oblique_deg(volume), stack_plane(volume), view
    )


def _of_picture(words: str) -> str:
    """Modality of a single picture by its name: one that names none is taken for an X-ray."""
    named = {"CT": r"\bct\b", "MR": r"\b(mri?|flair)\b"}
    return next((modality for modality, pattern in named.items() if re.search(pattern, words)), "XR")


def _from_database(uids: tuple[str, ...]) -> tuple[str, str]:
    """View and body part by the header of the first file, where Slicer's DICOM database knows it; no other element is read."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not uids:
        return "", ""
    position, part = (str(database.instanceValue(uids[0], tag) or "") for tag in _VIEW_AND_PART)
    return view_of({"ViewPosition": position}), part


def _from_hierarchy(scene: Any, volume: Any) -> tuple[str, str]:
    """DICOM modality and series name of the volume's series in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    modality, series = "", ""
    while item and item != hierarchy.GetSceneItemID():
        modality = modality or hierarchy.GetItemAttribute(item, "DICOM.Modality")
        series = series or hierarchy.GetItemAttribute(item, "DICOM.SeriesDescription")
        item = hierarchy.GetItemParent(item)
    return modality.upper(), series


def _looks_like_hu(volume: Any) -> bool:
    """Air near -1000 and something above water; true for whole CT scans, false for pictures and MR."""
    image = volume.GetImageData()
    if image.GetNumberOfScalarComponents() != 1:
        return False
    array = voxels_of(volume).reshape(-1)
    sample = array[:: max(1, array.size // _SAMPLE)]
    return looks_like_hu(float(np.min(sample)), float(np.max(sample)))
