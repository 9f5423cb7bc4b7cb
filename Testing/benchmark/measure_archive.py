"""Many cases: as today and on 1 and 2 local workers, the cost of scheduling alone, and the plug pulled again and again.

    OMP_NUM_THREADS=1 python Testing/benchmark/measure_archive.py --seed 1
    OMP_NUM_THREADS=1 python Testing/benchmark/measure_archive.py --seed 1 --only pulls

Prints JSON. `batches`: cases per second after the first tenth of the cases; the share of a case's time that is none of its
own steps (of report.json); memory of a worker after a tenth of the cases and at the end. `flushes`: how long the disk takes.
`scheduling`: tasks that do nothing, through the same client. `pulls`: kill -9 of the client or of a worker at random times, each
followed by --resume; at the end every case is looked at.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "Testing" / "library")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
LOST = "segmentation.seg.nrrd"
# Python reads this at its start, in workers too.
WITHOUT_PICTURES = "from ClamSegLib.system import installation\ninstallation.drawing_problem = lambda: 'not drawn'\n"


def make_scans(folder: Path, count: int, shape: tuple[int, int, int]) -> None:
    """Noise with a bright block, int16."""
    from ClamSegLib.imaging.read_write import write_volume
    from ClamSegLib.imaging.volume import Volume

    folder.mkdir()
    for number in range(count):
        array = np.random.default_rng(number).normal(200, 40, shape).astype(np.int16)
        array[1:3, 20:40, 20:40] += 400
        write_volume(array, Volume(array, (1.0, 1.0, 3.0)), folder / f"s{number:04d}.nrrd")


def command(scans: Path, model: Path, output: Path, *more: str) -> list[str]:
    """Of a run on the CPU that a later one may take up."""
    words = ["segment", str(scans), "--model", str(model), "--output", str(output), "--device", "cpu", "--resume"]
    return [sys.executable, "-m", "ClamSegLib", *words, "--progress", "none", *more]


def workers_of(pid: int) -> list[psutil.Process]:
    """The worker processes of a client: those of its children that have loaded torch."""
    try:
        children = psutil.Process(pid).children(recursive=True)
        return [c for c in children if "spawn_main" in " ".join(c.cmdline())]
    except psutil.Error:
        return []


def batch(scans: Path, model: Path, output: Path, count: int, *more: str) -> dict[str, object]:
    """Figures of one run."""
    memory: dict[int, list[tuple[int, float]]] = {}
    process = subprocess.Popen(command(scans, model, output, *more), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while process.poll() is None:
        done = len(list(output.glob("*/report.json")))
        watched = workers_of(process.pid) if more else [psutil.Process(process.pid)]
        for worker in watched:
            try:
                memory.setdefault(worker.pid, []).append((done, worker.memory_info().rss / 2**20))
            except psutil.Error:
                continue
        time.sleep(1.0)
    assert process.returncode == 0, "a run of whole scans ended with an error"
    # Without the first tenth, in which workers load libraries and models: those would count as steps and not as time.
    reports = sorted(output.glob("*/report.json"), key=lambda path: path.stat().st_mtime)[count // 10 :]
    own = [sum(json.loads(path.read_text())["seconds"].values()) for path in reports[1:]]
    period_s = (reports[-1].stat().st_mtime - reports[0].stat().st_mtime) / (len(reports) - 1)
    workers = int(more[-1]) if more else 1
    busy_ms = 1e3 * period_s * workers
    told = {
        "seconds_from_start_to_end": round(time.monotonic() - began, 1),
        "cases_per_second": round(1 / period_s, 2),
        "own_seconds_of_a_case": round(float(np.mean(own)), 3),
        "milliseconds_beside_its_steps": round(busy_ms - 1e3 * float(np.mean(own)), 1),
        "share_of_overhead": round(1 - 1e3 * float(np.mean(own)) / busy_ms, 3),
        "memory_mb": {},
    }
    for pid, seen in memory.items():
        early = [mb for done, mb in seen if count // 10 <= done <= count // 5]
        late = [mb for done, mb in seen if done >= count - count // 10]
        if early and late and max(late) > 150:
            told["memory_mb"][str(pid)] = [round(float(np.median(early))), round(float(np.median(late)))]
    return told


def nothing(_case: str, _run: str) -> str:
    """A task that does nothing."""
    return '{"state": "done", "words": ""}'


def scheduling(count: int) -> dict[str, float]:
    """Seconds of tasks that do nothing, on two workers, by TLS."""
    from ClamSegLib.archive.case import Case, FileSource
    from ClamSegLib.cluster.open_cluster import ClusterRequest, open_cluster
    from ClamSegLib.cluster.tasks import Piece, Work, spread
    from ClamSegLib.system.progress import Reporter

    cases = [Case(f"c{n}", Path(f"c{n}"), FileSource(Path(f"scans/c{n}.nii.gz")), Path("m")) for n in range(count)]
    pieces = [Piece(case.name, json.dumps(case.to_json() | {"again": False})) for case in cases]
    ended: list[str] = []
    with open_cluster(ClusterRequest("local", workers=2), Reporter()) as opened:
        began, processor = time.monotonic(), time.process_time()
        work = Work(nothing, told={"words": "x" * 1500})
        spread(pieces, work, opened, Reporter(), lambda _place, outcome, _told: ended.append(outcome.case))
        took, processor = time.monotonic() - began, time.process_time() - processor
    assert sorted(ended) == sorted(case.name for case in cases)
    return {
        "tasks": count, "seconds": round(took, 1), "ms_a_task": round(1e3 * took / count, 2),
        "processor_ms_a_task_of_client_and_scheduler": round(1e3 * processor / count, 2),
        "shortest_case_that_keeps_100_workers_busy_s": round(100 * took / count, 2),
    }  # fmt: skip


def flushes(folder: Path, times: int) -> dict[str, float]:
    """Median milliseconds until the files of a small case and their folder lie on the disk: one by one, and as results are flushed."""
    from ClamSegLib.system import disk

    took: dict[str, list[float]] = {"one_by_one": [], "together": []}
    for number in range(times):
        for name, seconds in took.items():
            case = folder / f"{name}-{number}"
            case.mkdir(parents=True)
            for place, size in enumerate((60_000, 30_000, 5_000, 1_200, 300)):
                (case / str(place)).write_bytes(os.urandom(size))
            began = time.perf_counter()
            if name == "together":
                disk.flush(case)
            else:
                for path in (*case.iterdir(), case):
                    disk.flush(path, deep=False)
            seconds.append(time.perf_counter() - began)
    return {name: round(1e3 * float(np.median(seconds)), 1) for name, seconds in took.items()}


def finished(output: Path) -> int:
    """Cases that have the file which half of them lose."""
    return len(list(output.glob(f"*/{LOST}")))


def pulls(scans: Path, model: Path, output: Path, count: int, times: int, chance: random.Random) -> dict[str, object]:
    """Kills the client or a worker at random times, goes on with --resume, and looks at every case at the end."""
    killed = {"client": 0, "worker": 0}
    process = None
    more = ("--cluster", "local", "--workers", "2")
    while sum(killed.values()) < times:
        if process is None or process.poll() is not None:
            process = subprocess.Popen(command(scans, model, output, *more), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        before, began = finished(output), time.monotonic()
        if before == count:  # all were finished: some go again, so that there is something to kill
            process.wait()
            for folder in sorted(output.glob("s*"))[::2]:
                (folder / LOST).unlink()
            continue
        wait = chance.uniform(0.1, 6.0)
        while process.poll() is None and time.monotonic() - began < 60 and not workers_of(process.pid):
            time.sleep(0.05)
        while process.poll() is None and time.monotonic() - began < 30 and finished(output) == before:
            time.sleep(0.05)
        time.sleep(wait)
        if process.poll() is not None:
            continue
        workers = workers_of(process.pid)
        if workers and chance.random() < 0.5:
            chance.choice(workers).send_signal(signal.SIGKILL)
            killed["worker"] += 1
        else:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed["client"] += 1
    process.wait()
    last = subprocess.run(command(scans, model, output, *more), env=ENVIRONMENT, stderr=subprocess.PIPE, check=False)
    assert last.returncode in (0, 1), last.stderr
    again = subprocess.run(command(scans, model, output), env=ENVIRONMENT, stderr=subprocess.DEVNULL, check=True)
    with (output / "cases.csv").open(newline="") as file:
        rows = [row["case"] for row in csv.DictReader(file)]
    whole = 0
    for folder in output.glob("s*"):
        record = json.loads((folder / "record.json").read_text())
        sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != "record.json"}
        whole += sums == {name: told["sha256"] for name, told in record["files"].items()}
    return {
        "killed": killed, "cases": count, "rows": len(rows), "different_rows": len(set(rows)), "whole": whole,
        "left_parts": len(list(output.glob(".clamseg-part-*"))), "last_exit_code": again.returncode,
    }  # fmt: skip


def maps(output: Path) -> dict[str, str]:
    """Hash of each case's map."""
    return {p.parent.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in output.glob("*/probability.nrrd")}


