"""`clamseg segment INPUT... --model M --output DIR`: scans to masks, one folder a case; a bad case stops no other."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.commands.archive_options import (
    add_archive_options,
    cases_of,
    check_archive_options,
    works_on_series,
)
from ClamSegLib.commands.cluster_options import cluster_of
from ClamSegLib.commands.licence_question import add_licence_option, find_confirmed_model
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.archive.case import Case
    from ClamSegLib.archive.finished_cases import Sorted
    from ClamSegLib.archive.settings import RunSettings
    from ClamSegLib.cluster.open_cluster import ClusterRequest
    from ClamSegLib.model.checkpoint import LoadedModel
    from ClamSegLib.model.described_model import DescribedModel
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.system.outcome import Outcome

NAME = "segment"
HELP = "outline organ and lesions in scans: NIfTI, NRRD, MHA, DICOM folders, PNG, JPEG or TIFF pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `segment`."""
    parser.add_argument("input", type=Path, nargs="*", help="scan, picture, DICOM folder, or folder of scans")
    parser.add_argument("--model", help="name from `models`, or a model folder")
    parser.add_argument("--output", type=Path, required=True, help="folder that gets one folder per case")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--level", type=int, help="1 (fast) to the model's depth (accurate; default: the model's)")
    parser.add_argument("--engine", default="auto", help="what computes: auto, reference, torch, openvino or mnn")
    parser.add_argument("--organ", default="auto", help="auto, none, a method, model:NAME, or a mask file")
    parser.add_argument("--threshold", type=float, help="of the lesion probability, 0..1 (default: the model's)")
    parser.add_argument("--minimum-volume-ml", type=float, help="drop smaller lesions (default: the model's)")
    parser.add_argument(
        "--minimum-area-px",
        type=float,
        help="the same where no ml are known (pictures, unknown spacing), in pixels (default: the model's, 2 x 2 of its network's pixels)",
    )
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
    add_archive_options(parser)
    add_licence_option(parser)


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

    check_archive_options(arguments)
    if arguments.cluster is not None:  # its workers read
        return _segment(arguments, reporter)
    with reading_apart():  # the process that reads starts while torch and the model are loaded
        if arguments.input and not (arguments.resume or works_on_series(arguments)):
            _begin(arguments.input[0], arguments.series)
        return _segment(arguments, reporter)


def _begin(scan: Path, series: str | None) -> None:
    """Begins to read what is a file by itself: of several ones one could change before the others are read."""
    from ClamSegLib.archive.case_input import files_of
    from ClamSegLib.imaging.reader_process import begin_reading

    with suppress(OSError):  # what is wrong with it is told when it is read
        if scan.is_file() and files_of(scan) == [scan]:
            begin_reading(scan, series=series)


def _segment(arguments: argparse.Namespace, reporter: Reporter) -> int:
    from ClamSegLib.archive.case_table import refuse_foreign_tables, write_tables
    from ClamSegLib.archive.finished_cases import Sorted, deliver_kept, sort_cases
    from ClamSegLib.archive.settings import RunSettings

    on_series, request = works_on_series(arguments), cluster_of(arguments)
    settings = RunSettings(
        options_of(arguments),
        arguments.series,
        arguments.dicom_seg or on_series,
        arguments.dicom_sr,
        arguments.overwrite,
        arguments.beside,
        arguments.dicomweb if arguments.store else "",
    )
    has_tables = arguments.resume or request is not None or arguments.manifest is not None or on_series
    if has_tables:
        refuse_foreign_tables(arguments.output)
    cases, left_out = cases_of(arguments, _Models(arguments, reporter), reporter)
    if len(cases) > 1 and not has_tables:
        has_tables = True
        refuse_foreign_tables(arguments.output)
    if on_series:
        from ClamSegLib.archive.chosen_series import write_left_out

        path = write_left_out(arguments.output, left_out)
        reporter.note(f"{len(left_out)} series or files were left out; {path} says why")
    found = sort_cases(cases, settings, reporter) if arguments.resume else Sorted(to_do=list(cases))
    if found.kept:
        reporter.note(f"{len(found.kept)} of {len(cases)} cases were finished before and stay as they are")
        deliver_kept(found, settings, reporter)
    _run(found, settings, request, arguments, reporter)
    if has_tables:
        folders, outcomes = {case.name: case.folder for case in cases}, {each.case: each for each in found.outcomes}
        written = write_tables(arguments.output, [outcomes[case.name] for case in cases], folders.__getitem__)
        reporter.note(f"tables: {', '.join(map(str, written))}")
    codes = [outcome.exit_code for outcome in found.outcomes]
    return 1 if 1 in codes else max(codes, default=0)


