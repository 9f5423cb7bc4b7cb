"""A case from the words of a task: paths, UIDs and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ClamSegLib.archive.case import Case, FileSource, Source
from ClamSegLib.archive.dicom_index import IndexedSeries
from ClamSegLib.archive.dicomweb import PacsSeries


def source_of(told: dict[str, Any]) -> Source:
    """The source that `to_json` told of."""
    if told["kind"] == "file":
        return FileSource(Path(told["path"]))
    if told["kind"] == "indexed":
        return IndexedSeries(Path(told["index"]), int(told["series"]))
    return PacsSeries(told["url"], told["study"], told["series"])


def case_of(told: dict[str, Any]) -> Case:
    """The case that `to_json` told of."""
    return Case(told["name"], Path(told["folder"]), source_of(told["source"]), Path(told["model"]), told["organ"])
