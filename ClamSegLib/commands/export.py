"""`clamseg export MODEL --format onnx --output DIR`: a pruned network for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ClamSegLib.commands.licence_question import add_licence_option, find_confirmed_model
from ClamSegLib.system.progress import Reporter

NAME = "export"
HELP = "write a model as ONNX or OpenVINO, compared with torch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    parser.add_argument("model", help="name from `models`, or a model folder")
    parser.add_argument("--format", choices=("onnx", "openvino"), required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--level", type=int, help="1 (fast) to the model's depth (default: the model's)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    add_licence_option(parser)


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Exports; exit code 0."""
    from ClamSegLib.engines.export import export_model
    from ClamSegLib.model.checkpoint import load_model

    model = load_model(find_confirmed_model(arguments.model, arguments, reporter))
    done = export_model(model, arguments.format, arguments.output, level=arguments.level, overwrite=arguments.overwrite)
    reporter.note(f"{arguments.output} written; largest difference from torch {done.largest_difference:.1e}")
    reporter.done(folder=str(arguments.output), largest_difference=done.largest_difference)
    return 0
