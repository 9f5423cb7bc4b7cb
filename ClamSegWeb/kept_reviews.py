"""Reviews outlive the page: each is written after every step, and offered at the next start where its page was lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError
from ClamSegWeb.page_folder import REVIEWS, clear_where_empty, kept_in
from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.kept_review import (
    MAPS_FILE,
    STEPS_FILE,
    bring_back,
    read_steps,
    snapshot_of_maps,
    snapshot_of_steps,
)
from ClamSegWorkflow.process.failure_log import log_failure
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.words import tr as _

_log = logging.getLogger(__name__)
_SOURCE_FILE = "source.json"


@dataclass(frozen=True)
class Source:
    """Where the scan of a kept review lies; `series` picks one of a folder."""

    path: str
    name: str
    series: str = ""


class KeptReviews:
    """Writes the reviews of this page, and brings those of earlier ones back.

    Args:
        folder: of this page.
        left: folders that earlier pages left behind.

    Attributes:
        take_upload: moves an upload into this page and returns where it lies now; another path is returned as it is.
    """

    def __init__(self, page: Any, folder: Path, left: list[Path]) -> None:
        self._page, self._folder = page, folder / REVIEWS
        self.take_upload: Callable[[Path], Path] = lambda path: path
        self._offered = [review for each in left for review in kept_in(each)]
        self._writing: set[int] = set()
        self._changed: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tell()

    # Keeping

    def step_done(self, case: Any) -> None:
        """The reader decided or drew something on a scan's result: soon it is on disk."""
        if case is None or case.result is None or case.result.lesions is None:
            return
        if not (case.result.lesions.decisions() or case.result.marks or self._of(case).exists()):
            return
        self._changed.add(case.id)
        if case.id not in self._writing:
            self._writing.add(case.id)
            task = asyncio.get_running_loop().create_task(self._write(case))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def drop(self, case: Any) -> None:
        """The scan was closed, or its result replaced: nothing of its review is kept."""
        self._changed.discard(case.id)
        shutil.rmtree(self._of(case), ignore_errors=True)

    async def all_written(self) -> None:
        """Comes back when nothing waits to be written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _of(self, case: Any) -> Path:
        return self._folder / str(case.id)

    async def _write(self, case: Any) -> None:
        try:
            while case.id in self._changed:
                self._changed.discard(case.id)
                result, folder = case.result, self._of(case)
                if result is None or not result.is_alive():
                    return
                maps = None if (folder / MAPS_FILE).exists() else snapshot_of_maps(result)
                steps = snapshot_of_steps(result)
                source = Source(str(case.scan.source), case.scan.volume.GetName() or "", case.scan.series)
                await asyncio.to_thread(_write_files, folder, source, maps, steps)
                if case.result is not result:  # replaced or closed while it was written
                    shutil.rmtree(folder, ignore_errors=True)
        except Exception as error:  # memory may run out, or no thread start: the reader knows then that nothing is kept
            if not isinstance(error, (ClamSegError, SceneError, OSError)):
                log_failure(_log, "a review could not be kept", error)
            self._page.failed(
                _("The review could not be kept for a crash of the page: {error}").format(
                    error=str(error) or type(error).__name__
                )
            )
        finally:
            self._writing.discard(case.id)

    # Bringing back

    def _tell(self) -> None:
        told = []
        for folder in self._offered:
            try:
                steps, source = read_steps(folder), _source_of(folder)
            except (SceneError, OSError, ValueError, TypeError):
                continue
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime((folder / STEPS_FILE).stat().st_mtime))
            parts = (
                _("one lesion decided") if steps["decided"] == 1 else _("{n} lesions decided").format(n=steps["decided"]),
                _("one slice labelled") if steps["labelled"] == 1 else _("{n} slices labelled").format(n=steps["labelled"]),
            )  # fmt: skip
            words = ", ".join([*(words for words in parts if not words.startswith("0 ")), when])
            told.append({"id": _id_of(folder), "words": f"{source.name}: {words}"})
        self._page.state.kept_reviews = told

    @user_action(_("The review could not be brought back."))
    def bring(self, review: str) -> None:
        """Opens the scan of a kept review again, and shows the review on it; one that is gone by now is passed over."""
        folder = self._folder_of(review)
        if folder is None:
            return
        source = _source_of(folder)
        self._page.input.open_path(
            Path(source.path), source.name, series=source.series, then=lambda case: self._opened(case, folder)
        )

    @user_action(_("The review could not be brought back."))
    def _opened(self, case: Any, folder: Path) -> None:
        if case.result is not None:
            raise SceneError(_("This scan has a result already; close it, then bring the review back."))
        result = bring_back(self._page.views.scene, case.scan.volume, folder)
        try:
            self._take_scan(case)
        except OSError as error:
            result.remove()
            raise SceneError(words_of_the_machine(error) or str(error)) from error
        self._page.result_arrived(result, str(result.certificate()))
        own = self._of(case)
        own.parent.mkdir(exist_ok=True)
        shutil.move(folder, own)
        self._forget(folder)

    def _take_scan(self, case: Any) -> None:
        """The scan's upload becomes one of this page, with all that was uploaded with it; other reviews find theirs there."""
        case.scan = replace(case.scan, source=self.take_upload(case.scan.source))
        for folder in self._offered:
            with contextlib.suppress(ValueError, TypeError):  # a damaged one is not offered
                source = _source_of(folder)
                path = Path(source.path)
                if not path.exists() and (taken := self.take_upload(path)) != path:
                    _write_source(folder, replace(source, path=str(taken)))

    def sources(self) -> list[Path]:
        """Where the scans of reviews lie that are offered still."""
        found = []
        for folder in self._offered:
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.append(Path(_source_of(folder).path))
        return found

    def discard(self, review: str) -> None:
        """The reader does not want it any more, and is asked whether that is so."""
        if self._page.state.question is not None:
            self._page.failed(_("Answer the question first."))
            return
        folder = self._folder_of(review)
        words = next((each["words"] for each in self._page.state.kept_reviews if each["id"] == review), "")
        if folder is not None:
            self._page.ask(
                _("Discard the review?"),
                _("{review}. This cannot be undone.").format(review=words),
                lambda yes: self._discard(folder) if yes else None,
                _("Discard"),
            )

    @user_action(_("The review could not be discarded."))
    def _discard(self, folder: Path) -> None:
        if folder in self._offered:  # else brought back or discarded while the question stood
            shutil.rmtree(folder)
            self._forget(folder)

    def _folder_of(self, review: str) -> Path | None:
        return next((folder for folder in self._offered if _id_of(folder) == review), None)

    def _forget(self, folder: Path) -> None:
        self._offered.remove(folder)
        page_folder = folder.parent.parent
        clear_where_empty(page_folder)
        self._tell()


def _id_of(folder: Path) -> str:
    """Names a review as long as it lies there, whatever others come and go."""
    return f"{folder.parent.parent.name}-{folder.name}"


def _source_of(folder: Path) -> Source:
    return Source(**json.loads((folder / _SOURCE_FILE).read_text(encoding="utf-8")))


def _write_source(folder: Path, source: Source) -> None:
    (folder / _SOURCE_FILE).write_text(json.dumps(asdict(source)), encoding="utf-8")


def _write_files(folder: Path, source: Source, maps: Any, steps: Any) -> None:
    """Maps first: a folder counts as a review once its steps are there."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_source(folder, source)
    if maps is not None:
        maps.write(folder / MAPS_FILE)
    steps.write(folder / STEPS_FILE)
