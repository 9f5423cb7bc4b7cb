"""The cases of a run as tasks of a cluster: what dies costs a retry, what cannot be done costs a row, nothing else."""

from __future__ import annotations

import glob
import json
import os
import platform
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ClamSegLib.archive.case import Case
from ClamSegLib.archive.cluster_task import do_case
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.cluster.open_cluster import OpenCluster
from ClamSegLib.cluster.tasks import Piece, Work, spread
from ClamSegLib.system.disk import flush, output_error
from ClamSegLib.system.outcome import Outcome
from ClamSegLib.system.process import is_alive
from ClamSegLib.system.progress import Reporter

_TOKEN = ".clamseg-shared-"


def run_on_cluster(
    cases: Sequence[Case],
    again: set[str],
    settings: RunSettings,
    output: Path,
    licences: Sequence[str],
    gpu: bool,
    opened: OpenCluster,
    told: Callable[[Case, Outcome], None],
    reporter: Reporter,
) -> None:
    """Does all cases.

    Args:
        cases: to do.
        again: names of those whose result is replaced.
        settings: of the run.
        output: folder that all workers have to see.
        licences: that the user has confirmed.
        gpu: whether a worker takes a GPU where its machine has any.
        opened: the cluster.
        told: called with each case when it has come to its end.
        reporter: progress and notes.

    Raises:
        InputError: a worker has other versions, does not see the output or a model.
        ClusterError: the scheduler was lost.
    """
    pieces = [Piece(case.name, json.dumps(case.to_json() | {"again": case.name in again})) for case in cases]
    with _shared_token(output) as token:
        run = {"token": token, "settings": _with_absolute_organ(settings).to_json(), "licences": list(licences)}
        work = Work(do_case, [case.model for case in cases], gpu, run)
        spread(pieces, work, opened, reporter, lambda place, outcome, _: told(cases[place], outcome))


def _with_absolute_organ(settings: RunSettings) -> RunSettings:
    """Workers begin paths elsewhere."""
    mask = Path(settings.segment.organ)
    return (
        replace(settings, segment=replace(settings.segment, organ=str(mask.absolute()))) if mask.is_file() else settings
    )


@contextmanager
def _shared_token(output: Path) -> Iterator[tuple[str, str]]:
    """A file in the output by which a worker sees that it is the same folder."""
    content, mine = secrets.token_hex(16), f"{_TOKEN}{platform.node()}-"
    path = output.absolute() / f"{mine}{os.getpid()}-{content[:8]}"
    try:
        output.mkdir(parents=True, exist_ok=True)
        for left in output.glob(f"{glob.escape(mine)}*"):  # of clients that were killed
            pid = left.name.removeprefix(mine).partition("-")[0]
            if pid.isdigit() and not is_alive(int(pid)):
                left.unlink(missing_ok=True)
        path.write_text(content, encoding="ascii")
        flush(path)
    except OSError as error:
        raise output_error(output, error) from error
    try:
        yield str(path), content
    finally:
        with suppress(OSError):
            path.unlink()
