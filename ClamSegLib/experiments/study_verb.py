"""`clamseg study FILE --output DIR`: a table of trainings, each judged by evaluate, resumable row by row."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

NAME = "study"
HELP = "train and judge the rows of a study file, those that are missing, into one table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `study`."""
    parser.add_argument("file", type=Path, help="JSON file of the study: a base recipe and rows that change it")
    parser.add_argument("--output", type=Path, required=True, help="folder for rows and table")
    parser.add_argument("--data", type=Path, help="labelled folder (default: the one the file names)")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="run only these rows")
    parser.add_argument("--overwrite", action="store_true", help="run these rows again although they are finished")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Runs the missing rows; 0, or 1 if any row failed, else 2 if any was bad."""
    from ClamSegLib.datasets.labelled_folder import read_labelled_folder
    from ClamSegLib.experiments.study import StudyRequest, run_study
    from ClamSegLib.experiments.study_file import read_study
    from ClamSegLib.system.device import choose_device, take_threads
    from ClamSegLib.training.request import words_for_card

    take_threads(arguments.threads)
    study = read_study(arguments.file)
    if arguments.data is None and not study.data:
        raise InputError(f"{arguments.file.name} names no data; say the labelled folder with --data.")
    data = arguments.data or arguments.file.parent / study.data
    request = StudyRequest(
        study,
        read_labelled_folder(data, normal_class=study.normal_class or None),
        arguments.output,
        choose_device(arguments.device),
        tuple(arguments.rows),
        arguments.overwrite,
        ("clamseg", *words_for_card(sys.argv[1:])),
    )
    errors = run_study(request, reporter)
    reporter.note(f"table: {arguments.output / 'table.md'}")
    codes = [error.exit_code for error in errors]
    return 1 if 1 in codes else max(codes, default=0)
