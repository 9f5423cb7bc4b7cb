"""Series from a PACS, and segmentations into it, by DICOMweb: QIDO, WADO and STOW through dicomweb-client.

Users and passwords come from `~/.netrc`, certificates from `REQUESTS_CA_BUNDLE`, as in every program that uses requests.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ClamSegLib.archive.case_input import fingerprint
from ClamSegLib.archive.chosen_series import Found
from ClamSegLib.archive.dicom_index import TAGS, plain_value
from ClamSegLib.archive.pseudonym import Pseudonyms
from ClamSegLib.archive.series_choice import Selection
from ClamSegLib.imaging.dicom_series import NO_SCANS, make_series
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.progress import Reporter

_TIMEOUT_S = 120.0
_PAGE = 100
_ATTEMPTS, _WAIT_MS = 3, 250
# As stored, whatever their compression: asked to decompress, an archive ends the answer at the first slice that it cannot.
_AS_STORED = (("application/dicom", "*"),)
_NOT_FOUND = 404
_Answer = TypeVar("_Answer")


class PacsError(ClamSegError):
    """The PACS refused, did not answer, or did not give what it holds (exit code 1)."""

    exit_code = 1


@dataclass(frozen=True)
class PacsSeries:
    """The source of a case that is a series of a PACS."""

    url: str
    study: str
    series: str
    is_private: bool = True

    def fingerprint(self) -> dict[str, Any]:
        """By the UIDs of the instances: an instance never changes under its UID."""
        return fingerprint((uid, 0, 0, "") for uid in Pacs(self.url).instances(self.study, self.series))

    def bring(self, folder: Path) -> Path:
        Pacs(self.url).fetch(self.study, self.series, folder)
        return folder

    def to_json(self) -> dict[str, Any]:
        return {"kind": "pacs", "url": self.url, "study": self.study, "series": self.series}


class Pacs:
    """A DICOMweb archive.

    Args:
        url: its root, e.g. https://pacs.example/dicom-web.

    Raises:
        InputError: no address, or dicomweb-client is missing.
    """

    def __init__(self, url: str) -> None:
        try:
            from dicomweb_client.api import DICOMwebClient
        except ImportError as error:
            raise InputError("A PACS needs dicomweb-client; install it with pip install 'clamseg[archive]'.") from error
        if not re.fullmatch(r"https?://[^/\s@]+(/\S*)?", url):
            raise InputError(
                f"{url} is no address of a DICOMweb archive; name one like https://pacs.example/dicom-web."
            )
        self.url = url.rstrip("/")
        _silence()
        self._client = DICOMwebClient(url=self.url, timeout=_TIMEOUT_S, permissive_uid=True)
        self._client.set_http_retry_params(max_attempts=_ATTEMPTS, wait_exponential_multiplier=_WAIT_MS)

    def series(self, selection: Selection, names: Pseudonyms, reporter: Reporter) -> Iterator[Found]:
        """The series of the archive; what `selection` asks of the study is asked of the archive, the rest is chosen here.

        An archive may not know the attributes of slices: they are read from the first instance where they are missing.
        """
        asked = {
            "StudyInstanceUID": selection.every("StudyInstanceUID"),
            "ModalitiesInStudy": selection.every("Modality").upper(),
            "StudyDate": selection.dates(),
        }
        filters = {name: value for name, value in asked.items() if value}
        studies = list(
            self._pages(
                lambda offset: self._client.search_for_studies(limit=_PAGE, offset=offset, search_filters=filters)
            )
        )
        for number, study in enumerate(studies, 1):
            uid = _text(study, "0020000D")
            for told in self._pages(
                lambda offset, uid=uid: self._client.search_for_series(uid, limit=_PAGE, offset=offset)  # type: ignore[misc]
            ):
                yield self._found(uid, told, names)
            reporter.progress(number, len(studies), "asking the PACS")

    def _found(self, study: str, told: dict[str, Any], names: Pseudonyms) -> Found:
        series, modality = _text(told, "0020000E"), _text(told, "00080060")
        uids = self.instances(study, series)
        tags: dict[str, Any] = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "Modality": modality}
        patient, odd = "", ""
        if uids and modality not in NO_SCANS:
            header = self._header(study, series, uids[len(uids) // 2])
            tags |= {name: value for name in TAGS if (value := plain_value(header, name)) not in (None, "")}
            patient, odd = str(header.get("PatientID", "")), make_series("", [(Path("instance"), header)]).odd_kind
        source = PacsSeries(self.url, study, series)
        return Found(source, tags, len(uids), odd, "", names.of("patient", patient), self.url)

    def _header(self, study: str, series: str, instance: str) -> Any:
        import pydicom

        told = self._ask(lambda: self._client.retrieve_instance_metadata(study, series, instance))
        with contextlib.suppress(Exception):  # pydicom raises many kinds for damaged elements
            return pydicom.Dataset.from_json(told, bulk_data_uri_handler=lambda *_: b"")
        return pydicom.Dataset()

    def instances(self, study: str, series: str) -> list[str]:
        """UIDs of the instances of a series.

        Raises:
            PacsError: the archive does not answer.
        """
        answers = self._pages(
            lambda offset: self._client.search_for_instances(study, series, limit=_PAGE, offset=offset)
        )
        return sorted({_text(told, "00080018") for told in answers})

    def fetch(self, study: str, series: str, folder: Path) -> None:
        """Writes the instances of a series under numbers into a new private folder.

        Raises:
            PacsError: the archive gave fewer instances than it says that it holds.
        """
        expected = self.instances(study, series)
        datasets = self._ask(lambda: self._client.retrieve_series(study, series, media_types=_AS_STORED))
        came = sorted({str(dataset.SOPInstanceUID) for dataset in datasets})
        if came != expected:
            raise PacsError(
                f"The PACS names {len(expected)} instances of the series and gave {len(came)} of them; ask for it again, or export it there."
            )
        folder.mkdir(parents=True, mode=0o700)
        for number, dataset in enumerate(datasets, 1):
            dataset.save_as(folder / f"{number:06d}.dcm", enforce_file_format=True)

    def store(self, dataset: Any) -> None:
        """Stores a segmentation and looks whether it is there.

        Raises:
            PacsError: it was refused, or is not found afterwards.
        """
        uid, study, series = (
            str(dataset[name].value) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        )
        self._ask(lambda: self._client.store_instances([dataset]))
        if self.instances(study, series) != [uid]:
            raise PacsError("The PACS took the segmentation and does not find it; look there why it was refused.")

    def _pages(self, ask: Callable[[int], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """All answers to a query: an archive gives them in parts, and may give fewer at once than were asked for."""
        offset = 0
        while True:
            answers = self._ask(partial(ask, offset))
            if not answers:
                return
            yield from answers
            offset += len(answers)

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        import requests

        try:
            return question()
        except requests.HTTPError as error:
            code = error.response.status_code if error.response is not None else 0
            what = "it holds no such study or series" if code == _NOT_FOUND else f"it answers {code}"
            raise PacsError(
                f"The PACS {self.url} refused a request ({what}); look at its address, your rights (~/.netrc) and its log."
            ) from None
        except requests.RequestException as error:
            raise PacsError(
                f"The PACS {self.url} does not answer ({type(error).__name__}); look at the address and the network."
            ) from None
        except ValueError:  # an answer that is no DICOM JSON, or a damaged instance
            raise PacsError(f"{self.url} gives an answer that is not DICOMweb; look at the address.") from None


def _silence() -> None:
    """Warnings of the two libraries quote values of headers and addresses with UIDs."""
    import pydicom

    for name in ("pydicom", "dicomweb_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE


def _text(told: dict[str, Any], tag: str) -> str:
    values = told.get(tag, {}).get("Value") or [""]
    return str(values[0])
