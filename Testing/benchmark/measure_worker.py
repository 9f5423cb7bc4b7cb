"""The worker behind panel and page against another checkout: what it answers when it has just been started, and a click on Segment.

    git worktree add ../before b5e771f
    OMP_NUM_THREADS=2 python Testing/benchmark/measure_worker.py --before ../before --rounds 3

Cold, in seconds from starting a process that is asked `hello` and `read` of the scan at once, as the page asks: its `greeting` (the other
checkout has none, there it is the answer to `hello`), the scan read, and all that `hello` tells. Cold case: a process that is asked `inspect` and `segment` at
once, as after a cancelled run, to the organ's outline, to the first slices and to the end.
Warm: the worker has segmented the scan once; then `inspect` and `segment` with arrays and without pictures, as the fronts ask for them, on the shipped chest CT enlarged to 512 x 512 x 133, until
the first look at the middle slice (`preview`; the other checkout has none, there it is the end) and until the end.
The model is the other checkout's ct-infection in both; in this checkout a further row is its own ct-lung-lesion. The network runs as
trained in both. What the page adds to the first answer is in measure_first_answer.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure_case import scan_of

from ClamSegLib.imaging.read_write import read_volume, write_volume

HERE = Path(__file__).resolve().parents[2]
ROWS = {
    "greeting_s": "start to greeting",
    "read_s": "start to scan read",
    "hello_s": "start to all that `hello` tells",
    "cold_organ_s": "start to organ outlined",
    "cold_first_s": "start to first slices",
    "cold_case_s": "start to end of the case",
    "first_s": "warm, click to first slices",
    "warm_s": "warm, click to end of the case",
}


class Worker:
    """A worker of a checkout; `ask` waits for its answer."""

    def __init__(self, checkout: Path, threads: int) -> None:
        # Without a safe path Python would look in the folder that this was called from before it looks in the checkout.
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "PYTHONSAFEPATH": "1"}
        words = [sys.executable, "-m", "ClamSegLib", "worker", "--threads", str(threads)]
        self.process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        self.number = 0
        self.came_s: dict[tuple[int, str], float] = {}  # when an event of a request came last

    def send(self, command: str, **given: Any) -> int:
        assert self.process.stdin is not None
        self.number += 1
        self.process.stdin.write(json.dumps({"id": self.number, "command": command, **given}) + "\n")
        self.process.stdin.flush()
        return self.number

    def wait(self, *numbers: int) -> None:
        """Until these requests are done."""
        assert self.process.stdout is not None
        while any((number, "done") not in self.came_s for number in numbers):
            told: dict[str, Any] = json.loads(
                self.process.stdout.readline() or '{"event": "error", "message": "the worker ended"}'
            )
            if told["event"] == "error":
                raise SystemExit(told["message"])
            self.came_s[told.get("id"), told["event"]] = time.perf_counter()

    def ask(self, command: str, **given: Any) -> int:
        self.wait(number := self.send(command, **given))
        return number

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def raw(scan: Path) -> Path:
    """The scan as the fronts write it, uncompressed, in place of the file."""
    volume = read_volume(scan)
    write_volume(volume.array, volume, scan, compress=False)
    return scan


def case(scan: Path, model: str, folder: Path, number: int, slices: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `inspect` and `segment` are asked for, as the fronts do."""
    inspect = {"input": str(scan), "model": model, "options": {"device": "cpu"}, "outline": str(folder / "organ.npy")}
    look = {"first_slice": [slices // 2, 0, 0], "first_file": str(folder / "first.npy")}
    segment = {"input": str(scan), "model": model, "output": str(folder / str(number)), "overwrite": True, "arrays": True,
               "pictures": False, "options": {"device": "cpu", "engine": "reference"}, **look}  # fmt: skip
    return inspect, segment


def cold(checkout: Path, model: str, scan: Path, folder: Path, slices: int, threads: int) -> dict[str, float]:
    """Two processes, each asked at once."""
    started = time.perf_counter()
    worker = Worker(checkout, threads)
    hello, read = worker.send("hello"), worker.send("read", input=str(scan), output=str(folder / "read"))
    worker.wait(hello, read)
    greeting = worker.came_s.get((hello, "greeting"), worker.came_s[hello, "done"])
    told = {"greeting_s": greeting, "read_s": worker.came_s[read, "done"], "hello_s": worker.came_s[hello, "done"]}
    found = {name: came - started for name, came in told.items()}
    worker.close()
    inspect, segment = case(scan, model, folder, 0, slices)
    started = time.perf_counter()
    worker = Worker(checkout, threads)
    organ, result = worker.send("inspect", **inspect), worker.send("segment", **segment)
    worker.wait(organ, result)
    first = worker.came_s.get((result, "preview"), worker.came_s[result, "done"])
    told = {
        "cold_organ_s": worker.came_s[organ, "done"],
        "cold_first_s": first,
        "cold_case_s": worker.came_s[result, "done"],
    }
    worker.close()
    return found | {name: came - started for name, came in told.items()}


def warm(checkout: Path, model: str, scan: Path, folder: Path, slices: int, threads: int) -> dict[str, Any]:
    """A process that has segmented the scan before."""
    worker = Worker(checkout, threads)
    first, whole = [], []
    for number in range(4):
        inspect, segment = case(scan, model, folder, number, slices)
        started = time.perf_counter()
        worker.ask("inspect", **inspect)
        result = worker.ask("segment", **segment)
        whole.append(worker.came_s[result, "done"] - started)
        first.append(worker.came_s.get((result, "preview"), worker.came_s[result, "done"]) - started)
    worker.close()
    report = json.loads((folder / "3" / "report.json").read_text(encoding="utf-8"))
    stages = {name: round(value, 3) for name, value in report["seconds"].items()}
    return {"first_s": min(first[1:]), "warm_s": min(whole[1:]), "stages_of_the_last_s": stages}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=133)
    parser.add_argument(
        "--threads", type=int, default=0, help="0, as the fronts start it: as many as there are processors"
    )
    parser.add_argument("--cold-only", action="store_true")
    arguments = parser.parse_args()
    model = str((arguments.before / "Resources" / "Models" / "ct-infection").resolve())
    kinds = {
        "before": (arguments.before, model),
        "here": (HERE, model),
        "here, ct-lung-lesion": (HERE, str(HERE / "Resources" / "Models" / "ct-lung-lesion")),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as place:
        scan = raw(scan_of(arguments.slices, Path(place)))
        for number in range(arguments.rounds):
            for name, (checkout, own) in kinds.items():
                folder = Path(place) / f"{name}{number}".replace(" ", "").replace(",", "-")
                folder.mkdir()
                given = (checkout, own, scan, folder, arguments.slices, arguments.threads)
                found[name].append(cold(*given) | ({} if arguments.cold_only else warm(*given)))
                print(number + 1, name, json.dumps(found[name][-1]), flush=True)
    print(
        "| seconds, smallest (median) of the rounds, and share of before |"
        + " | ".join(found)
        + " |\n|---" * (len(found) + 1)
        + "|"
    )
    for key, words in ROWS.items():
        if key in found["before"][0]:
            # Another program only ever adds time: the smallest of the rounds is nearest to what the worker takes.
            before = min(each[key] for each in found["before"])
            least = {name: min(each[key] for each in runs) for name, runs in found.items()}
            middle = {name: statistics.median(each[key] for each in runs) for name, runs in found.items()}
            cells = [f"{least[name]:.2f} ({middle[name]:.2f}), {least[name] / before:.0%}" for name in found]
            print(f"| {words} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
