"""One case from its source to its folder: brought before it is read, recorded before it is seen, delivered, tidied away."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ClamSegLib.archive.case import Case, tidy
from ClamSegLib.archive.case_record import ABSENT, AGAIN, Standing, model_of, settings_of, standing, write_record
from ClamSegLib.archive.delivery import deliver
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.segmentation.case_work import CaseWork
from ClamSegLib.system.errors import InputError


class CaseJob:
    """What has to be done for a case, for a `CasePipeline`.

    Args:
        case: to do.
        settings: of the run.
        again: whether what stands in the case's folder is a result that has to be replaced.
        room: private folder for what is brought.
    """

    def __init__(self, case: Case, settings: RunSettings, again: bool, room: Path) -> None:
        self.case, self._settings = case, settings
        self._brought = room / case.name
        self._input: dict[str, Any] = {}
        path = self._brought if case.source.is_private else case.source.bring(self._brought)
        self.work = CaseWork(path, case.folder, case.organ, again, self._prepare, self._finish)

    def _prepare(self) -> None:
        """Taken before the scan is read: one that changes meanwhile is done again by the next run."""
        with suppress(InputError):  # the reader says better what is wrong with it
            self._input = self.case.source.fingerprint()
        if self.case.source.is_private:
            self.case.source.bring(self._brought)

    def _finish(self, folder: Path) -> None:
        write_record(folder, self._input, *identity_of(self.case, self._settings))

    def deliver(self) -> None:
        """Takes the DICOM SEG of the finished case to where it was asked for.

        Raises:
            ClamSegError: it did not arrive.
        """
        if self._settings.beside or self._settings.store:
            deliver(self.case, self._settings)

    def tidy(self) -> None:
        """Takes away what was brought."""
        tidy(self._brought)


def identity_of(case: Case, settings: RunSettings) -> tuple[dict[str, str], dict[str, Any]]:
    """Model and options of a case, as its record has them."""
    organ = case.organ or settings.segment.organ
    options = settings_of(
        settings.segment, case.model, settings.series, settings.dicom_seg, settings.dicom_sr, case.organ
    )
    return model_of(case.model, organ), options


def standing_of(case: Case, settings: RunSettings) -> Standing:
    """What stands in the folder of a case; with `overwrite` nothing but a finished case of the same input is kept.

    Raises:
        InputError: the input cannot be read.
    """
    found = standing(case.folder, case.source.fingerprint(), *identity_of(case, settings))
    if settings.overwrite and found.reason:
        return Standing(AGAIN, found.reason)
    return found


def is_to_do(found: Standing) -> bool:
    """Whether a case has to be done."""
    return found.state in (ABSENT, AGAIN)
