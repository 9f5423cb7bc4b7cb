"""What the verbs ask of a licence that forbids commercial use: an option, a variable, or a question on a terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ClamSegLib.model.licence import accept_licence, id_of, is_accepted, licence_text
from ClamSegLib.model.model_folder import read_config
from ClamSegLib.model.registry import find_model
from ClamSegLib.system.progress import Reporter


def add_licence_option(parser: argparse.ArgumentParser) -> None:
    """The option of every verb that works with models."""
    parser.add_argument(
        "--accept-licence",
        metavar="NAME",
        help="confirm once that a model under this licence is used non-commercially (also: CLAMSEG_ACCEPT_LICENCE)",
    )


def confirm(licence: str, what: str, text: Path | None, arguments: argparse.Namespace, reporter: Reporter) -> bool:
    """Whether a licence is confirmed: before, by the option, or by a yes on a terminal; a new yes is kept.

    Args:
        what: beginning of the sentence, e.g. "Model 'x'".
        text: file of the licence's text.
    """
    if is_accepted(licence):
        return True
    said = arguments.accept_licence
    yes = said is not None and id_of(said) == id_of(licence)
    if said is None and sys.stdin.isatty() and sys.stderr.isatty():
        where = f" Its text: {text}" if text is not None else ""
        sys.stderr.write(f"{what} is under {licence}, for non-commercial use only.{where}\nUse it so? Type yes: ")
        sys.stderr.flush()
        yes = sys.stdin.readline().strip().lower() in ("yes", "y")
    if yes:
        accept_licence(licence, "command line")
        reporter.note(f"{what} is under {licence}, for non-commercial use only; kept that you confirmed it")
    return yes


def find_confirmed_model(name: str | Path, arguments: argparse.Namespace, reporter: Reporter) -> Path:
    """The folder of a model; where its licence asks for it, the user is asked. Loading refuses what was not confirmed.

    Raises:
        InputError: no such model.
    """
    folder = find_model(name)
    config = read_config(folder)
    if config.is_non_commercial:
        confirm(config.licence, f"Model '{config.name}'", licence_text(folder, config), arguments, reporter)
    return folder
