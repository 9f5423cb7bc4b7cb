"""Export of the review by a link, DICOM SEG and SR by the worker; and the corrections for fine-tuning."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.corrections import reviewed_case
from ClamSegWorkflow.case.dicom_report import BY_WORKER, prepare_dicom_report, segmentation_beside
from ClamSegWorkflow.case.review_files import KINDS, prepare_review, with_ending
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.words import tr as _


class ExportSection:
    """Writes what stands in the review."""

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._state.update({"corrections_words": ""})
        self._saving = threading.Lock()  # all corrections share one table, which is read and written anew

    async def write(self, kind: str, folder: Path) -> Path:
        """Writes one kind of file into a folder of its own and returns its path.

        Raises:
            SceneError: nothing to export, the scan is gone, or the worker could not write it.
            OutputError: disk full.
        """
        result = self._page.review.result
        if result is None:
            raise SceneError(_("There is no result to export; segment a scan first."))
        self._page.review.stop_drawing()
        stands = result.lesions.steps.revision if result.lesions is not None else 0
        path = folder / file_name(result, KINDS[kind][1])
        if kind not in BY_WORKER:
            write = prepare_review(result, kind)
            # Packing a large scan and drawing take their time, in which the page goes on; what reads the scene stays here.
            packs = kind in ("segmentation", "nifti", "report")
            written = await asyncio.to_thread(write, path) if packs else write(path)
        else:
            written = await self._write_dicom(result, kind, with_ending(path, kind), folder)
        result.know_as_exported(stands)
        self._page.review.tell_steps()
        self._state.flush()
        return written

    async def _write_dicom(self, result: Any, kind: str, path: Path, folder: Path) -> Path:
        """A DICOM SEG; or an SR in one archive with the DICOM SEG that it measures."""
        case = self._page.input.case_of(result)
        if case is None:
            raise SceneError(_("The scan was closed meanwhile; open it and its result again, then export."))
        if not case.is_dicom:
            raise SceneError(
                _("{kind} needs a scan opened from DICOM; export the segmentation as .seg.nrrd instead.").format(
                    kind=KINDS[kind][0]
                )
            )
        if kind == "dicom_sr":
            command, values = "dicom_sr", await asyncio.to_thread(prepare_dicom_report(result), folder)
            values["segmentation"] = str(segmentation_beside(path))
        else:
            drawn = await asyncio.to_thread(prepare_review(result, "segmentation"), folder / "drawn")
            command, values = "dicom_seg", {"segmentation": str(drawn), "model": result.provenance.get("model", "")}
        answer = await self._page.worker.ask(
            command, input=str(case.scan.source), series=case.scan.series or None, output=str(path), **values
        )
        if answer["event"] == "error":
            raise SceneError(answer["message"])
        return _together(path, segmentation_beside(path)) if kind == "dicom_sr" else path

    @user_action(_("The corrections could not be saved."))
    def save_corrections(self) -> None:
        """What the reader decided and drew, for the next fine-tuning; a large scan takes seconds, in which the page goes on."""
        from ClamSegLib.datasets.corrections import save_corrections

        self._page.review.stop_drawing()
        result = self._page.review.result
        case = reviewed_case(result)
        stands = result.lesions.steps.revision
        self._state.corrections_words = _("Corrections are being saved ...")

        def save() -> Any:
            with self._saving:
                return save_corrections(self._page.corrections, case)

        self._page.beside(
            save,
            lambda saved, error: self._corrections_saved(result, stands, saved, error),
        )

    @user_action(_("The corrections could not be saved."))
    def _corrections_saved(self, result: Any, stands: int, saved: Any, error: Exception | None) -> None:
        self._state.corrections_words = ""
        if error is not None:
            raise error
        result.know_as_exported(stands)
        self._page.review.tell_steps()
        words = _("One slice saved for fine-tuning.") if saved.rows == 1 else _("{n} slices saved for fine-tuning.")
        self._state.corrections_words = words.format(n=saved.rows)
        self._page.training.corrections_changed()


def _together(*files: Path) -> Path:
    """One archive of files, because a browser takes one; named as the first of them."""
    archive = files[0].with_name(files[0].name + ".zip")
    with ZipFile(archive, "w") as packed:
        for file in files:
            packed.write(file, file.name)
    return archive


def file_name(result: Any, ending: str) -> str:
    """A harmless file name from the result's name."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in " -_.") else "_" for c in result.segmentation.GetName())
    return (name.strip(" .") or "clamseg") + ending
