"""A Dask cluster for a run: on this machine, at an address, or started as jobs of a queue such as SLURM.

Whoever reaches a scheduler can have anything run by its workers. So a cluster on this machine listens on 127.0.0.1 and takes
only who holds certificates that were made for it; an address is taken by TLS, and without it only when that is said.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.memory import cpu_memory_mb
from ClamSegLib.system.progress import Reporter

# Two tries: the death of a worker costs its case a retry; the next one names it.
_ALLOWED_FAILURES = 1
# What a chest CT of 400 slices takes at most, with model and libraries.
_WORKER_MB = 6000
_CONNECT_S, _FIRST_WORKER_S = 15, 60
_KINDS = ("slurm", "pbs", "sge", "lsf", "htcondor", "oar", "moab", "local")
_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True)
class ClusterRequest:
    """What `--cluster` and its options ask for.

    Attributes:
        where: 'local', an address, or a file for dask-jobqueue.
        workers: how many of a local cluster; 0 by processors, memory and GPUs.
        threads: of each worker; 0 for its share of the processors.
        insecure: take a scheduler without TLS.
        certificates: folder with ca.pem, cert.pem and key.pem; None for those of Dask's own configuration.
        gpu: whether a worker takes a GPU where its machine has any.
        one_device: whether a single device was named, which takes one case at a time.
    """

    where: str
    workers: int = 0
    threads: int = 0
    insecure: bool = False
    certificates: Path | None = None
    gpu: bool = False
    one_device: bool = False


@dataclass(frozen=True)
class OpenCluster:
    """A cluster that takes tasks: the client, and the threads of each worker."""

    client: Any
    threads: int


def check_request(request: ClusterRequest) -> None:
    """Refuses what cannot be, before a model is loaded.

    Raises:
        InputError: said with what is allowed.
    """
    if not all(map(importlib.util.find_spec, ("dask", "distributed"))):
        raise InputError(
            "--cluster needs Dask; install it with pip install 'clamseg[archive]', or leave the option out."
        )
    if request.workers < 0:
        raise InputError(f"--workers {request.workers} must be 0 (as many as fit) or larger.")
    where = request.where
    if where == "local":
        return
    if where.startswith("tcp://") and not request.insecure:
        raise InputError(
            f"{where} is not encrypted, and whoever reaches it can run programs on its workers; start the scheduler with TLS and name tls://..., "
            "or pass --insecure-cluster."
        )
    if re.match(r"(tls|tcp)://[^/\s]+:\d+$", where):
        return
    if "://" in where or Path(where).suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"--cluster {where} is unknown; allowed are local, tls://HOST:PORT, or a file jobqueue.yaml.")
    if not Path(where).is_file():
        raise InputError(f"--cluster {where}: there is no such file.")


@contextmanager
def open_cluster(request: ClusterRequest, reporter: Reporter) -> Iterator[OpenCluster]:
    """A cluster of a request, closed when the block ends; one at an address is left as it is.

    Raises:
        InputError: it is not reached, has no workers, or its file cannot be read.
    """
    import dask
    import distributed  # noqa: F401 - before its settings are changed: what stands then is what is put back

    # Deaths of workers are told as the cases they cost.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_settings()))
        if request.where == "local":
            opened = stack.enter_context(_local(request))
        elif "://" in request.where:
            opened = stack.enter_context(_at_address(request))
        else:
            opened = stack.enter_context(_queued(request, reporter))
        link = opened.client.dashboard_link
        if (
            link and "://" not in request.where
        ):  # Dask names the scheduler's address, the dashboard listens on this machine only
            link = re.sub(r"//[^/]*:", "//127.0.0.1:", link)
        if link:
            reporter.note(f"dashboard: {link}")
        yield opened


def _settings() -> dict[str, Any]:
    return {
        "distributed.scheduler.allowed-failures": _ALLOWED_FAILURES,
        # A case waits at the scheduler, not at a worker that may die under the one before it.
        "distributed.scheduler.worker-saturation": 1.0,
        # A resident model is no memory to be spilled: a worker that pauses for it would stand still for good.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.admin.log-length": 0,
    }


def local_workers(request: ClusterRequest) -> int:
    """How many workers a cluster on this machine has: as asked, one for each GPU, or as many as processors and memory take."""
    if request.workers:
        return request.workers
    if request.one_device:
        return 1
    if request.gpu:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.device_count()
    free_mb, _ = cpu_memory_mb()
    return max(1, min(processors(), (free_mb or _WORKER_MB) // _WORKER_MB))


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(workers: int) -> int:
    """Threads of each of so many workers on this machine; OMP_NUM_THREADS bounds them, as it does in one process."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, processors() // workers)
    return min(share, int(named)) if named.isdigit() and int(named) else share


