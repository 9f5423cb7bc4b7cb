"""`clamseg worker`: the inference process behind the panel; the protocol stands in ClamSegLib/commands/worker.py."""

from __future__ import annotations

import argparse
import sys

from ClamSegLib.system.progress import Reporter

NAME = "worker"
HELP = "answer JSON requests on standard input, for programs such as the Slicer panel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `worker`."""
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    parser.add_argument("--parent", type=int, default=0, metavar="PID", help="end when this process is gone")


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Answers until told to end; exit code 0."""
    from ClamSegLib.commands.worker import Worker, claim_stdout

    answers = claim_stdout()
    if arguments.parent:
        from ClamSegLib.system.process import end_with

        end_with(arguments.parent)
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    return Worker(sys.stdin, answers).run()
