"""The record in a case's folder: from which input, model and options its files were made, and what they were when written.

By it a later run tells a finished case from one that has to be done again, and from one that somebody has edited since.
It holds no path and no name of a patient.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ClamSegLib import __version__
from ClamSegLib.model.model_folder import CONFIG, read_config, sha256_of
from ClamSegLib.model.registry import find_model
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.report import RECORD, REPORT, STORED
from ClamSegLib.system.disk import exists
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.folder_kind import LARGEST_MANIFEST_BYTES

# How a result is computed, not what it is: a resumed run on another machine keeps what stands.
_NO_MATTER = ("device", "batch_size")
_SMALLEST = "minimum_area_px"
ABSENT, FINISHED, AGAIN, REFUSED = "absent", "finished", "again", "refused"


@dataclass(frozen=True)
class Standing:
    """What stands in the folder of a case.

    Attributes:
        state: ABSENT, FINISHED (keep it), AGAIN (changed or half-written: replace it) or REFUSED (not to be replaced).
        reason: of the last two, in words.
    """

    state: str
    reason: str = ""


def settings_of(
    segment: SegmentOptions, model: Path, series: str | None, dicom_seg: bool, dicom_sr: bool, organ: str = ""
) -> dict[str, Any]:
    """The options that decide what a result is, for the record.

    Args:
        segment: of the run.
        model: folder of the model, whose rule for the smallest mark holds where none is given.
        series: of a DICOM folder, where one was named.
        dicom_seg: whether a DICOM SEG is written.
        dicom_sr: whether a DICOM SR is.
        organ: of this case in place of that of the run; '' for none of its own.
    """
    told = {name: value for name, value in dataclasses.asdict(segment).items() if name not in _NO_MATTER}
    if segment.minimum_area_px is None:
        # What a version takes for a model that says nothing may change.
        told[_SMALLEST] = f"{_network_pixels(model, sha256_of(model / CONFIG)):g} of the network"
    told["organ"] = organ or segment.organ
    named = Path(told["organ"])
    if named.is_file():  # a mask is what it holds, wherever it lies
        told["organ"] = f"mask {sha256_of(named)}"
    return told | {"series": series, "dicom_seg": dicom_seg, "dicom_sr": dicom_sr}


@lru_cache(maxsize=64)
def _network_pixels(model: Path, _config_sha256: str) -> float:
    """Read again only where the configuration has changed: every case asks."""
    return read_config(model).minimum_network_pixels


def model_of(folder: Path, organ: str) -> dict[str, str]:
    """What identifies a model, for the record; its configuration names the hash of its weights.

    Args:
        folder: of the model.
        organ: the organ request, which may name a model of its own.
    """
    told = {"name": folder.name, "config_sha256": sha256_of(folder / CONFIG)}
    method = organ
    if organ == "auto":
        method = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("organ", {}).get("method", "")
    if str(method).startswith("model:"):
        told["organ_config_sha256"] = sha256_of(find_model(str(method).removeprefix("model:")) / CONFIG)
    return told


def write_record(
    folder: Path, case_input: Mapping[str, Any], model: Mapping[str, str], options: Mapping[str, Any]
) -> None:
    """Writes the record into a folder whose other files stand, as the last of them."""
    files = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in sorted(folder.iterdir())}
    told = {"clamseg": __version__, "model": dict(model), "input": dict(case_input), "options": dict(options)}
    (folder / RECORD).write_text(json.dumps(told | {"files": files}, indent=1), encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a folder; None where there is none, or a damaged one."""
    path = folder / RECORD
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST_MANIFEST_BYTES:
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(told[key], dict) for key in ("model", "input", "options", "files")):
            return dict(told)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def standing(
    folder: Path, case_input: Mapping[str, Any], model: Mapping[str, str], options: Mapping[str, Any]
) -> Standing:
    """What stands in a case's folder, compared with what would be made now.

    A file that is missing or empty was half-written, or lost: the case is done again. A file that is another one than was
    written is somebody's work: the case stays as it is, and is refused where it would have to be done again.

    Args:
        folder: of the case.
        case_input: `case_input.fingerprint` of the input as it is now.
        model: of `model_of`.
        options: of `settings_of`.
    """
    if not exists(folder) or not any(folder.iterdir()):
        return Standing(ABSENT)
    record = read_record(folder)
    if record is None:
        return Standing(
            REFUSED,
            f"{folder} exists and holds no {RECORD}, so nobody knows what it was made from; choose another output or pass "
            "--overwrite to replace it.",
        )
    lost = [name for name, written in record["files"].items() if _is_lost(folder / Path(name).name, written["bytes"])]
    written_by = record["options"]
    if _SMALLEST not in written_by:
        written_by = written_by | {_SMALLEST: _smallest_of(folder, options[_SMALLEST])}
    others = sorted(name for name in {*options, *written_by} if options.get(name) != written_by.get(name))
    changed = [
        words
        for words, same in (
            ("the input", dict(case_input) == record["input"]),
            ("the model", dict(model) == record["model"]),
            (f"the options ({', '.join(others)})", not others),
        )
        if not same
    ]
    if not changed and not lost:
        return Standing(FINISHED)
    edited = [name for name, written in record["files"].items() if _is_edited(folder / Path(name).name, written)]
    if edited:
        return Standing(
            REFUSED,
            f"{folder}: {', '.join(edited)} {'was' if len(edited) == 1 else 'were'} changed after ClamSeg had written the case, so it is "
            "not done again; move the folder away, or pass --overwrite to replace it.",
        )
    if changed:
        return Standing(AGAIN, f"{' and '.join(changed)} changed")
    return Standing(AGAIN, f"half-written: {', '.join(lost)} missing or empty")


def _smallest_of(folder: Path, now: Any) -> Any:
    """The rule for the smallest mark that a case was made by whose record does not name it.

    Records named it only where it was given, and before there was one, never. It matters where no ml are known; such a
    case was made by the model's rule if its report tells the limit, else by none.
    """
    try:
        report = report_in(folder)
        search = report.get("search", {})
        if report["geometry"]["spacing_known"] and search.get("share") is None:
            return now
        of_model = now if isinstance(now, str) else "of the network"  # a number was given now, and was not then
        return of_model if "smallest_px" in search else "none"
    except (InputError, KeyError, TypeError, AttributeError):
        return "none"


def _is_lost(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == 0 < size
    except OSError:
        return True


def _is_edited(path: Path, written: Mapping[str, Any]) -> bool:
    """Whether a file that is there is another one than was written; its hash is taken only before it would be replaced."""
    if _is_lost(path, written["bytes"]):
        return False
    return bool(path.stat().st_size != written["bytes"] or sha256_of(path) != written["sha256"])


def report_in(folder: Path) -> dict[str, Any]:
    """The report of a finished case.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return dict(json.loads((folder / REPORT).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / REPORT} cannot be read; run again with --resume.") from error


def stored_in(folder: Path) -> dict[str, Any] | None:
    """Where the segmentation of a case was stored; None where it was not."""
    try:
        return dict(json.loads((folder / STORED).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