@contextmanager
def _local(request: ClusterRequest) -> Iterator[OpenCluster]:
    from distributed import Client, LocalCluster

    count = local_workers(request)
    _, total_mb = cpu_memory_mb()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="clamseg-dask-", ignore_cleanup_errors=True))
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                memory_limit=(total_mb or 0) * 2**20 // count,
                local_directory=folder,
                silence_logs=logging.CRITICAL,
                security=_new_certificates(),
            )
        )
        client = stack.enter_context(Client(cluster))
        yield OpenCluster(client, request.threads or _threads(count))


def _new_certificates() -> Any:
    """Certificates that are made for this cluster and lie in memory only.

    Raises:
        InputError: cryptography is missing.
    """
    from distributed.security import Security

    try:
        return Security.temporary()
    except ImportError as error:
        raise InputError("--cluster needs cryptography; install it with pip install 'clamseg[archive]'.") from error


@contextmanager
def _at_address(request: ClusterRequest) -> Iterator[OpenCluster]:
    from distributed import Client

    try:
        client = Client(request.where, timeout=_CONNECT_S, security=_given_certificates(request))
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"The scheduler {request.where} is not reached ({why}); look whether it runs there, and by its log."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
        except TimeoutError:
            raise InputError(
                f"The scheduler {request.where} has no workers; start some with: dask worker {request.where} --nthreads 1"
            ) from None
        hosts = [told["host"] for told in client.scheduler_info(n_workers=-1)["workers"].values()]
        most = max(hosts.count(host) for host in hosts)
        yield OpenCluster(client, request.threads or _threads(most))


def _given_certificates(request: ClusterRequest) -> Any:
    """The certificates of a scheduler by TLS; None where Dask's own configuration names them.

    Raises:
        InputError: there are none.
    """
    import dask
    from distributed.security import Security

    if request.where.startswith("tcp://"):
        return None
    if request.certificates is None:
        if dask.config.get("distributed.comm.tls.ca-file", None) and dask.config.get(
            "distributed.comm.tls.client.cert", None
        ):
            return None
        raise InputError(
            f"{request.where} needs certificates: a folder with {', '.join(_CERTIFICATES)} named by --cluster-certificates, or "
            "distributed.comm.tls in Dask's configuration."
        )
    ca, certificate, key = (request.certificates / name for name in _CERTIFICATES)
    missing = [path.name for path in (ca, certificate, key) if not path.is_file()]
    if missing:
        raise InputError(
            f"{request.certificates} lacks {', '.join(missing)}; it has to hold {', '.join(_CERTIFICATES)}."
        )
    return Security(
        tls_ca_file=str(ca), tls_client_cert=str(certificate), tls_client_key=str(key), require_encryption=True
    )


@contextmanager
def _queued(request: ClusterRequest, reporter: Reporter) -> Iterator[OpenCluster]:
    from distributed import Client

    from ClamSegLib.cluster.job_queue import open_queue, read_queue

    queue = read_queue(Path(request.where), _KINDS)
    with ExitStack() as stack:
        cluster = stack.enter_context(open_queue(queue, request.insecure, _new_certificates))
        client = stack.enter_context(Client(cluster))
        reporter.note(f"{queue.jobs} jobs were given to the queue; cases begin with the first worker")
        client.wait_for_workers(1)
        yield OpenCluster(client, request.threads or queue.threads)


class ClusterError(ClamSegError):
    """The cluster was lost on the way; what is finished stays (exit code 1)."""
