"""A case of a run on a worker of a cluster."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ClamSegLib.archive.case import Case
from ClamSegLib.archive.case_job import CaseJob, standing_of
from ClamSegLib.archive.case_json import case_of
from ClamSegLib.archive.case_record import FINISHED, report_in
from ClamSegLib.archive.private_room import private_room
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.cluster.worker import answer, kept_device, kept_model
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.outcome import DONE, Outcome, outcome_of

_stack = contextlib.ExitStack()


def do_case(case_json: str, run_json: str) -> str:
    """Does a case, unless it is finished.

    Args:
        case_json: of `Case.to_json`, with `again`.
        run_json: as for `cluster.worker.answer`, with `settings` and a `token`.

    Returns:
        JSON: `state`, `words`; or `unfit`, where another worker has to do it.
    """
    told = json.loads(case_json)
    case = case_of(told)

    def work(run: dict[str, Any]) -> dict[str, Any]:
        outcome = _outcome(case, told["again"], run)
        return {"state": outcome.state, "words": outcome.words}

    return answer(run_json, case.name, work, tell=not case.source.is_private)


@cache
def _room() -> Path:
    """The private folder of this worker; it goes with the process."""
    return _stack.enter_context(private_room())


def _outcome(case: Case, again: bool, run: dict[str, Any]) -> Outcome:
    from ClamSegLib.archive.local_run import pipeline_options
    from ClamSegLib.segmentation.batch_of_cases import CasePipeline
    from ClamSegLib.segmentation.case_work import CaseWork
    from ClamSegLib.segmentation.segment_volume import CaseResult
    from ClamSegLib.system.progress import Reporter

    settings = RunSettings.of_json(run["settings"])
    settings = replace(settings, segment=replace(settings.segment, device=kept_device(settings.segment.device)))
    model = kept_model(case.model, run["licences"])
    # A worker that was killed, or lost its scheduler, may have finished the case on its way.
    job = CaseJob(case, settings, again, _room())
    outcomes: list[Outcome] = []

    def finished(_work: CaseWork, result: CaseResult) -> None:
        try:
            job.deliver()
            outcomes.append(Outcome(case.name, DONE, result.summary()))
        except ClamSegError as error:
            outcomes.append(outcome_of(case.name, error))

    def failed(_work: CaseWork, error: ClamSegError) -> None:
        outcomes.append(_finished_meanwhile(case, settings, run) or outcome_of(case.name, error))

    try:
        CasePipeline(model, lambda: model, pipeline_options(settings), finished, failed, Reporter()).run([job.work])
    finally:
        job.tidy()
    return outcomes[0]


def _finished_meanwhile(case: Case, settings: RunSettings, run: dict[str, Any]) -> Outcome | None:
    """A case that another worker of a run, thought dead, brought to its end; None where it is none."""
    with contextlib.suppress(ClamSegError, OSError):
        # Both by the clock of the shared disk.
        began = Path(run["token"][0]).stat().st_mtime
        if (
            case.folder.exists()
            and case.folder.stat().st_mtime >= began
            and standing_of(case, settings).state == FINISHED
        ):
            return Outcome(case.name, DONE, str(report_in(case.folder)["summary"]))
    return None