def _run(
    found: Sorted,
    settings: RunSettings,
    request: ClusterRequest | None,
    arguments: argparse.Namespace,
    reporter: Reporter,
) -> None:
    """Does the cases that are to do and adds what became of each."""
    from ClamSegLib.archive.finished_cases import finished_by_others
    from ClamSegLib.system.installation import require_torch_files
    from ClamSegLib.system.outcome import DONE, KEPT

    if request is None and found.to_do and not found.to_do[0].source.is_private:
        _begin(found.to_do[0].source.bring(Path()), settings.series)
    described = _check_models(found.to_do, settings)
    if found.to_do:
        require_torch_files()  # before a scan is read for nothing
    models: dict[Path, LoadedModel] = {}

    def load(folder: Path) -> LoadedModel:
        if not models:  # all of them: what cannot run is told before the first case
            models.update(
                _loaded(found.to_do, settings, arguments.threads, request is None or request.where == "local")
            )
        return models[folder]

    def told(case: Case, outcome: Outcome) -> None:
        if arguments.resume:
            outcome = finished_by_others(case, outcome, settings)
        found.outcomes.append(outcome)
        if outcome.state == KEPT:
            reporter.note(f"{case.name} was finished by another run meanwhile and stays as it is")
        elif outcome.state == DONE:
            reporter.done(case=case.name, folder=str(case.folder), summary=outcome.words)
            reporter.note(f"{case.name}: {outcome.words}\n  {case.folder / 'overlay.png'}")
        else:
            reporter.error(outcome.words, case=case.name)

    if request is not None and found.to_do:
        from ClamSegLib.archive.cluster_run import run_on_cluster
        from ClamSegLib.cluster.open_cluster import open_cluster

        load(found.to_do[0].model)
        licences = [model.config.licence for model in models.values() if model.config.is_non_commercial]
        models.clear()  # the workers load their own
        with open_cluster(request, reporter) as opened:
            given = (found.to_do, found.again, settings, arguments.output, licences, request.gpu, opened)
            run_on_cluster(*given, told, reporter)
    elif found.to_do:
        from ClamSegLib.archive.local_run import run_here

        shares = run_here(found.to_do, found.again, settings, described, load, told, reporter)
        if len(found.to_do) > 1 and shares.network_s:
            share = shares.network_s / shares.wall_s
            reporter.note(f"{len(found.to_do)} cases in {shares.wall_s:.0f} s, {share:.0%} of it in the network")


def _check_models(cases: list[Case], settings: RunSettings) -> dict[Path, DescribedModel]:
    """What the folders of the models of cases tell, by these folders, without torch; what is impossible by it is refused.

    Raises:
        InputError: a damaged model, a level that it has not, a report of what is no lesion.
    """
    from ClamSegLib.model.described_model import describe_model

    models = {folder: describe_model(folder) for folder in dict.fromkeys(case.model for case in cases)}
    for config in (model.config for model in models.values()):
        config.level_of(settings.segment.level)
        if settings.dicom_sr:
            from ClamSegLib.segmentation.dicom_report import require_lesions

            require_lesions(config.task, config.name)
    return models


def _loaded(cases: list[Case], settings: RunSettings, threads: int, runs_here: bool) -> dict[Path, LoadedModel]:
    """The models of cases, by their folders.

    Args:
        cases: of the run.
        settings: of the run.
        threads: of the processor for torch; 0 leaves them as they are.
        runs_here: whether this machine computes; another one may have devices and engines that it has not.

    Raises:
        InputError: a damaged model, a device or an engine that is not there.
        InstallationError: torch is missing or damaged.
    """
    from ClamSegLib.system.device import choose_device, take_threads
    from ClamSegLib.system.installation import require_torch
    from ClamSegLib.system.loading import loading

    with loading():
        require_torch()
        take_threads(threads)
        from ClamSegLib.engines.choose import require_engine
        from ClamSegLib.model.checkpoint import load_model

        models = {folder: load_model(folder) for folder in dict.fromkeys(case.model for case in cases)}
    if runs_here:
        require_engine(settings.segment.engine, choose_device(settings.segment.device))
    return models


class _Models:
    """The folders of models by their names, each confirmed once where its licence asks for it."""

    def __init__(self, arguments: argparse.Namespace, reporter: Reporter) -> None:
        self._arguments, self._reporter = arguments, reporter
        self._folders: dict[str, Path] = {}

    def __call__(self, name: str) -> Path:
        """The folder of a model; '' stands for the one of the run."""
        named = name or self._arguments.model
        if not named:
            raise InputError("--model is needed: a name from `clamseg models`, or a model folder.")
        if named not in self._folders:
            self._folders[named] = find_confirmed_model(named, self._arguments, self._reporter).absolute()
        return self._folders[named]
