"""`clamseg export MODEL --format onnx --output DIR`: a pruned network for other programs; `--quantize`: in eight bits, beside the weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from ClamSegLib.commands.licence_question import add_licence_option, find_confirmed_model
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

NAME = "export"
HELP = "write a model as ONNX or OpenVINO, compared with torch, or in eight-bit numbers beside its weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    parser.add_argument("model", help="name from `models`, or a model folder")
    parser.add_argument("--format", choices=("onnx", "openvino"))
    parser.add_argument("--output", type=Path, help="folder to write")
    parser.add_argument("--level", type=int, help="1 (fast) to the model's depth (default: the model's)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    parser.add_argument(
        "--quantize", action="store_true", help="write the network in eight-bit numbers beside the model's weights"
    )
    parser.add_argument("--data", type=Path, help="labelled folder whose training slices --quantize looks at")
    parser.add_argument(
        "--only", action="append", default=[], metavar="COLUMN=PATTERN", help="use rows of labels.csv that match"
    )
    add_licence_option(parser)


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Exports; exit code 0."""
    if arguments.quantize:
        return _quantize(arguments, reporter)
    if arguments.data or arguments.only:
        raise InputError("--data and --only belong to --quantize; leave them out, or add it.")
    if not (arguments.format and arguments.output):
        raise InputError("Name what to write, with --format and --output, or say --quantize.")
    from ClamSegLib.engines.export import export_model
    from ClamSegLib.model.checkpoint import load_model

    model = load_model(find_confirmed_model(arguments.model, arguments, reporter))
    done = export_model(model, arguments.format, arguments.output, level=arguments.level, overwrite=arguments.overwrite)
    reporter.note(f"{arguments.output} written; largest difference from torch {done.largest_difference:.1e}")
    reporter.done(folder=str(arguments.output), largest_difference=done.largest_difference)
    return 0


def _quantize(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Writes the int8 files of a model, calibrated on training slices and judged on held-out patients of them."""
    if arguments.format or arguments.output or arguments.level or arguments.overwrite:
        raise InputError(
            "--quantize writes beside the weights, for the model's own level; leave out --format, --output, --level and --overwrite."
        )
    if arguments.data is None:
        raise InputError("--quantize needs slices to look at; name a labelled folder with --data.")
    from ClamSegLib.datasets.labelled_folder import keep_rows, read_labelled_folder, split_rows
    from ClamSegLib.datasets.sample_crops import sample_crops
    from ClamSegLib.engines.choose import gflop_of_a_slice
    from ClamSegLib.engines.quantize import Crops, crops_to_look_at, quantize_model, require_quantizing
    from ClamSegLib.model.checkpoint import load_model

    require_quantizing()
    model = load_model(find_confirmed_model(arguments.model, arguments, reporter))
    folder = keep_rows(read_labelled_folder(arguments.data, both_classes=model.config.task == "lesion"), arguments.only)
    shown, held_out = split_rows(folder, validation_share=0.4)
    if not held_out:
        raise InputError("--quantize needs slices of two patients at least: some to measure with, others to judge by.")
    most = crops_to_look_at(gflop_of_a_slice(model, model.config.level_of(None)))
    calibration, judged = (Crops(*sample_crops(folder, rows, model, most, reporter)) for rows in (shown, held_out))
    made = quantize_model(model, calibration, judged, reporter)
    reporter.note(f"int8 network written to {made.path.parent}; Dice of its masks with the reference {made.dice:.3f}")
    reporter.done(folder=str(made.path.parent), dice=made.dice)
    return 0
