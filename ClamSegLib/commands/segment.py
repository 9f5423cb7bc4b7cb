"""`clamseg segment INPUT... --model M --output DIR`: scans to masks, one folder a case; a bad case stops no other."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.commands.licence_question import add_licence_option, find_confirmed_model
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.segment_volume import CaseResult

NAME = "segment"
HELP = "outline organ and lesions in scans: NIfTI, NRRD, MHA, DICOM folders, PNG, JPEG or TIFF pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `segment`."""
    parser.add_argument("input", type=Path, nargs="+", help="scan, picture, DICOM folder, or folder of scans")
    parser.add_argument("--model", required=True, help="name from `models`, or a model folder")
    parser.add_argument("--output", type=Path, required=True, help="folder that gets one folder per case")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--level", type=int, help="1 (fast) to the model's depth (accurate; default: the model's)")
    parser.add_argument("--engine", default="auto", help="what computes: auto, reference, torch, openvino or mnn")
    parser.add_argument("--organ", default="auto", help="auto, none, a method, model:NAME, or a mask file")
    parser.add_argument("--threshold", type=float, help="of the lesion probability, 0..1 (default: the model's)")
    parser.add_argument("--minimum-volume-ml", type=float, help="drop smaller lesions (default: the model's)")
    parser.add_argument("--batch-size", type=int, help="slices at once (default: what fits the engine)")
    parser.add_argument(
        "--slice-smoothing",
        action=argparse.BooleanOptionalAction,
        help="smooth the evidence over neighbouring slices (weights 1/4, 1/2, 1/4; default: as the model says)",
    )
    parser.add_argument("--series", help="number or UID where a DICOM folder holds several series")
    parser.add_argument("--dicom-seg", action="store_true", help="also write a DICOM SEG (input must be DICOM)")
    parser.add_argument(
        "--dicom-sr", action="store_true", help="also write a DICOM SR that measures each lesion (input must be DICOM)"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    add_licence_option(parser)


def case_name(path: Path) -> str:
    """The input's own name without its ending (a link's, not that of the file it leads to); never '' or dots only."""
    whole = path.resolve() if path.name in ("", "..") else path
    name = whole.name if path.is_dir() else whole.stem
    for ending in (".nii.gz", ".seg.nrrd"):
        if whole.name.lower().endswith(ending):
            name = whole.name[: -len(ending)]
    return name if name.strip(" .") else "scan"


def case_folders(inputs: list[Path], output: Path) -> list[Path]:
    """One folder per input; a name that is taken, also in other letters of case, gets a number."""
    taken: set[str] = set()
    folders = []
    for path in inputs:
        name = free = case_name(path)
        number = 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.casefold())
        folders.append(output / free)
    return folders


def options_of(arguments: argparse.Namespace) -> SegmentOptions:
    """The options, refused where out of range.

    Raises:
        InputError: said with what is allowed.
    """
    from ClamSegLib.model.config_json import from_json
    from ClamSegLib.segmentation.options import SegmentOptions

    names = [field.name for field in dataclasses.fields(SegmentOptions)]
    return from_json(SegmentOptions, {name: getattr(arguments, name) for name in names}, "options")


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Segments all inputs; 0, or 1 if any case failed, else 2 if any was bad."""
    from ClamSegLib.imaging.reader_process import reading_apart

    with reading_apart():  # the process that reads starts while torch and the model are loaded
        return _segment(arguments, reporter)


def _segment(arguments: argparse.Namespace, reporter: Reporter) -> int:
    from ClamSegLib.engines.choose import require_engine
    from ClamSegLib.imaging.case_files import find_cases
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.segmentation.batch_of_cases import CasePipeline, CaseWork, PipelineOptions
    from ClamSegLib.segmentation.dicom_report import require_lesions
    from ClamSegLib.system.device import choose_device

    model = load_model(find_confirmed_model(arguments.model, arguments, reporter))
    options = options_of(arguments)
    model.config.level_of(options.level)
    if arguments.dicom_sr:
        require_lesions(model.config.task, model.config.name)
    require_engine(options.engine, choose_device(options.device))
    inputs, notes = find_cases(arguments.input)
    for note in notes:
        reporter.note(note)
    folders = case_folders(inputs, arguments.output)
    codes: list[int] = []

    def finished(case: CaseWork, result: CaseResult) -> None:
        summary = result.summary()
        reporter.done(case=case.folder.name, folder=str(case.folder), summary=summary)
        reporter.note(f"{case.folder.name}: {summary}\n  {case.folder / 'overlay.png'}")
        codes.append(0)

    def failed(case: CaseWork, error: ClamSegError) -> None:
        reporter.error(str(error), case=case.folder.name)
        codes.append(error.exit_code)

    of_all = PipelineOptions(options, arguments.series, arguments.dicom_seg, arguments.dicom_sr, arguments.overwrite)
    cases = [CaseWork(path, folder) for path, folder in zip(inputs, folders, strict=True)]
    shares = CasePipeline(model, of_all, finished, failed, reporter).run(cases)
    if len(cases) > 1 and shares.network_s:
        share = shares.network_s / shares.wall_s
        reporter.note(f"{len(cases)} cases in {shares.wall_s:.0f} s, {share:.0%} of it in the network")
    return 1 if 1 in codes else max(codes, default=0)