def main() -> None:
    """Prints the figures."""
    from tiny_model import tiny_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--no-pictures", action="store_true", help="they take most of the time of a small case")
    parser.add_argument("--only", choices=("batches", "flushes", "scheduling", "pulls"))
    arguments = parser.parse_args()
    told: dict[str, object] = {"seed": arguments.seed, "processors": os.cpu_count(), "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny_model(folder / "tiny")
        if arguments.no_pictures:
            (folder / "sitecustomize.py").write_text(WITHOUT_PICTURES)
            ENVIRONMENT["PYTHONPATH"] = f"{folder}{os.pathsep}{REPOSITORY}"
        if arguments.only in (None, "batches"):
            make_scans(folder / "scans", arguments.cases, (12, 128, 128))
            runs = {"as_today": (), "1_worker": ("1",), "2_workers": ("2",)}
            told["batches"] = {
                key: batch(
                    folder / "scans", model, folder / key, arguments.cases,
                    *(("--cluster", "local", "--workers", *count) if count else ()),
                )
                for key, count in runs.items()
            }  # fmt: skip
            told["same_maps"] = maps(folder / "as_today") == maps(folder / "1_worker") == maps(folder / "2_workers")
        if arguments.only in (None, "flushes"):
            told["flushes_ms"] = flushes(folder / "flushes", 40)
        if arguments.only in (None, "scheduling"):
            told["scheduling"] = scheduling(arguments.tasks)
        if arguments.only in (None, "pulls"):
            make_scans(folder / "few", 60, (6, 64, 64))
            chance = random.Random(arguments.seed)
            told["pulls"] = pulls(folder / "few", model, folder / "pulled", 60, arguments.times, chance)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
