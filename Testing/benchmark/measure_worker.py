"""The worker behind panel and page against another checkout: cold start, and a warm answer to a click on Segment.

    git worktree add ../before b5e771f
    OMP_NUM_THREADS=2 python Testing/benchmark/measure_worker.py --before ../before --rounds 3

Cold: from starting the process to its answer to `hello`. Warm: the worker has segmented the scan once; then `inspect` and
`segment` with arrays and without pictures, as the fronts ask for them, on the shipped chest CT enlarged to 512 x 512 x 133, until
the first look at the middle slice (`preview`; the other checkout has none, there it is the end) and until the end.
The model is the other checkout's ct-infection in both; in this checkout a further row is its own ct-lung-lesion. The network runs as
trained in both. What the page adds to the first answer is in measure_first_answer.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure_case import scan_of

from ClamSegLib.imaging.read_write import read_volume, write_volume

HERE = Path(__file__).resolve().parents[2]


class Worker:
    """A worker of a checkout; `ask` waits for its answer."""

    def __init__(self, checkout: Path, threads: int) -> None:
        # Without a safe path Python would look in the folder that this was called from before it looks in the checkout.
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "PYTHONSAFEPATH": "1"}
        words = [sys.executable, "-m", "ClamSegLib", "worker", "--threads", str(threads)]
        self.process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        self.number = 0
        self.previewed_s = 0.0

    def ask(self, command: str, **given: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.number += 1
        self.process.stdin.write(json.dumps({"id": self.number, "command": command, **given}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told.get("id") == self.number and told["event"] == "error":
                raise SystemExit(told["message"])
            if told["event"] == "preview":
                self.previewed_s = time.perf_counter()
            if told.get("id") == self.number and told["event"] == "done":
                return told
        raise SystemExit("the worker ended")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def raw(scan: Path) -> Path:
    """The scan as the fronts write it, uncompressed, in place of the file."""
    volume = read_volume(scan)
    write_volume(volume.array, volume, scan, compress=False)
    return scan


def measured(checkout: Path, model: str, scan: Path, folder: Path, slices: int, threads: int) -> dict[str, Any]:
    started = time.perf_counter()
    worker = Worker(checkout, threads)
    worker.ask("hello")
    cold = time.perf_counter() - started
    options = {"device": "cpu", "engine": "reference"}
    look = {"first_slice": [slices // 2, 0, 0], "first_file": str(folder / "first.npy")}
    first, whole = [], []
    for number in range(4):
        started = time.perf_counter()
        worker.ask(
            "inspect", input=str(scan), model=model, options={"device": "cpu"}, outline=str(folder / "organ.npy")
        )
        worker.ask("segment", input=str(scan), model=model, output=str(folder / str(number)), options=options, overwrite=True,
                   arrays=True, pictures=False, **look)  # fmt: skip
        whole.append(time.perf_counter() - started)
        first.append(worker.previewed_s - started if worker.previewed_s else whole[-1])
    worker.close()
    report = json.loads((folder / "3" / "report.json").read_text(encoding="utf-8"))
    stages = {name: round(value, 3) for name, value in report["seconds"].items()}
    return {"cold_s": cold, "first_s": min(first[1:]), "warm_s": min(whole[1:]), "stages_of_the_last_s": stages}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=133)
    parser.add_argument("--threads", type=int, default=2)
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
                found[name].append(measured(checkout, own, scan, folder, arguments.slices, arguments.threads))
                print(number + 1, name, json.dumps(found[name][-1]), flush=True)
    print(
        "| | cold start, s | of before | first slices, s | of before | warm answer, s | of before |\n|---|---|---|---|---|---|---|"
    )
    for name, runs in found.items():
        cells = []
        for key in ("cold_s", "first_s", "warm_s"):
            # Another program only ever adds time: the smallest of the rounds is nearest to what the worker takes.
            least, before = (min(each[key] for each in some) for some in (runs, found["before"]))
            cells += [f"{least:.2f}", f"{least / before:.0%}"]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
