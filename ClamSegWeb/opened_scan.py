"""A scan from a file or folder into the scene: the worker reads it, so that a damaged file cannot end the page."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ClamSegLib.imaging.read_write import readable_name
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegWorkflow.case.apart import Beside, at_once
from ClamSegWorkflow.process.failure_log import log_failure
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.scan_facts import Reading, keep_reading
from ClamSegWorkflow.words import tr as _

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedScan:
    """A scan in the scene.

    Attributes:
        volume: its node.
        source: the file or folder it was read from.
        is_picture: a single projection without known place in the patient.
        warnings: of the reading.
        series: the one of a folder that was chosen, '' where it holds one only.
    """

    volume: Any
    source: Path
    is_picture: bool
    warnings: tuple[str, ...]
    series: str = ""


def open_scan(
    scene: Any,
    worker: Any,
    source: Path,
    name: str,
    on_done: Callable[[OpenedScan | None, str], None],
    series: str = "",
    beside: Beside = at_once,
) -> None:
    """Asks the worker for a scan and puts it into the scene when it comes.

    Args:
        series: UID of the series of a folder, '' where it holds one only.
        on_done: is given the scan, or None and a sentence on what failed.
        beside: does work that touches no scene.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="clamseg-"))
    except OSError as error:
        on_done(None, words_of_the_machine(error) or str(error))
        return

    def answered(event: dict[str, Any]) -> None:
        if event["event"] == "error":
            shutil.rmtree(folder, ignore_errors=True)
            on_done(None, told_by_name(event["message"], source, name))
        elif event["event"] == "done":
            beside(lambda: read_voxels(folder), lambda image, error: shown(event, image, error))

    def shown(event: dict[str, Any], image: Any, error: Exception | None) -> None:
        if isinstance(error, (OSError, ValueError, MemoryError, SceneError)):
            on_done(None, str(error) or _("Memory ran out; close other programs and open the scan again."))
            return
        try:
            if error is not None:
                raise error
            volume = add_volume(scene, name, image, event)
            scan = OpenedScan(volume, source, bool(event["is_picture"]), tuple(event["warnings"]), series)
        except Exception as failure:  # whatever it is, who asked gets an answer, and the next scan can be opened
            log_failure(_log, "a scan could not be taken into the scene", failure)
            on_done(None, _("The scan could not be read; open it again, or see the log."))
            return
        on_done(scan, "")

    chosen = {"series": series} if series else {}
    worker.request("read", answered, input=str(source), output=str(folder), **chosen)


def told_by_name(message: str, source: Path, name: str) -> str:
    """A sentence of the worker with the names that the reader knows: an upload lies in a folder with a name of ours."""
    if not source.is_dir():
        return message.replace(readable_name(source), readable_name(source.name))
    message = message.replace(readable_name(source), name)
    return message.replace(f"{readable_name(source.name)}/", f"{name}/")


def read_voxels(folder: Path) -> Any:
    """The image of the voxels that the worker wrote, (slice, row, column); any thread may make it. The folder goes.

    Raises:
        SceneError: voxels of a type that the scene cannot hold.
        OSError, ValueError, MemoryError: the file cannot be read.
    """
    try:
        array = np.load(folder / "voxels.npy", allow_pickle=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if array.dtype.kind not in "iuf" or array.dtype == np.float16:
        raise SceneError(_("The scan has voxels of type {dtype}, which cannot be shown.").format(dtype=array.dtype))
    image = vtk.vtkImageData()
    k, j, i = array.shape
    image.SetDimensions(i, j, k)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    return image


def add_volume(scene: Any, name: str, image: Any, facts: dict[str, Any]) -> Any:
    """A scalar volume node.

    Args:
        image: its voxels.
        facts: the worker's answer to `read`: spacing_mm, origin, direction in LPS, modality, description and
            what else is known of the reading.
    """
    lps = np.eye(4)
    lps[:3, :3] = np.asarray(facts["direction"], float).reshape(3, 3) * np.asarray(facts["spacing_mm"], float)
    lps[:3, 3] = facts["origin"]
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps).ravel().tolist())
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    try:
        _fill_volume(scene, node, image, matrix, facts)
    except Exception:
        scene.RemoveNode(node)  # nothing half-made stays
        raise
    return node


def _fill_volume(scene: Any, node: Any, image: Any, matrix: Any, facts: dict[str, Any]) -> None:
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    # A single slice with millimetres has a frame of its own in the patient and keeps it.
    is_picture = bool(facts["is_picture"] and not facts["spacing_known"])
    lacking = tuple(facts.get("missing_slices", ())), str(facts.get("stack_doubt", ""))
    keep_reading(node, Reading(is_picture, bool(facts["spacing_known"]), tuple(facts["warnings"]), *lacking))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is not None:
        # Without Slicer's plugins nobody makes an item for a new node.
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
        hierarchy.SetItemAttribute(item, "DICOM.Modality", "DX" if facts["modality"] == "XR" else facts["modality"])
        hierarchy.SetItemAttribute(item, "DICOM.SeriesDescription", facts["description"])


def scan_name(path: Path) -> str:
    """The file's name without its ending; a DICOM folder's name."""
    name = path.name
    for ending in (".nii.gz", ".seg.nrrd"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem if path.is_file() else name
