"""Export of a review: segmentation, NIfTI, table, report, DICOM SEG and SR; and the corrections for fine-tuning."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ClamSegPanel.corrections_folder import corrections_folder
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.case.corrections import reviewed_case
from ClamSegWorkflow.case.dicom_report import BY_WORKER, highdicom_problem, prepare_dicom_report, segmentation_beside
from ClamSegWorkflow.case.dicom_sources import gather_series
from ClamSegWorkflow.case.review_files import KINDS, legend_beside, with_ending, write_review
from ClamSegWorkflow.scene import SceneError


class ExportMenu:
    """The menu of the Export button, and Save corrections."""

    def __init__(self, panel: Any, review: Any) -> None:
        self._panel, self._ui, self._review = panel, panel.ui, review
        self._menu = qt.QMenu(self._ui.exportButton)
        self._actions: dict[str, Any] = {}
        for kind in KINDS:
            if kind == "legend":  # comes with the NIfTI
                continue
            action = qt.QAction(self._menu_words(kind), self._menu)
            action.connect("triggered()", self._exporter(kind))
            self._menu.addAction(action)
            self._actions[kind] = action
        self._ui.exportButton.setMenu(self._menu)
        self._ui.saveCorrectionsButton.connect("clicked(bool)", self._save_corrections)
        self._folders: set[Path] = set()

    def show_installation(self) -> None:
        """Kinds that need a package which is not there say so in the menu."""
        lacks = highdicom_problem(self._panel.logic.installation)
        for kind in BY_WORKER:
            words = self._menu_words(kind)
            self._actions[kind].text = (
                _("{kind} (needs highdicom: Setup, Install)").format(kind=words) if lacks else words
            )

    def close(self) -> None:
        """The window goes, and the worker with it: what waits for it is forgotten."""
        for folder in list(self._folders):
            self._forget(folder)

    def _forget(self, folder: Path) -> None:
        self._folders.discard(folder)
        shutil.rmtree(folder, ignore_errors=True)

    def _menu_words(self, kind: str) -> str:
        words = {
            "segmentation": _("Segmentation (.seg.nrrd)..."),
            "nifti": _("Labels (NIfTI)..."),
            "table": _("Lesion table (CSV)..."),
            "report": _("Report (HTML)..."),
            "dicom": _("DICOM SEG..."),
            "dicom_sr": _("DICOM SR of the lesions, with its SEG..."),
        }
        return words[kind]

    def _exporter(self, kind: str) -> Any:
        def export() -> None:
            self._ask(kind)

        return export

    @user_action(_("The result could not be exported."))
    def _ask(self, kind: str) -> None:
        result = self._review.result
        if result is None:
            return
        ending = KINDS[kind][1]
        start = Path(self._panel.setting("exportFolder", str(Path.home()))) / f"{_file_name(result)}{ending}"
        chosen = qt.QFileDialog.getSaveFileName(
            self._ui.exportButton, self._menu_words(kind), str(start), f"{KINDS[kind][0]} (*{ending})"
        )
        if chosen:
            self.export(kind, Path(str(chosen)), result)

    @user_action(_("The result could not be exported."))
    def export(self, kind: str, path: Path, result: Any = None) -> None:
        """Writes one kind of file; DICOM SEG and SR come from the worker and are told when they are there.

        Args:
            result: the one that the file was named after, because a run may bring another one while a dialog asks; the
                one under review unless given.
        """
        result = result if result is not None else self._review.result
        if result is None:
            return
        self._ui.exportLabel.text = ""  # what was written before must not stand under what fails now
        self._panel.keep_setting("exportFolder", str(path.parent))
        if kind in BY_WORKER:
            self._export_dicom(result, kind, with_ending(path, kind))
            return
        written = write_review(result, kind, path)
        result.know_as_exported()
        self._review.refresh()
        more = _(" Its labels: {file}.").format(file=legend_beside(written).name) if kind == "nifti" else ""
        self._ui.exportLabel.text = _("Written: {file}.").format(file=written.name) + more

    def _export_dicom(self, result: Any, kind: str, path: Path) -> None:
        """The series' files and what was drawn go to the worker, which writes the DICOM SEG or SR."""
        lacks = highdicom_problem(self._panel.logic.installation)
        if lacks:
            raise SceneError(lacks + " " + _("Setup, Install brings it."))
        folder = Path(tempfile.mkdtemp(prefix="clamseg-"))  # of this file alone: another one may wait for the worker
        self._folders.add(folder)
        try:
            database = getattr(slicer, "dicomDatabase", None)
            file_of = database.fileForInstance if database is not None else lambda _uid: ""
            series = gather_series(slicer.mrmlScene, result.volume, file_of, folder / "series")
            if kind == "dicom_sr":
                command, values = "dicom_sr", prepare_dicom_report(result)(folder)
                values["segmentation"] = str(segmentation_beside(path))
            else:
                drawn = write_review(result, "segmentation", folder / "drawn")
                command, values = "dicom_seg", {"segmentation": str(drawn), "model": result.provenance.get("model", "")}
        except BaseException:
            self._forget(folder)
            raise
        stands = result.lesions.steps.revision if result.lesions is not None else None

        def answered(event: dict[str, Any]) -> None:
            if event["event"] == "done":
                result.know_as_exported(stands)
                more = " " + _("Its DICOM SEG: {file}.").format(file=segmentation_beside(path).name)
                told = _("Written: {file}.").format(file=path.name)
                since = " " + _("What was decided since it was asked for is not in it.")
                self._ui.exportLabel.text = (
                    told + (more if kind == "dicom_sr" else "") + (since if result.waits_for_export() else "")
                )
            elif event["event"] == "error":
                self._ui.exportLabel.text = ""
                self._panel.failed(event["message"])
            else:
                return
            self._forget(folder)

        self._panel.logic.worker.request(command, answered, input=str(series), output=str(path), **values)
        self._ui.exportLabel.text = _("Writing {kind}...").format(kind=KINDS[kind][0])

    @user_action(_("The corrections could not be saved."))
    def _save_corrections(self, checked: bool = False) -> None:
        from ClamSegLib.datasets.corrections import save_corrections

        self._ui.exportLabel.text = ""
        saved = save_corrections(corrections_folder(self._panel), reviewed_case(self._review.result))
        self._review.result.know_as_exported()
        self._review.refresh()
        self._panel.log(_("{n} slices saved for fine-tuning in {folder}.").format(n=saved.rows, folder=saved.folder))
        self._ui.exportLabel.text = _("{n} slices saved for fine-tuning.").format(n=saved.rows)


def _file_name(result: Any) -> str:
    """A harmless file name from the result's name."""
    name = "".join(c if c.isalnum() or c in " -_." else "_" for c in result.segmentation.GetName())
    return name.strip(" .") or "clamseg"
