"""`clamseg train DATA --output DIR`: from labelled folders to a model; fine-tunes with --init, runs under torchrun."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ClamSegLib.commands.licence_question import add_licence_option, find_confirmed_model
from ClamSegLib.system.device import take_threads
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

NAME = "train"
HELP = "train or fine-tune a model from images that are only labelled normal or diseased"


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers such as 16,32,64") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train`; those left out come from --config, the starting model or the defaults."""
    parser.add_argument("data", type=Path, help="labelled folder: one folder per class, or with a labels.csv")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model at --output")
    parser.add_argument("--init", help="model to fine-tune: a name from `models`, or a folder")
    parser.add_argument("--config", type=Path, help="JSON file with parts 'model' and 'training'")
    parser.add_argument(
        "--resume", action="store_true", help="added to the first command: go on where it was stopped or killed"
    )
    parser.add_argument(
        "--task", choices=("lesion", "organ"), help="organ learns from organ_mask_path (default lesion)"
    )
    parser.add_argument("--objective", choices=("normative", "paper"))
    parser.add_argument("--supervision", choices=("labels", "masks"))
    parser.add_argument("--eta", help="probability that a diseased slice shows the lesion, or 'tune'")
    parser.add_argument("--features", type=_numbers, help="channels per level, e.g. 16,32,64,128,256")
    parser.add_argument("--image-size", type=int, help="side of the crop in pixels (default 256)")
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--minutes", type=float, help="time for the whole training instead of --steps")
    parser.add_argument("--batch-pairs", type=int, help="pairs of slices in a step, over all processes")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    parser.add_argument("--normal-class", help="name of the class without disease")
    parser.add_argument(
        "--only", action="append", default=[], metavar="COLUMN=PATTERN", help="use rows of labels.csv that match"
    )
    parser.add_argument("--corrections", type=Path, metavar="FOLDER", help="also learn from corrections saved there")
    parser.add_argument(
        "--corrected-outlines", choices=("use", "ignore"), default="use", help="whether corrected outlines are taught"
    )
    parser.add_argument("--modality", choices=("CT", "MR", "XR"), help="where the images do not tell")
    parser.add_argument("--sequence", help="MR sequence, e.g. FLAIR")
    parser.add_argument("--plane", choices=("axial", "coronal", "sagittal"))
    parser.add_argument(
        "--organ", help="organ method: lungs_ct, brain_mr, strip_skull, brain_ct, body, whole, or model:NAME"
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="also write curves for TensorBoard (extra tensorboard)"
    )
    parser.add_argument(
        "--quantize",
        choices=("auto", "off"),
        default="auto",
        help="also write it in eight-bit numbers (extra quantize)",
    )
    parser.add_argument("--name", help="name of the model (default: the output folder's)")
    parser.add_argument("--about-data", help="words on the data for the card")
    parser.add_argument(
        "--licence", help="licence of the model, e.g. CC-BY-NC-SA-4.0 (NC: for non-commercial use only)"
    )
    parser.add_argument("--licence-file", type=Path, help="file with the licence's text, kept beside the weights")
    parser.add_argument("--limits", help="known limits for the card")
    add_licence_option(parser)


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _training_values(arguments: argparse.Namespace, from_file: dict[str, Any]) -> dict[str, Any]:
    names = ("task", "objective", "supervision", "steps", "minutes", "batch_pairs", "seed")
    values = {**from_file, **_given(arguments, names)}
    if arguments.steps is not None and arguments.minutes is None:
        values["minutes"] = 0.0
    if arguments.eta and arguments.eta != "tune":
        try:
            values["eta"] = float(arguments.eta)
        except ValueError as error:
            raise InputError(f"--eta {arguments.eta} must be a number in 0..1, or 'tune'.") from error
    return values


def _model_changes(arguments: argparse.Namespace, from_file: dict[str, Any]) -> dict[str, Any]:
    changes = {**from_file, **_given(arguments, ("plane", "sequence", "image_size"))}
    if arguments.organ:
        changes["organ"] = {**changes.get("organ", {}), "method": arguments.organ}
    return changes


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Trains; exit code 0."""
    take_threads(arguments.threads)
    train(arguments, sys.argv[1:], reporter)
    reporter.note(f"model written to {arguments.output}")
    return 0


def train(arguments: argparse.Namespace, words: Sequence[str], reporter: Reporter) -> None:
    """Makes the model that the options ask for.

    Args:
        arguments: as `add_arguments` describes them.
        words: the command that says the same, for the model's card.

    Raises:
        InputError: folder or options cannot be worked with.
    """
    from ClamSegLib.datasets.labelled_folder import add_corrections, keep_rows, read_labelled_folder, without_outlines
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.config_json import from_json
    from ClamSegLib.model.licence import licensed
    from ClamSegLib.objective.training_config import TrainingConfig
    from ClamSegLib.system.device import choose_device
    from ClamSegLib.training.request import TrainingRequest, words_for_card
    from ClamSegLib.training.run import run_training
    from ClamSegLib.training.run_folder import refuse_output
    from ClamSegLib.training.setup import fine_tuning_config, new_model_config, objective_of, read_config_file

    refuse_output(arguments.output, resume=arguments.resume, overwrite=arguments.overwrite)
    device = choose_device(arguments.device)
    for_model, for_training = read_config_file(arguments.config) if arguments.config else ({}, {})
    training = from_json(TrainingConfig, _training_values(arguments, for_training), "training options")
    folder = read_labelled_folder(
        arguments.data, normal_class=arguments.normal_class, both_classes=training.task == "lesion"
    )
    for warning in folder.warnings:
        reporter.warning(warning)
    folder = keep_rows(folder, arguments.only)
    if arguments.corrections:
        folder = add_corrections(folder, arguments.corrections)
    if arguments.corrected_outlines == "ignore":
        folder = without_outlines(folder)
    name = arguments.name or arguments.output.resolve().name
    initial, start = None, None
    if arguments.init:
        if arguments.features or arguments.image_size:
            raise InputError("--features and --image-size belong to the starting model; leave them out with --init.")
        initial = find_confirmed_model(arguments.init, arguments, reporter)
        start = load_model(initial).config
        config = fine_tuning_config(start, folder, name, training.task)
        training = objective_of(start, training, reporter)
    else:
        changes = _model_changes(arguments, for_model)
        config = new_model_config(
            folder, name, arguments.modality or "", changes, training.task, arguments.features, training.objective
        )
    config = licensed(config, arguments.licence or "", start)
    about = {"data": arguments.about_data or "", "limits": arguments.limits or ""}
    request = TrainingRequest(
        folder,
        config,
        training,
        arguments.output,
        device,
        initial,
        arguments.resume,
        {key: value for key, value in about.items() if value},
        ("clamseg", *words_for_card(words)),
        arguments.tensorboard,
        arguments.eta == "tune",
        arguments.licence_file,
        arguments.quantize == "auto",
    )
    run_training(request, reporter)
