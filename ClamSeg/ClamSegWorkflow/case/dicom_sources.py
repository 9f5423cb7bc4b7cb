"""The DICOM files a volume was loaded from, gathered into one folder for the worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.words import tr as _


def gather_series(scene: Any, volume: Any, file_of: Callable[[str], str], folder: Path) -> Path:
    """Links (or copies) the files of the volume's series into `folder` and returns it.

    Args:
        file_of: file of a SOP instance UID, '' where it is not known; Slicer's DICOM database.
        folder: is made; its files are named by number only.

    Raises:
        SceneError: the volume did not come from DICOM, or its files are gone.
        OSError: disk full.
    """
    uids: Sequence[str] = facts_of(scene, volume).instance_uids
    if not uids:
        raise SceneError(_("DICOM SEG needs a volume loaded from DICOM; export the segmentation as .seg.nrrd instead."))
    if volume.GetParentTransformNode() is not None:
        raise SceneError(
            _(
                "The volume lies under a transform, which DICOM SEG cannot keep; remove the transform, or export .seg.nrrd."
            )
        )
    files = [Path(file_of(uid) or "") for uid in uids]
    missing = sum(not file.is_file() for file in files)
    if missing:
        raise SceneError(
            _(
                "{missing} of {files} DICOM files of this series are no longer in Slicer's DICOM database; import the series again."
            ).format(missing=missing, files=len(files))
        )
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        target = folder / f"{number:05d}.dcm"
        try:
            os.link(file, target)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(file, target)
    return folder
