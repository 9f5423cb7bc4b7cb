"""Which cases of a run are finished already: looked for by several threads, because an archive's disk answers slowly."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ClamSegLib.archive.case import Case
from ClamSegLib.archive.case_job import is_to_do, standing_of
from ClamSegLib.archive.case_record import AGAIN, FINISHED, REFUSED, Standing
from ClamSegLib.archive.delivery import deliver
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.system.atomic_output import put_back
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.outcome import BAD, KEPT, Outcome, outcome_of
from ClamSegLib.system.progress import Reporter

_THREADS = 8


@dataclass
class Sorted:
    """The cases of a run: to do, of these the ones whose folder is replaced, and what became of all others."""

    to_do: list[Case] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    outcomes: list[Outcome] = field(default_factory=list)
    kept: list[Case] = field(default_factory=list)


def sort_cases(cases: Sequence[Case], settings: RunSettings, reporter: Reporter) -> Sorted:
    """Sorts the cases of a resumed run; why a case is done again, or is not, is told."""
    for folder in {case.folder.parent for case in cases}:
        put_back(folder)  # what a killed run was just replacing
    found = Sorted()
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, (case, what) in enumerate(
            zip(cases, pool.map(lambda c: _standing(c, settings), cases), strict=True)
        ):
            reporter.progress(number + 1, len(cases), "looking for finished cases")
            if is_to_do(what):
                found.to_do.append(case)
                if what.state == AGAIN:
                    found.again.add(case.name)
                    reporter.note(f"{case.name} is done again: {what.reason}.")
            elif what.state == FINISHED:
                found.kept.append(case)
                found.outcomes.append(Outcome(case.name, KEPT, tries=0))
            else:
                reporter.error(what.reason, case=case.name)
                found.outcomes.append(Outcome(case.name, BAD, what.reason, tries=0))
    return found


def finished_by_others(case: Case, outcome: Outcome, settings: RunSettings) -> Outcome:
    """The outcome of a case of a resumed run; one that another run into the same output has finished meanwhile is kept.

    A case that this run has finished and could not deliver is none of these: what is to be delivered must have arrived.
    """
    if outcome.state != BAD or _standing(case, settings).state != FINISHED:
        return outcome
    if settings.beside or settings.store:
        try:
            deliver(case, settings)
        except ClamSegError:
            return outcome
    return Outcome(case.name, KEPT, tries=0)


def deliver_kept(found: Sorted, settings: RunSettings, reporter: Reporter) -> None:
    """Delivers what a killed run had finished and not delivered; a case whose segmentation does not arrive has failed."""
    if not settings.beside and not settings.store:
        return
    for number, case in enumerate(found.kept, 1):
        reporter.progress(number, len(found.kept), "looking for what was delivered")
        try:
            deliver(case, settings)
        except ClamSegError as error:
            reporter.error(str(error), case=case.name)
            place = next(n for n, outcome in enumerate(found.outcomes) if outcome.case == case.name)
            found.outcomes[place] = outcome_of(case.name, error)


def _standing(case: Case, settings: RunSettings) -> Standing:
    try:
        return standing_of(case, settings)
    except InputError as error:
        return Standing(REFUSED, str(error))
