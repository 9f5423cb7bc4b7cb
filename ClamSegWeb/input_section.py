"""Input: samples, files and folders below the chosen roots, uploads; and which of the open scans is shown."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ClamSegLib.imaging.dicom_signature import is_dicom_file
from ClamSegLib.imaging.read_write import readable_name
from ClamSegLib.system.malloc_tuning import give_back_memory
from ClamSegWeb.open_case import OpenCase
from ClamSegWeb.opened_scan import OpenedScan, open_scan, scan_name
from ClamSegWeb.organ_masks import may_be_mask
from ClamSegWeb.series_titles import ask_titles
from ClamSegWeb.user_action import user_action
from ClamSegWeb.windows import show_window, windows_of
from ClamSegWorkflow.case.model_fit import describe
from ClamSegWorkflow.case.samples import sample_name, sample_words, shipped_samples
from ClamSegWorkflow.scene import remove_node
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.words import tr as _

_LARGEST_LIST = 500


class InputSection:
    """The open scans.

    Attributes:
        current: the one that is shown, None before any.
        forget: is told of a source that is no longer used, and of those that are.
    """

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._cases: list[OpenCase] = []
        self._opened_cases = 0
        self._samples = shipped_samples()
        self._waiting: list[Path] = []
        self._folder: Path | None = None
        self.current: OpenCase | None = None
        self._shown_before: OpenCase | None = None  # when the opening began
        self.is_opening = False
        self.forget: Callable[[Path, list[Path]], None] = lambda _source, _still_used: None
        self._state.update(
            {
                "samples": [
                    {"name": sample["name"], "title": sample["title"], "about": sample_words(sample)}
                    for sample, _path in self._samples
                ],
                "scans": [], "scan_index": -1, "scan_facts": "", "scan_warnings": [], "opening": "", "is_picture_shown": False, "windows": [],
                "folder_words": "", "folder_entries": [], "folder_rest": "", "folder_has_parent": False,
                "is_dicom": False, "upload_failed": "", "series_choices": [], "has_roots": bool(page.roots.folders),
            }
        )  # fmt: skip
        self.list_folder(None)
        self._state.change("open_files")(self._files_unfolded)
        self._state.change("upload_failed")(self._upload_failed)

    # Opening

    def open_sample(self, name: str) -> None:
        """Opens a shipped sample, or shows it where it is open already."""
        for sample, path in self._samples:
            if sample["name"] == name:
                self._page.with_licence(sample, partial(self.open_path, path, sample_name(sample)))

    def open_first_sample(self) -> None:
        """Something to see at the start."""
        if self._samples:
            self.open_sample(self._samples[0][0]["name"])

    @user_action(_("The file could not be opened."))
    def open_entry(self, index: int, name: str, clicks: int = 0) -> None:
        """A click in the folder list: a folder is listed, a file opened.

        Args:
            name: of the line, as the reader saw it; where the list is another one by now, nothing is opened.
            clicks: how many in a row the browser counts; the second half of a double click opens nothing of the next list.
        """
        entry = self._entries[index] if index < len(self._entries) else None
        if entry is None or entry.name != name or clicks > 1:
            return
        if entry.is_folder:
            self.list_folder(entry.path)
        else:
            self.open_path(self._page.roots.admit(entry.path))

    @user_action(_("The folder could not be opened."))
    def open_listed_folder(self) -> None:
        """The folder that is listed, as a DICOM series."""
        if self._folder is not None:
            self.open_path(self._page.roots.admit(self._folder))

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Opens files and DICOM folders one after the other; the last one is shown."""
        self._waiting = list(dict.fromkeys([*self._waiting, *paths]))  # those that wait already are not forgotten
        self._open_next()

    def _open_next(self) -> None:
        while self._waiting and not self.is_opening:
            self.open_path(self._waiting.pop(0))

    def open_path(
        self, path: Path, name: str = "", *, series: str = "", then: Callable[[OpenCase], None] = lambda _case: None
    ) -> None:
        """Opens a file or a DICOM folder; what is open already is shown.

        Args:
            series: UID of one of several series.
            then: is called with the scan once it is open.
        """
        if self._page.is_busy:
            self._page.failed(_("Wait for the run to finish, or cancel it, then open the next scan."))
            self._let_go(path)
            return
        for case in self._cases:
            if case.scan.source == path and case.scan.series == series:
                self.show(case.id)
                then(case)
                return
        name = readable_name(name or scan_name(path))
        self._shown_before = self.current
        self.is_opening, self._state.opening = True, name
        open_scan(
            self._page.views.scene, self._page.worker, path, name,
            lambda scan, problem: self._opened(path, scan, problem, then), series, self._page.beside,
        )  # fmt: skip

    @user_action(_("The scan could not be shown."))
    def _opened(self, path: Path, scan: OpenedScan | None, problem: str, then: Callable[[OpenCase], None]) -> None:
        self.is_opening, self._state.opening = False, ""
        try:
            if scan is None:
                self._page.failed(problem)
                self._let_go(path)
                return
            self._opened_cases += 1
            is_dicom = scan.source.is_dir() or is_dicom_file(scan.source)
            case = OpenCase(self._opened_cases, scan, is_dicom)
            self._cases.append(case)
            if self._state.question is None and self.current in (None, self._shown_before):
                self.show(self._opened_cases)
            else:
                self._tell()  # the reader chose another scan meanwhile, or is asked something about what stands there
            then(case)
            if is_dicom:
                ask_titles(self._page.worker, case, self._tell)
        finally:
            self._open_next()

    # Showing and closing

    @user_action(_("The scan could not be shown."))
    def show(self, case_id: int) -> None:
        """One of the open scans before the reader's eyes; one that another tab has closed meanwhile is passed over."""
        case = self._case(case_id)
        if case is None:
            return
        if self.current is not case and self._run_goes_on():
            self._tell()
            return
        self._page.review.stop_drawing()  # while the review is still that of its own scan
        self.current = case
        scan = self.current.scan
        self._page.views.show(scan.volume, is_picture=scan.is_picture)
        self._tell()
        self._page.scan_shown(self.current)

    def close(self, case_id: int) -> None:
        """Takes a scan and its result out of the scene; a reviewed one only after a question."""
        case = self._case(case_id)
        if case is None:
            return
        if self._run_goes_on():
            return
        if case is self.current:
            self._page.review.stop_drawing()  # what is drawn just now counts as well
        if case.pending is None and (case.result is None or not case.result.is_reviewed()):
            self._close(case)
            return
        text = _(
            "{name} has decisions or labelled slices. Whatever has not been exported or saved as corrections will be lost."
        )
        self._page.ask(
            _("Close the review?"),
            text.format(name=case.scan.volume.GetName()),
            lambda yes: self._close(case) if yes else None,
            _("Close"),
        )

    @user_action(_("The scan could not be closed."))
    def _close(self, case: OpenCase) -> None:
        if case not in self._cases or self._run_goes_on():  # begun or closed while the question stood
            return
        if case is self.current:
            self._page.review.stop_drawing()
        scene = self._page.views.scene
        self._cases.remove(case)
        self._page.kept.drop(case)
        self._let_go(case.scan.source)
        case.drop_pending()
        if case.result is not None:
            case.result.remove()
        remove_node(scene, case.scan.volume)
        if self.current is case:
            self.current = None
            if self._cases:
                self.show(self._cases[-1].id)
            else:
                self._page.scan_shown(None)
        else:
            self._page.segment.fill_organ_steps()  # the closed one may have been a mask
        self._tell()
        # After the views let go of it; what lies free between other things stays with the process otherwise.
        self._page.later(self._give_back)

    def _run_goes_on(self) -> bool:
        """Whether a run is under way, which the reader is told then."""
        is_busy = bool(self._page.segment.run.job.is_busy)
        if is_busy:
            self._page.failed(_("A run is in progress; cancel it first, or wait for it to finish."))
        return is_busy

    def _give_back(self) -> None:
        """What was closed or replaced goes back to the system at once; arrays of hundreds of MB count as one object each for
        Python, which would look for such circles only much later.
        """
        gc.collect()
        give_back_memory()

    def masks_for(self, case: OpenCase) -> list[OpenCase]:
        """Open scans that may outline its organ: files with the same voxels along each axis, and values as masks have."""
        others = [each for each in self._cases if each is not case and each.scan.source.is_file()]
        return [each for each in others if may_be_mask(each.scan.volume, case.scan.volume)]

    def _case(self, case_id: int) -> OpenCase | None:
        return next((case for case in self._cases if case.id == case_id), None)

    def _let_go(self, source: Path) -> None:
        """A scan was closed or refused: an upload of it is no longer kept, unless another scan or review needs it."""
        self.forget(source, [*(case.scan.source for case in self._cases), *self._waiting, *self._page.kept.sources()])

    def case_of(self, result: Any) -> OpenCase | None:
        """The scan that a result lies on, None for one that is not open."""
        return next((case for case in self._cases if result is not None and case.scan.volume is result.volume), None)

    def keep_result(self, result: Any) -> None:
        """The result of a run belongs to its scan; an older one of the same scan leaves the scene."""
        case = self.case_of(result)
        if case is not None:
            if case.result is not None:
                case.result.remove()
                self._page.later(self._give_back)
            self._page.kept.drop(case)
            case.result = result
        self._tell()

    @user_action(_("The series could not be opened."))
    def open_series(self, uid: str) -> None:
        """Another series of the folder that the scan came from."""
        current = self.current
        if current is not None and uid != current.titles.chosen(current.scan.series):
            self.open_path(current.scan.source, current.scan.volume.GetName() or "", series=uid)

    def waiting_for_export(self) -> int:
        """How many open scans have a review that is in no file yet."""
        return sum(case.result is not None and case.result.waits_for_export() for case in self._cases)

    def _tell(self) -> None:
        """Brings the browsers up to date."""
        current = self.current
        self._state.scans = [
            {
                "id": case.id,
                "name": case.scan.volume.GetName(),
                "title": case.titles.title(case.scan.series),
                "segmented": case.result is not None,
            }
            for case in self._cases
        ]
        self._state.scan_index = self._cases.index(current) if current is not None else -1
        facts = describe(facts_of(self._page.views.scene, current.scan.volume)) if current is not None else ""
        date = current.titles.date(current.scan.series) if current is not None else ""
        self._state.scan_facts = ", ".join(filter(None, (date, facts)))
        self._state.series_choices = current.titles.choices(current.scan.series) if current is not None else []
        self._state.windows = windows_of(self._page.views.scene, current) if current is not None else []
        self._state.is_dicom = current is not None and current.is_dicom
        self._state.is_picture_shown = current is not None and current.scan.is_picture
        warnings = current.scan.warnings if current is not None else ()
        # Where the series can be clicked, nobody needs the word of the command line for it.
        self._state.scan_warnings = [
            words for words in warnings if "--series" not in words or not self._state.series_choices
        ]

    # The window

    def set_window(self, name: str) -> None:
        """A usual window by name, a step of brightness or contrast, the automatic one, or that of the model."""
        if self.current is not None:
            show_window(self.current, name)

    # The folder list

    @property
    def listed_folder(self) -> Path | None:
        """The folder that is listed, None for the list of the chosen ones."""
        return self._folder

    @user_action(_("The folder cannot be listed."))
    def list_folder(self, folder: Path | None) -> None:
        """Lists what can be opened; the chosen folders for None."""
        roots = self._page.roots
        if folder is None and len(roots.folders) == 1:
            folder = roots.folders[0]
        self._entries = roots.entries(folder)
        self._folder = folder
        self._state.folder_words = readable_name(folder.name) if folder is not None else _("Chosen folders")
        self._state.folder_has_parent = folder is not None and (
            roots.parent(folder) is not None or len(roots.folders) > 1
        )
        listed = self._entries[:_LARGEST_LIST]
        self._state.folder_entries = [{"name": e.name, "folder": e.is_folder} for e in listed]
        rest = len(self._entries) - len(listed)
        words = _(
            "{n} more are not listed; name the file when you start the page, or choose a folder with fewer files."
        )
        self._state.folder_rest = words.format(n=rest) if rest else ""

    def list_again(self) -> None:
        """What lies in the folder now."""
        self.list_folder(self._folder)

    def _files_unfolded(self, **_state: Any) -> None:
        if self._state.open_files == "own" and self._page.roots.folders:
            self.list_again()

    def _upload_failed(self, **_state: Any) -> None:
        name, self._state.upload_failed = self._state.upload_failed, ""
        if name:
            words = _("{name} could not be uploaded; choose it again, or start the page with its path.")
            self._page.failed(words.format(name=readable_name(name)))

    def list_parent(self) -> None:
        """One folder up, not above the chosen ones."""
        if self._folder is not None:
            self.list_folder(self._page.roots.parent(self._folder))
