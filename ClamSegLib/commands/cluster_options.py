"""Options of a verb whose work can be spread over a cluster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ClamSegLib.system.errors import InputError

if TYPE_CHECKING:
    from ClamSegLib.cluster.open_cluster import ClusterRequest


def add_cluster_options(group: Any) -> None:
    """The options, for a parser or a group of one."""
    group.add_argument(
        "--cluster", metavar="WHERE", help="spread the cases with Dask: local, tls://HOST:PORT, or a jobqueue.yaml"
    )
    group.add_argument("--workers", type=int, default=0, help="of a local cluster (0: as many as fit)")
    group.add_argument(
        "--cluster-certificates", type=Path, metavar="FOLDER", help="ca.pem, cert.pem, key.pem of tls://"
    )
    group.add_argument("--insecure-cluster", action="store_true", help="take a cluster without TLS")


def cluster_of(arguments: argparse.Namespace) -> ClusterRequest | None:
    """What was asked for of a cluster; None where none was. A verb without `--device` computes on the processor.

    Raises:
        InputError: it cannot be.
    """
    from ClamSegLib.cluster.open_cluster import ClusterRequest, check_request

    if arguments.cluster is None:
        if arguments.workers or arguments.insecure_cluster or arguments.cluster_certificates:
            raise InputError(
                "--workers, --insecure-cluster and --cluster-certificates belong to --cluster; name one, e.g. --cluster local."
            )
        return None
    device = getattr(arguments, "device", "cpu")
    request = ClusterRequest(
        arguments.cluster,
        arguments.workers,
        getattr(arguments, "threads", 0),
        arguments.insecure_cluster,
        arguments.cluster_certificates,
        gpu=device in ("auto", "cuda"),
        one_device=device.startswith("cuda:"),
    )
    check_request(request)
    return request
