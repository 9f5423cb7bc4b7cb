"""The cases of a run in this process, one after the other, with reading and writing beside the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.archive.case import Case
from ClamSegLib.archive.case_job import CaseJob
from ClamSegLib.archive.private_room import private_room
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.segmentation.batch_of_cases import CasePipeline, PipelineOptions, Shares
from ClamSegLib.segmentation.case_work import CaseWork
from ClamSegLib.segmentation.segment_volume import CaseResult
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.outcome import DONE, Outcome, outcome_of
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.model.checkpoint import LoadedModel
    from ClamSegLib.model.described_model import DescribedModel


def pipeline_options(settings: RunSettings) -> PipelineOptions:
    """The options of the pipeline."""
    return PipelineOptions(settings.segment, settings.series, settings.dicom_seg, settings.dicom_sr, settings.overwrite)


def run_here(
    cases: Sequence[Case],
    again: set[str],
    settings: RunSettings,
    models: Mapping[Path, DescribedModel],
    load: Callable[[Path], LoadedModel],
    told: Callable[[Case, Outcome], None],
    reporter: Reporter,
) -> Shares:
    """Does all cases; a bad one stops no other.

    Args:
        cases: to do; those of one model are done together.
        again: names of those whose result is replaced.
        settings: of the run.
        models: of all cases, by their folders, which may change while the run goes on.
        load: gives the model of a folder; called while the first case of it is read.
        told: called with each case when it has come to its end.
        reporter: progress and warnings.

    Returns:
        Where the time went.
    """
    shares = Shares()
    with private_room() as room:
        jobs = {case.folder: CaseJob(case, settings, case.name in again, room) for case in cases}

        def finished(work: CaseWork, result: CaseResult) -> None:
            job = jobs[work.folder]
            try:
                job.deliver()
                told(job.case, Outcome(job.case.name, DONE, result.summary()))
            except ClamSegError as error:
                told(job.case, outcome_of(job.case.name, error))
            finally:
                job.tidy()

        def failed(work: CaseWork, error: ClamSegError) -> None:
            job = jobs[work.folder]
            job.tidy()
            told(job.case, outcome_of(job.case.name, error))

        for folder in dict.fromkeys(case.model for case in cases):
            works = [jobs[case.folder].work for case in cases if case.model == folder]
            options = pipeline_options(settings)
            part = CasePipeline(models[folder], partial(load, folder), options, finished, failed, reporter).run(works)
            shares.network_s, shares.wall_s = shares.network_s + part.network_s, shares.wall_s + part.wall_s
    return shares
