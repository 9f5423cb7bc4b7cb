"""`clamseg demo`: the main job on the shipped samples of every modality."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ClamSegLib.commands.licence_question import add_licence_option, confirm
from ClamSegLib.model.licence import LICENCE_TEXT, id_of
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter

NAME = "demo"
HELP = "segment the shipped samples and name the pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `demo`."""
    parser.add_argument(
        "--output", type=Path, default=Path("clamseg-demo"), help="folder of the results (default clamseg-demo)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_licence_option(parser)


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Segments every sample and prints a table; results of an earlier demo are replaced."""
    from ClamSegLib.model.samples import shipped_samples

    told: list[str] = []
    codes = [0]
    for sample, path in shipped_samples():
        if sample["non_commercial"] and not confirm(
            sample["licence"], f"Sample '{sample['name']}'", path.parent / LICENCE_TEXT, arguments, reporter
        ):
            licence = sample["licence"]
            told.append(
                f"{sample['name']} left out: picture and model are under {licence}, for non-commercial use only; "
                f"--accept-licence {id_of(licence)} shows it."
            )
            continue
        try:
            told.append(_segmented(sample, path, arguments, reporter))
        except ClamSegError as error:
            reporter.error(f"{sample['name']}: {error}")
            codes.append(error.exit_code)
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 1 if 1 in codes else max(codes)


def _segmented(sample: dict[str, Any], path: Path, arguments: argparse.Namespace, reporter: Reporter) -> str:
    """Segments one sample; the lines that say what was found and where its pictures are."""
    from ClamSegLib.imaging.read_write import read_volume
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.registry import find_model
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.pictured_case import OVERLAY, STAGES
    from ClamSegLib.segmentation.report import write_case
    from ClamSegLib.segmentation.segment_volume import segment_volume

    output = arguments.output / sample["name"]
    reporter.note(f"{sample['name']}: {sample['description']}")
    model = load_model(find_model(sample["model"]))
    result = segment_volume(read_volume(path), model, SegmentOptions(device=arguments.device), reporter)
    write_case(result, output, overwrite=True)
    lines = [f"{sample['name']} with {sample['model']}: {result.summary()}"]
    lines += [f"  {sample['note']}"] if sample.get("note") else []
    return "\n".join([*lines, f"  {output / OVERLAY}", f"  {output / STAGES}"])
