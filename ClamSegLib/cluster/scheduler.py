"""What a run asks of its scheduler besides tasks: two tries a task, which task a dead worker had, and words where it is lost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ClamSegLib.cluster.open_cluster import ClusterError

TRIES = 2
_SETTLED = "clamseg_settled"  # attribute of a scheduler: runs on it, and its own values


@contextmanager
def answering(kept: str) -> Iterator[None]:
    """Says in one line that the scheduler was lost where a call to it ends so.

    Args:
        kept: what to say of finished pieces.

    Raises:
        ClusterError: the scheduler was lost.
    """
    from distributed import CancelledError
    from distributed.client import ClosedClientError

    try:
        yield
    except (OSError, CancelledError, ClosedClientError):  # closed connections are an OSError
        raise ClusterError(f"The scheduler was lost; {kept}.") from None


def deaths_alone(client: Any, prefix: str) -> int:
    """How often a worker died that had one task and nothing else, of those whose key begins so.

    The scheduler counts a death against every task that the worker had, running or waiting; what was alone is to blame.
    """
    return int(client.run_on_scheduler(_deaths_alone, prefix))


def _deaths_alone(prefix: str, dask_scheduler: Any = None) -> int:
    told = [event for _, event in dask_scheduler.get_events("all") if event.get("action") == "remove-worker"]
    had = [list(event["processing-tasks"]) for event in told if not event.get("expected")]
    return sum(len(keys) == 1 and str(keys[0]).startswith(prefix) for keys in had)


@contextmanager
def two_tries(client: Any) -> Iterator[None]:
    """While the block runs, the scheduler gives a case up after the second worker that died of it, and keeps cases from waiting at workers."""
    client.run_on_scheduler(_settle)
    try:
        yield
    finally:
        with suppress(Exception):  # it may be gone
            if client.status == "running":
                client.run_on_scheduler(_unsettle)


def _settle(dask_scheduler: Any = None) -> None:
    """Runs on the scheduler, which remembers its own values and how many runs there are: the last one gives them back."""
    runs, own = getattr(
        dask_scheduler, _SETTLED, (0, (dask_scheduler.allowed_failures, dask_scheduler.WORKER_SATURATION))
    )
    setattr(dask_scheduler, _SETTLED, (runs + 1, own))
    _set(dask_scheduler, TRIES - 1, 1.0)


def _unsettle(dask_scheduler: Any = None) -> None:
    """Likewise, when a run ends."""
    runs, own = getattr(dask_scheduler, _SETTLED)
    if runs > 1:
        setattr(dask_scheduler, _SETTLED, (runs - 1, own))
        return
    delattr(dask_scheduler, _SETTLED)
    _set(dask_scheduler, *own)


def _set(scheduler: Any, failures: int, saturation: float) -> None:
    scheduler.allowed_failures = failures
    if math.isfinite(scheduler.WORKER_SATURATION):  # between an end and none it cannot change while tasks are there
        scheduler.WORKER_SATURATION = saturation
