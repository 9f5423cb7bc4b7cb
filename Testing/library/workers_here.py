"""A Dask cluster of two workers in this process, for tests that need no process to die."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def workers_here() -> Iterator[Any]:
    """Its client."""
    from distributed import Client, LocalCluster

    options = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options, protocol="inproc://") as cluster, Client(cluster) as client:
        yield client
