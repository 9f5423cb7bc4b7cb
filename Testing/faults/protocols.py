"""The worker's protocol under bad requests: half lines, wrong types, many at once, a client that leaves, an output without room.

Every request gets one answer in one line of JSON, and the worker goes on or ends with 0.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from disk import fill, remount, small_disk
from materials import hidden, model, scan
from trial import Trial

VALUES = (None, True, 3, -1.5, "", "x" * 9000, [], ["a"], {}, {"a": 1}, "\0", "nan", "../..", "\x1b[2J")
REQUESTS: dict[str, dict[str, Any]] = {
    "read": {"input": "scan.nrrd", "output": "out", "series": None},
    "inspect": {"input": "scan.nrrd", "model": "nowhere", "options": {}},
    "segment": {
        "input": "scan.nrrd",
        "model": "nowhere",
        "output": "out",
        "options": {},
        "accepted": [],
        "overwrite": False,
    },
    "dicom_seg": {"segmentation": "scan.nrrd", "input": "scan.nrrd", "output": "x.dcm", "model": "m"},
    "dicom_sr": {
        "labels": "scan.nrrd",
        "lesions": [{}],
        "found_by": {},
        "input": "scan.nrrd",
        "output": "x.dcm",
        "segmentation": "y.dcm",
    },
    "try_engine": {"engine": "torch", "model": "nowhere"},
}
HALVES = (
    "{",
    '{"id": 1, "command": "rea',
    "[]",
    "3",
    '"read"',
    "\0\0",
    "{}" * 3,
    "[" * 3000,
    '{"id": 1e999}',
    '{"command": NaN}',
)


def trials(seed: int) -> list[Trial]:
    """The trials of the protocol; the seed chooses the wrong values and where messages end."""
    attempts: dict[str, Callable[[Path], str]] = {
        "half messages and lines that are no request": lambda folder: _answered(folder, list(HALVES)),
        "fields of wrong types": lambda folder: _answered(folder, _wrong(random.Random(seed))),
        "100 requests at once": _many,
        "a client that leaves in the middle of a line": lambda folder: _left(folder, random.Random(seed)),
        "an output folder that is a file": lambda folder: _answered(folder, [_line("read", 1, output="scan.nrrd")]),
        "options of wrong types": lambda folder: _answered(folder, _wrong_options(random.Random(seed))),
        "a client that listens no more": _deaf,
        "a client that leaves while a scan is segmented": lambda folder: _gone(folder, random.Random(seed)),
        "a disk that fills in between": lambda folder: _filled(folder, random.Random(seed)),
    }
    return [Trial("protocols", name, attempt) for name, attempt in attempts.items()]


def _line(command: str, number: int, **values: Any) -> str:
    return json.dumps({"id": number, "command": command, **REQUESTS[command], **values})


def _wrong(seeded: random.Random) -> list[str]:
    """One wrong value in each field of each request."""
    return [
        _line(command, number, **{name: seeded.choice(VALUES)})
        for number, (command, name) in enumerate((c, n) for c, fields in REQUESTS.items() for n in fields)
    ]


def _wrong_options(seeded: random.Random) -> list[str]:
    """One wrong value in each option of a request for a model that is there."""
    options = (
        "device",
        "level",
        "engine",
        "organ",
        "threshold",
        "minimum_volume_ml",
        "minimum_area_px",
        "batch_size",
        "slice_smoothing",
        "threads",
    )
    return [
        _line(
            "segment",
            number,
            model=str(model()),
            options={"device": "cpu", name: seeded.choice(VALUES[1:])},
            output=f"out{number}",
        )
        for number, name in enumerate(options)
    ]


def _started(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    shutil.copyfile(scan(), folder / "scan.nrrd")
    return subprocess.Popen(
        [sys.executable, "-m", "ClamSegLib", "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, env=environment,
        stderr=(folder / "errors.txt").open("wb"),
    )  # fmt: skip


def _ask(worker: subprocess.Popen[bytes], line: str) -> dict[str, Any]:
    """The last word on a request; {} where the worker ended."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(line.encode() + b"\n")
    worker.stdin.flush()
    for answer in worker.stdout:
        event: dict[str, Any] = json.loads(answer)
        if event["event"] in ("done", "error"):
            return event
    return {}


def _segment(output: str) -> str:
    options = {"device": "cpu", "engine": "reference"}
    return _line("segment", 1, model=str(model()), options=options, output=output)


