"""A case of an archive: its name, its folder, and the source that its scan is brought from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ClamSegLib.archive.case_input import fingerprint_of


class Source(Protocol):
    """Where the scan of a case comes from. A task of a cluster carries it as JSON."""

    @property
    def is_private(self) -> bool:
        """Whether its paths may hold names of patients: then the scan is read from a folder that bears the case's name."""

    def fingerprint(self) -> dict[str, Any]:
        """`case_input.fingerprint` of the scan as it is now."""

    def bring(self, folder: Path) -> Path:
        """The scan's file or folder; what has to be brought is put into `folder`, which does not exist yet."""

    def to_json(self) -> dict[str, Any]:
        """For a task; `case_json.source_of` reads it."""


@dataclass(frozen=True)
class FileSource:
    """A scan that was named, or lies in a folder that was: a file or a folder with a DICOM series."""

    path: Path
    is_private: bool = False

    def fingerprint(self) -> dict[str, Any]:
        return fingerprint_of(self.path)

    def bring(self, folder: Path) -> Path:
        return self.path

    def to_json(self) -> dict[str, Any]:
        return {"kind": "file", "path": str(self.path.absolute())}


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: in tables and messages; of its folder.
        folder: of its results.
        source: of its scan.
        model: folder of its model.
        organ: organ mask of its own; '' for the organ request of the run.
    """

    name: str
    folder: Path
    source: Source
    model: Path
    organ: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a task: paths, options and numbers only; `case_json.case_of` reads it."""
        organ = str(Path(self.organ).absolute()) if self.organ else ""
        told = {"name": self.name, "folder": str(self.folder.absolute()), "model": str(self.model), "organ": organ}
        return told | {"source": self.source.to_json()}


def tidy(folder: Path) -> None:
    """Takes away what a source brought."""
    shutil.rmtree(folder, ignore_errors=True)
