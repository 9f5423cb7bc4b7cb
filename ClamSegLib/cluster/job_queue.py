"""Workers as jobs of a queue (SLURM, PBS, ...), started by dask-jobqueue as a file says.

Tested with the queue `local`, which starts the same jobs on this machine. No run under SLURM or another queue has been seen.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ClamSegLib.model.config_json import from_json
from ClamSegLib.system.disk import private
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded

_CLASSES = {
    "slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster", "htcondor": "HTCondorCluster",
    "oar": "OARCluster", "moab": "MoabCluster", "local": "LocalCluster",
}  # fmt: skip
# Set by the run, or by keys of their own.
_NOT_OPTIONS = (
    "cores",
    "memory",
    "processes",
    "n_workers",
    "security",
    "protocol",
    "scheduler_options",
    "worker_extra_args",
)
# The workers' share of `cluster._settings`, which their own processes do not see otherwise.
_PROLOGUE = [
    "export DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=False",
    "export DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False",
    "export DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False",
]


@dataclass(frozen=True)
class JobQueue:
    """What a file for `--cluster` says.

    Attributes:
        queue: kind of the queue.
        jobs: that are asked for, each with one worker.
        cores: processors of a job.
        memory: of a job, e.g. 16GB.
        shared_folder: on a disk that all nodes see, for the certificates of the workers; not needed by `local`.
        options: further ones of the class of dask-jobqueue, e.g. queue, account, walltime, interface.
    """

    queue: str
    jobs: int
    cores: int = 1
    memory: str = "8GB"
    shared_folder: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return self.cores


def read_queue(path: Path, kinds: tuple[str, ...]) -> JobQueue:
    """The queue that a file describes.

    Raises:
        InputError: no YAML, unknown keys or values, or dask-jobqueue is missing.
    """
    try:
        import dask_jobqueue  # noqa: F401
        import yaml
    except ImportError as error:
        raise InputError("A queue needs dask-jobqueue; install it with pip install 'clamseg[archive]'.") from error
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no YAML file that can be read ({bounded(str(error))}).") from error
    if not isinstance(told, dict):
        raise InputError(f"{path} must hold keys: queue, jobs, and optionally cores, memory, shared_folder, options.")
    queue = from_json(JobQueue, told, str(path))
    if queue.queue not in kinds:
        raise InputError(f"{path} names the queue '{queue.queue}'; allowed are {', '.join(kinds)}.")
    if queue.jobs < 1 or queue.cores < 1:
        raise InputError(f"{path}: jobs and cores must be at least 1.")
    own = sorted(set(queue.options) & set(_NOT_OPTIONS))
    if own:
        raise InputError(
            f"{path} sets {', '.join(own)} under options; cores and memory are keys beside it, the others are set by the run."
        )
    return queue


@contextmanager
def open_queue(queue: JobQueue, insecure: bool, certificates: Callable[[], Any]) -> Iterator[Any]:
    """A cluster whose workers are jobs; they end with the block.

    Args:
        queue: of the file.
        insecure: without TLS.
        certificates: makes them.

    Raises:
        InputError: the queue does not take the options, or its programs are not here.
    """
    import dask_jobqueue

    is_here = queue.queue == "local"
    if not is_here and not insecure and not queue.shared_folder:
        raise InputError(
            "The workers' certificates need a folder that all nodes see: set shared_folder, or pass --insecure-cluster."
        )
    scheduler = {"dashboard_address": "127.0.0.1:0"} | ({"host": "127.0.0.1"} if is_here else {})
    with ExitStack() as stack:
        options = dict(queue.options)
        if not insecure:
            parent = queue.shared_folder or None
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="clamseg-dask-", dir=parent))
            options["security"] = _in_files(certificates(), Path(folder))
        if not is_here:
            options["job_script_prologue"] = [*_PROLOGUE, *options.get("job_script_prologue", [])]
        try:
            cluster = _local_class() if is_here else getattr(dask_jobqueue, _CLASSES[queue.queue])
            opened = stack.enter_context(
                cluster(
                    cores=queue.cores,
                    memory=queue.memory,
                    processes=1,
                    # One case at a time, which uses all processors of the job: the last word of the command line counts.
                    # A worker's own dashboard has no password.
                    worker_extra_args=["--nthreads", "1", "--dashboard-address", "127.0.0.1:0"],
                    scheduler_options=scheduler,
                    silence_logs=logging.CRITICAL,
                    **options,
                )
            )
            opened.scale(jobs=queue.jobs)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise InputError(
                f"The queue {queue.queue} does not take what its file says ({bounded(str(error))})."
            ) from error
        yield opened


def _in_files(certificates: Any, folder: Path) -> Any:
    """Certificates in files of a private folder, where the workers of other nodes find them."""
    from distributed.security import Security

    paths = {}
    for name, content in certificates.get_tls_config_for_role("worker").items():
        if name != "ciphers":
            paths[name] = folder / f"{name}.pem"
            private(paths[name])
            paths[name].write_text(content, encoding="ascii")
    roles = {
        f"tls_{role}_{name}": str(paths[name]) for role in ("scheduler", "worker", "client") for name in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=str(paths["ca_file"]), **roles)


def _local_class() -> Any:
    from dask_jobqueue.local import LocalCluster

    return LocalCluster