def _ended(worker: subprocess.Popen[bytes], folder: Path) -> str:
    """'' where it ends by itself, without a traceback."""
    try:
        code = worker.wait(120)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
        return "it runs on although nobody listens"
    words = (folder / "errors.txt").read_text(errors="replace")
    return f"it ended with {code}: {words[-200:]}" if code not in (0, 1) or "Traceback" in words else ""


def _deaf(folder: Path) -> str:
    worker = _started(folder)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdout.readline()
    worker.stdout.close()
    with suppress(BrokenPipeError):
        for number in range(20):
            worker.stdin.write(f"{_line('read', number)}\n".encode())
            worker.stdin.flush()
        worker.stdin.close()
    return _ended(worker, folder)


def _gone(folder: Path, seeded: random.Random) -> str:
    worker = _started(folder)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{_segment('out/case')}\n".encode())
    worker.stdin.flush()
    for _ in range(seeded.randrange(2, 8)):
        worker.stdout.readline()
    worker.stdin.close()
    worker.stdout.close()
    said = _ended(worker, folder)
    left = [name for name in hidden(folder) if name]
    whole = not (folder / "out" / "case").exists() or (folder / "out" / "case" / "report.json").is_file()
    return said or (f"left behind: {left}" if left else "") or ("" if whole else "half a result is there")


def _filled(folder: Path, seeded: random.Random) -> str:
    with small_disk(folder, 16_384) as disk:
        worker = _started(folder)
        try:
            steps = (("read", _line("read", 1, output=str(disk / "read"))), ("segment", _segment(str(disk / "first"))))
            for name, line in steps:
                if (end := _ask(worker, line)).get("event") != "done":
                    return f"{name} with room failed: {end}"
            fill(disk, seeded.randrange(0, 16_000, 4096))
            for name, line in (steps[0], ("segment", _segment(str(disk / "second")))):
                end = _ask(worker, line)
                if end.get("event") != "error" or "No space left" not in str(end.get("message")):
                    return f"{name} without room: {end}"
            if hidden(disk) or (disk / "second").exists():
                return f"left behind: {hidden(disk)}"
            remount(disk, "size=64m")
            if (end := _ask(worker, _segment(str(disk / "second")))).get("event") != "done":
                return f"with room again: {end}"
        finally:
            assert worker.stdin is not None
            with suppress(OSError):
                worker.stdin.close()
        return _ended(worker, folder)


def _run(folder: Path, text: str) -> tuple[int, list[str]]:
    """What a worker answers to this text, until it has read it all."""
    sitk.WriteImage(
        sitk.GetImageFromArray(np.arange(4 * 20 * 20, dtype=np.int16).reshape(4, 20, 20)), str(folder / "scan.nrrd")
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "CLAMSEG_MODELS": str(folder / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "ClamSegLib", "worker"], input=text.encode(), capture_output=True, check=False, cwd=folder,
        env=environment, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout.decode().splitlines()


def _ends(code: int, lines: list[str]) -> tuple[str, list[dict[str, Any]]]:
    try:
        answers = [json.loads(line) for line in lines]
    except ValueError:
        return "a line of standard output is no JSON", []
    internal = [a["message"] for a in answers if "Internal error" in str(a.get("message"))]
    if code or internal:
        return f"it ended with {code}, or in {internal[:1]}", []
    return "", [answer for answer in answers if answer["event"] in ("done", "error")]


def _answered(folder: Path, lines: list[str]) -> str:
    said, answers = _ends(*_run(folder, "\n".join([*lines, _line("read", 999)]) + "\n"))
    if said:
        return said
    if len(answers) != len(lines) + 1:
        return f"{len(lines) + 1} requests had {len(answers)} answers"
    return "" if answers[-1]["event"] == "done" else "a right request after them was refused"


def _many(folder: Path) -> str:
    said, answers = _ends(*_run(folder, "".join(f"{_line('read', number)}\n" for number in range(100))))
    return said or (
        ""
        if [a["id"] for a in answers if a["event"] == "done"] == list(range(100))
        else "not all were answered in order"
    )


def _left(folder: Path, seeded: random.Random) -> str:
    whole = _line("read", 1)
    said, answers = _ends(*_run(folder, f"{whole}\n{whole[: seeded.randrange(1, len(whole) - 1)]}"))
    return said or (
        "" if [a["event"] for a in answers] == ["done", "error"] else "the half line was taken for a request"
    )
