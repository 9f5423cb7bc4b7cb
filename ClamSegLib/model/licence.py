"""Licences that forbid commercial use: said, and confirmed once by whoever uses what is under them. Needs no torch."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.model.config import ModelConfig, names_non_commercial
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import settings_folder

LICENCE_TEXT = "licence.md"
VARIABLE = "CLAMSEG_ACCEPT_LICENCE"
_KEPT = "licences.json"


class LicenceError(InputError):
    """A model or sample is for non-commercial use only, and nobody has confirmed that yet (exit code 2)."""


def id_of(licence: str) -> str:
    """A licence's name as SPDX writes it: 'CC BY-NC-SA 4.0' and 'CC-BY-NC-SA-4.0' are one."""
    return "-".join(licence.split()).upper()


def licence_text(folder: Path, config: ModelConfig) -> Path | None:
    """The file beside a model that holds its licence's text, where there is one."""
    path = Path(folder) / (config.licence_file or LICENCE_TEXT)
    return path if path.is_file() else None


def accepted_licences() -> dict[str, dict[str, Any]]:
    """What this user has confirmed: licence to 'date', 'clamseg' and 'where'."""
    try:
        kept = json.loads((settings_folder() / _KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: then it is asked again
        return {}
    return {str(name): dict(told) for name, told in kept.items()} if isinstance(kept, dict) else {}


def is_accepted(licence: str) -> bool:
    """Whether this user has confirmed a licence, once and for all or for this process by CLAMSEG_ACCEPT_LICENCE."""
    named = [id_of(name) for name in os.environ.get(VARIABLE, "").split(",")]
    return id_of(licence) in named or id_of(licence) in accepted_licences()


def accept_licence(licence: str, where: str = "library") -> None:
    """Keeps for this user that the licence was confirmed today.

    Args:
        where: what asked: 'command line', 'panel', 'page' or 'library'.

    Raises:
        OutputError: the file cannot be written.
    """
    told = {"date": datetime.now(UTC).date().isoformat(), "clamseg": __version__, "where": where}
    kept = accepted_licences() | {id_of(licence): told}
    with whole_file(settings_folder() / _KEPT) as part:
        part.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def require_accepted(licence: str, what: str) -> None:
    """Refuses what is for non-commercial use only until that is confirmed.

    Args:
        licence: its name.
        what: beginning of the sentence, e.g. "Model 'x'".

    Raises:
        LicenceError: not confirmed yet.
    """
    if not is_accepted(licence):
        raise LicenceError(
            f"{what} is under {licence}, for non-commercial use only; confirm that once with "
            f"--accept-licence {id_of(licence)} or {VARIABLE}={id_of(licence)}."
        )


def require_model(config: ModelConfig) -> None:
    """`require_accepted` for a model; those that anybody may use pass."""
    if config.is_non_commercial:
        require_accepted(config.licence, f"Model '{config.name}'")


def licensed(config: ModelConfig, licence: str, initial: ModelConfig | None) -> ModelConfig:
    """The configuration with its licence: the one that is said, else that of the starting model.

    Args:
        licence: what the user says; '' for nothing.
        initial: of the model that is fine-tuned.

    Raises:
        InputError: the starting model is for non-commercial use only and another licence is said.
    """
    inherited = initial is not None and initial.is_non_commercial
    if inherited and initial is not None:
        if licence and id_of(licence) != id_of(initial.licence):
            raise InputError(
                f"The starting model '{initial.name}' is under {initial.licence}, and so is what is made from it; leave "
                f"--licence {licence} out."
            )
        licence = initial.licence
    licence = licence or config.licence
    non_commercial = inherited or config.non_commercial or names_non_commercial(licence)
    return replace(config, licence=licence, non_commercial=non_commercial)
