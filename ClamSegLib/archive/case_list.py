"""The cases of a run: from scans and folders that were named, or from a manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ClamSegLib.archive.case import Case, FileSource
from ClamSegLib.archive.case_names import case_name, free_names
from ClamSegLib.archive.manifest import names_of, read_manifest
from ClamSegLib.imaging.case_files import find_cases


def named_cases(inputs: list[Path], output: Path, model: Path) -> tuple[list[Case], list[str]]:
    """A case for each scan of the inputs, in a folder of its own.

    Args:
        inputs: files, DICOM folders, folders of scans.
        output: gets the folders.
        model: folder of the model.

    Returns:
        The cases, and what was left out, in sentences.
    """
    paths, notes = find_cases(inputs)
    names = free_names(map(case_name, paths))
    return [Case(name, output / name, FileSource(p), model) for name, p in zip(names, paths, strict=True)], notes


def manifest_cases(manifest: Path, output: Path, model_of: Callable[[str], Path]) -> list[Case]:
    """A case for each row of a manifest.

    Args:
        manifest: the table.
        output: gets the folders.
        model_of: the model's folder by its name; '' for the one of the run.

    Raises:
        InputError: as `read_manifest`, or a model that there is not.
    """
    rows = read_manifest(manifest)
    return [
        Case(name, output / name, FileSource(row.path), model_of(row.model), row.organ)
        for name, row in zip(names_of(rows), rows, strict=True)
    ]
