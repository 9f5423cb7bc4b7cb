"""Options of `segment` for many cases, and the cases that they name: from inputs, a manifest, DICOM trees or a PACS."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.commands.cluster_options import add_cluster_options
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.archive.case import Case
    from ClamSegLib.archive.pseudonym import Pseudonyms


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """The options."""
    group = parser.add_argument_group("many cases")
    group.add_argument(
        "--resume", action="store_true", help="keep finished cases, do changed and half-written ones again"
    )
    group.add_argument("--manifest", type=Path, metavar="CSV", help="table of cases: path, optional name, model, organ")
    add_cluster_options(group)
    group.add_argument(
        "--select",
        metavar="CONDITIONS",
        help='inputs are trees of DICOM files; series to take, e.g. "Modality=CT and SliceThickness<=2.5"; "" for all suitable ones',
    )
    group.add_argument("--beside", action="store_true", help="also put the DICOM SEG beside the slices of its series")
    group.add_argument("--dicomweb", metavar="URL", help="take the series from this PACS, by DICOMweb")
    group.add_argument("--store", action="store_true", help="store the DICOM SEG in that PACS")
    group.add_argument("--secret", type=Path, metavar="FILE", help="secret that names of series are made with")


def works_on_series(arguments: argparse.Namespace) -> bool:
    """Whether the cases are series of DICOM trees or of a PACS, which are named by pseudonyms."""
    is_disc = any(path.name.upper() == "DICOMDIR" and path.is_file() for path in arguments.input)
    return arguments.select is not None or arguments.dicomweb is not None or is_disc


def check_archive_options(arguments: argparse.Namespace) -> None:
    """Refuses options that do not go together.

    Raises:
        InputError: said with what is allowed.
    """
    named = [bool(arguments.input), arguments.manifest is not None, arguments.dicomweb is not None]
    if sum(named) != 1:
        raise InputError(
            "Name scans or folders, a table of them with --manifest, or a PACS with --dicomweb; one of the three."
        )
    if arguments.manifest is not None and arguments.select is not None:
        raise InputError(
            "--select chooses among the series of folders or of a PACS; a manifest names its cases itself."
        )
    if arguments.store and arguments.dicomweb is None:
        raise InputError("--store stores in the PACS that --dicomweb names; name it.")
    if arguments.beside and (arguments.dicomweb is not None or not works_on_series(arguments)):
        raise InputError(
            '--beside is for trees of DICOM files: name folders, and the series with --select ("" for all suitable ones).'
        )
    if arguments.series is not None and works_on_series(arguments):
        raise InputError("--series chooses within one DICOM folder; among many series --select does.")


def cases_of(
    arguments: argparse.Namespace, model_of: Callable[[str], Path], reporter: Reporter
) -> tuple[list[Case], list[dict[str, str]]]:
    """The cases, and the rows of what was left out.

    Args:
        arguments: of the command line.
        model_of: folder of a model by its name; '' for the one of the run.
        reporter: progress and notes.

    Raises:
        InputError: wrong inputs, manifest, conditions, address or secret.
    """
    from ClamSegLib.archive.case_list import manifest_cases, named_cases

    if arguments.manifest is not None:
        return manifest_cases(arguments.manifest, arguments.output, model_of), []
    if works_on_series(arguments):
        return _series_cases(arguments, model_of(""), reporter)
    cases, notes = named_cases(arguments.input, arguments.output, model_of(""))
    for note in notes:
        reporter.note(note)
    return cases, []


def _series_cases(
    arguments: argparse.Namespace, model: Path, reporter: Reporter
) -> tuple[list[Case], list[dict[str, str]]]:
    from ClamSegLib.archive.chosen_series import chosen_cases, indexed_series
    from ClamSegLib.archive.dicom_index import TAGS
    from ClamSegLib.archive.dicomweb import Pacs
    from ClamSegLib.archive.series_choice import read_selection
    from ClamSegLib.model.model_folder import read_config

    selection = read_selection(arguments.select or "", TAGS)
    names = _names(arguments)
    rows: list[dict[str, str]] = []
    if arguments.dicomweb is not None:
        found = list(Pacs(arguments.dicomweb).series(selection, names, reporter))
    else:
        found, rows = indexed_series(arguments.input, names, reporter)
    cases, left_out = chosen_cases(found, selection, read_config(model).modality, model, arguments.output, names)
    reporter.note(
        f"{len(cases)} of {len(found)} series are taken; paths and UIDs of their names stand in {names.folder / 'lookup.csv'}"
    )
    if not cases:
        reporter.warning("No series is taken; left-out.csv says of each why.")
    return cases, rows + left_out


def _names(arguments: argparse.Namespace) -> Pseudonyms:
    from ClamSegLib.archive.pseudonym import Pseudonyms, default_secret, refuse_in_output

    secret = arguments.secret or default_secret()
    refuse_in_output(secret, arguments.output)
    return Pseudonyms(secret)
