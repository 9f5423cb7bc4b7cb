"""`clamseg demo`: the main job on the shipped samples of every modality."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.progress import Reporter

NAME = "demo"
HELP = "segment the shipped samples and name the pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `demo`."""
    parser.add_argument(
        "--output", type=Path, default=Path("clamseg-demo"), help="folder of the results (default clamseg-demo)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Segments every sample and prints a table; results of an earlier demo are replaced."""
    from ClamSegLib.imaging.read_write import read_volume
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.registry import find_model
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.report import OVERLAY, STAGES, write_case
    from ClamSegLib.segmentation.segment_volume import segment_volume
    from ClamSegLib.system.paths import resources_folder

    folder = resources_folder() / "Samples"
    try:
        samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The list of samples in {folder} cannot be read; reinstall ClamSeg.") from error
    rows, code = [], 0
    for sample in samples:
        output = arguments.output / sample["name"]
        try:
            model = load_model(find_model(sample["model"]))
            reporter.note(f"{sample['name']}: {sample['description']}")
            volume = read_volume(folder / sample["file"])
            result = segment_volume(volume, model, SegmentOptions(device=arguments.device), reporter)
            write_case(result, output, overwrite=True)
            rows.append((sample["name"], sample["model"], result.summary()))
        except ClamSegError as error:
            reporter.error(f"{sample['name']}: {error}")
            code = max(code, error.exit_code) if code != 1 else 1
    for name, model_name, summary in rows:
        shown = arguments.output / name
        sys.stdout.write(f"{name} with {model_name}: {summary}\n  {shown / OVERLAY}\n  {shown / STAGES}\n")
    return code
