"""A user's own models: one is copied in after its files were checked, and taken out again. Needs no torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from ClamSegLib.model.licence import LICENCE_TEXT
from ClamSegLib.model.model_folder import (
    CONFIG,
    LEFT_BY_TRAINING,
    MODEL_FILES,
    NORMATIVE,
    WEIGHTS,
    read_config,
    require_intact,
)
from ClamSegLib.system.atomic_output import whole_folder
from ClamSegLib.system.errors import InputError, OutputError
from ClamSegLib.system.folder_kind import FolderKind
from ClamSegLib.system.paths import user_models_folder
from ClamSegLib.system.process import running_training

# With a model goes what its training left: a training that goes on would replace the one put in its place.
_OWN_MODEL = FolderKind(
    "a model", CONFIG, ("weights_sha256", "network"), (*MODEL_FILES, LICENCE_TEXT, *LEFT_BY_TRAINING)
)


def check_model_files(folder: Path) -> None:
    """Refuses a folder that is not a whole model of this version.

    Raises:
        InputError: no model, a newer format, weights that are not those the configuration names.
    """
    config = read_config(folder)
    require_intact(folder / WEIGHTS, config.weights_sha256)
    if config.normative is not None:
        require_intact(folder / NORMATIVE, config.normative.sha256)


def import_model(source: Path, name: str | None = None, *, overwrite: bool = False) -> Path:
    """Copies a model into the user's folder: its own files and nothing else; returns its new folder.

    Args:
        source: model folder.
        name: of its new folder; the old one's unless given.

    Raises:
        InputError: not a whole model, or one of this name is there and `overwrite` is false.
        OutputError: not writable, disk full.
    """
    source = Path(source)
    check_model_files(source)
    target = user_models_folder() / (name or source.resolve().name)
    if target.exists() and target.resolve() == source.resolve():
        raise InputError(f"{source} is among your models already.")
    if target.exists() and not overwrite:
        raise InputError(f"A model named '{target.name}' is among your models already; remove or rename one of them.")
    if running_training(target) is not None:
        raise InputError(f"'{target.name}' is being trained; stop the training first, or choose another name.")
    with whole_folder(target, _OWN_MODEL, overwrite=overwrite) as part:
        for file in (*MODEL_FILES, read_config(source).licence_file or LICENCE_TEXT):
            if (source / file).is_file():
                shutil.copyfile(source / file, part / file)
    return target


def remove_model(name: str) -> None:
    """Removes one of the user's own models with all that its training left.

    Raises:
        InputError: no such model of the user's own, or its training runs.
        OutputError: a file could not be removed.
    """
    root = user_models_folder()
    folder = root / name
    if not name or folder.resolve().parent != root.resolve() or not (folder / CONFIG).is_file():
        raise InputError(f"'{name}' is not a model of your own; shipped models stay.")
    if running_training(folder) is not None:
        raise InputError(f"'{name}' is being trained; stop the training first.")
    try:
        (folder / CONFIG).unlink()  # first, so that what cannot be removed whole is no model any more
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"'{name}' could not be removed whole ({error.strerror or error}).") from error
