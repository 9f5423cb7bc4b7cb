"""`clamseg evaluate DATA --model M --output DIR`: figures against outlines, boxes or labels, beside baselines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ClamSegLib.commands.cluster_options import add_cluster_options, cluster_of
from ClamSegLib.commands.licence_question import add_licence_option, find_confirmed_model
from ClamSegLib.system.device import take_threads
from ClamSegLib.system.progress import Reporter

NAME = "evaluate"
HELP = "measure a model on a labelled folder, with intervals and baselines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    parser.add_argument("data", type=Path, help="labelled folder")
    parser.add_argument("--model", required=True, help="name from `models`, or a model folder")
    parser.add_argument("--compare", nargs="*", default=[], help="more models for the same table")
    parser.add_argument("--output", type=Path, required=True, help="folder for metrics.json, cases.csv, pictures")
    parser.add_argument("--split", default="", help="rows of this split only, e.g. dev")
    parser.add_argument("--baselines", action="store_true", help="add the best intensity threshold and Grad-CAM")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--level", type=int, help="1 to the model's depth (default: the model's)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument(
        "--slice-smoothing",
        action=argparse.BooleanOptionalAction,
        help="smooth the evidence over neighbouring slices (weights 1/4, 1/2, 1/4; default: as the model says)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--normal-class", help="name of the class without disease")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all cores)")
    parser.add_argument("--overwrite", action="store_true")
    add_cluster_options(parser.add_argument_group("many cases"))
    add_licence_option(parser)


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Evaluates and prints the table; exit code 0, or 1 where a case could not be judged."""
    from ClamSegLib.datasets.labelled_folder import read_labelled_folder
    from ClamSegLib.evaluation.evaluate import EVALUATION, evaluate
    from ClamSegLib.evaluation.judge import EvaluationOptions
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.system.atomic_output import refuse_existing

    take_threads(arguments.threads)
    request = cluster_of(arguments)
    refuse_existing(arguments.output, arguments.overwrite, EVALUATION)
    models = [
        load_model(find_confirmed_model(name, arguments, reporter)) for name in (arguments.model, *arguments.compare)
    ]
    folder = read_labelled_folder(arguments.data, normal_class=arguments.normal_class, both_classes=False)
    for warning in folder.warnings:
        reporter.warning(warning)
    options = EvaluationOptions(
        split=arguments.split,
        baselines=arguments.baselines,
        device=arguments.device,
        level=arguments.level,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        slice_smoothing=arguments.slice_smoothing,
    )
    given = (folder, models, options, arguments.output, reporter)
    if request is None:
        metrics = evaluate(*given, overwrite=arguments.overwrite)
    else:
        from ClamSegLib.cluster.open_cluster import open_cluster
        from ClamSegLib.evaluation.on_cluster import OnCluster

        with open_cluster(request, reporter) as opened:
            way = OnCluster(opened, models, options, request.gpu, reporter)
            metrics = evaluate(*given, overwrite=arguments.overwrite, way=way)
    sys.stdout.write(_table(metrics) + _worth(metrics) + _lost(metrics))
    reporter.done(folder=str(arguments.output))
    return 1 if metrics["not_judged"] else 0


def _lost(metrics: dict[str, Any]) -> str:
    """A line where rows are missing in the figures; '' where none is."""
    count = len(metrics["not_judged"])
    return (
        f"{count} of {metrics['rows']} rows were not judged and are in no figure; cases.csv says why\n" if count else ""
    )


def _worth(metrics: dict[str, Any]) -> str:
    """A line per model on how far its maps can be trusted; '' without outlines."""
    lines = []
    for name, told in metrics["reliability"].items():
        words = [f"{sign} {_text(told['organ'][sign]['error_auc'])}" for sign in told["organ"] if sign != "wrong"]
        lines.append(f"{name}: wrong pixels told (AUC) by {', by '.join(words)}")
        after = told["chance_by_image_labels"]
        if after is not None:
            before, then = told["chance_as_it_is"]["calibration_error"], after["calibration_error"]
            lines.append(f"{name}: calibration error {_text(before)}, by image labels {_text(then)}")
    return "".join(line + "\n" for line in lines)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        inner = _text(value.get("value"))
        interval = value.get("interval_95")
        return inner + (f" [{interval[0]:.2f} {interval[1]:.2f}]" if interval else "")
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(metrics: dict[str, Any]) -> str:
    table = metrics["table"]
    names = [name for name in table[0] if name != "name" and any(row.get(name) is not None for row in table)]
    lines = [f"{metrics['data']}, split {metrics['split']}: {metrics['rows']} rows, {metrics['patients']} patients"]
    columns = [["", *names]] + [[row["name"], *(_text(row.get(name)) for name in names)] for row in table]
    widths = [max(len(cell) for cell in column) for column in columns]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]
    return "\n".join(lines) + "\n"
