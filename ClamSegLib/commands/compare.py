"""`clamseg compare SCAN RESULT SCAN RESULT`: which lesions are new, grown, gone since an earlier scan of the same patient."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.imaging.seg_nrrd import Segment
    from ClamSegLib.imaging.volume import Volume
    from ClamSegLib.segmentation.comparison import Comparison

NAME = "compare"
HELP = "compare two results of one patient: which lesions are new, grown, shrunk, gone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `compare`."""
    for words, which in (("before", "earlier"), ("now", "present")):
        parser.add_argument(f"{words}_scan", type=Path, help=f"the {which} scan")
        parser.add_argument(f"{words}_result", type=Path, help="its folder from `segment`, or a .seg.nrrd of a review")
    parser.add_argument("--output", type=Path, metavar="FILE.csv", help="also write the table here")
    parser.add_argument(
        "--same-percent", type=float, default=20.0, help="smaller changes in volume count as none (default: 20)"
    )


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Prints the table, and writes it where asked; exit code 0."""
    from ClamSegLib.segmentation.comparison import compare, write_comparison
    from ClamSegLib.system.atomic_output import whole_file
    from ClamSegLib.system.errors import InputError

    if not 0 <= arguments.same_percent < 1000:
        raise InputError(f"--same-percent {arguments.same_percent:g} must be from 0 to below 1000.")
    output = arguments.output
    if output is not None and output.suffix.lower() != ".csv":
        raise InputError(f"--output {output} must end in .csv.")
    if output is not None and (output.exists() or output.is_symlink()):
        raise InputError(f"{output} exists and is not replaced; choose another name, or remove it.")
    before, old = _result(arguments.before_scan, arguments.before_result)
    now, new = _result(arguments.now_scan, arguments.now_result)
    found = compare(before, old, now, new, arguments.same_percent)
    for warning in found.warnings:
        reporter.warning(warning)
    if output is not None:
        with whole_file(output) as part:
            write_comparison(part, found)
    sys.stdout.write(_table(found))
    return 0


def _result(scan: Path, result: Path) -> tuple[Volume, list[Segment]]:
    """A scan and what stands in its result; paths of a result only say where the masks lie.

    Raises:
        InputError: unreadable, or masks of another scan.
    """
    from ClamSegLib.imaging.read_write import read_volume
    from ClamSegLib.imaging.seg_nrrd import read_segmentation
    from ClamSegLib.segmentation.report import SEGMENTATION

    volume = read_volume(scan)
    return volume, read_segmentation(result / SEGMENTATION if result.is_dir() else result, volume)


def _table(found: Comparison) -> str:
    aligned = found.alignment
    lines = [
        f"aligned: turned by {aligned.turned_deg:.1f} degrees, moved by {aligned.moved_mm:.1f} mm, correlation {aligned.likeness:.2f}"
    ]
    for lesion in found.lesions:
        percent = "" if lesion.change_percent is None else f" ({lesion.change_percent:+.0f} %)"
        numbers = " -> ".join("+".join(map(str, each)) or "none" for each in (lesion.before, lesion.now))
        lines.append(
            f"{lesion.change.value:<7} {lesion.condition}, lesion {numbers}: {lesion.before_ml:.2f} ml to {lesion.now_ml:.2f} ml, "
            f"{lesion.change_ml:+.2f} ml{percent}"
        )
    return "\n".join(lines if found.lesions else [*lines, "no lesion in either result"]) + "\n"
