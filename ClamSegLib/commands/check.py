"""`clamseg check DATA`: the dataset doctor."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.commands.cluster_options import add_cluster_options, cluster_of
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.datasets.examination import Examination

NAME = "check"
HELP = "examine a labelled folder before training: counts, leaks, shortcuts, unreadable files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("data", type=Path, help="labelled folder")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--normal-class", help="name of the class without disease")
    parser.add_argument("--corrections", type=Path, metavar="FOLDER", help="together with corrections saved there")
    add_cluster_options(parser.add_argument_group("many images"))


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Prints the findings; 0, or 2 where training would be refused."""
    from ClamSegLib.datasets.check_dataset import examine
    from ClamSegLib.datasets.labelled_folder import add_corrections, read_labelled_folder

    request = cluster_of(arguments)
    folder = read_labelled_folder(arguments.data, normal_class=arguments.normal_class, both_classes=False)
    if arguments.corrections:
        folder = add_corrections(folder, arguments.corrections)
    if request is None:
        found = examine(folder, reporter)
    else:
        from ClamSegLib.cluster.open_cluster import open_cluster
        from ClamSegLib.datasets.check_on_cluster import OnCluster

        with open_cluster(request, reporter) as opened:
            found = examine(folder, reporter, OnCluster(opened))
    sys.stdout.write(json.dumps(found.to_json()) + "\n" if arguments.json else _table(found))
    return 2 if found.refused else 0


def _table(found: Examination) -> str:
    lines = [f"{found.folder}: {', '.join(found.classes)}"]
    for split, counts in found.counts.items():
        lines.append(f"  {split}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    width = max(len(f.check) for f in found.findings)
    for finding in found.findings:
        lines.append(f"{finding.severity:<8} {finding.check:<{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.advice}")
    return "\n".join(lines) + "\n"
