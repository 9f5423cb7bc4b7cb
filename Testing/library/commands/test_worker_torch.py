"""What a worker answers while torch is loaded, and where that cannot be loaded; each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_worker import Panel, scan
from tiny_model import tiny_model

from ClamSegLib.commands import worker_torch
from ClamSegLib.commands.worker_torch import TorchBeside

# Loads until it is let go, and is damaged then.
SLOW_AND_DAMAGED = """
import pathlib, time
end = time.monotonic() + 20
while not pathlib.Path({go!r}).exists() and time.monotonic() < end:
    time.sleep(0.01)
raise ImportError("libtorch_cpu.so: cannot open shared object file")
"""


@pytest.fixture
def go(tmp_path) -> Path:
    """A file that lets the torch of `worker` come to its end."""
    (tmp_path / "path" / "torch").mkdir(parents=True)
    program = SLOW_AND_DAMAGED.format(go=str(tmp_path / "go"))
    (tmp_path / "path" / "torch" / "__init__.py").write_text(program, encoding="utf-8")
    return tmp_path / "go"


@pytest.fixture
def worker(tmp_path, go):
    panel = Panel(first_on_path=str(tmp_path / "path"))
    yield panel
    panel.close()


def test_scans_are_read_and_looked_at_while_torch_is_loaded_and_a_damaged_one_is_told_by_who_needs_it(
    tmp_path, worker, go
):
    model, file = tiny_model(tmp_path / "tiny"), scan(tmp_path / "scans")
    worker.send(json.dumps({"id": 1, "command": "hello"}))
    greeting = json.loads(worker.process.stdout.readline())
    assert (greeting["event"], greeting["id"]) == ("greeting", 1)
    assert {entry["name"] for entry in greeting["models"]} >= {"ct-lung-lesion"}
    read = {"command": "read", "input": str(file), "output": str(tmp_path / "read")}
    told = worker.ask({"id": 2, **read})
    assert ({event["id"] for event in told}, told[-1]["shape"]) == ({2}, [4, 40, 44])
    inspect = {"command": "inspect", "input": str(file), "model": str(model)}
    told = worker.ask({"id": 3, **inspect, "outline": str(tmp_path / "organ.npy")})
    assert ({event["id"] for event in told}, told[-1]["slices"]) == ({3}, 4)
    assert (tmp_path / "organ.npy").is_file()

    worker.send(
        json.dumps(
            {"id": 4, "command": "segment", "input": str(file), "model": str(model), "output": str(tmp_path / "out")}
        )
    )
    go.touch()
    hello, segment = (worker.answers()[-1] for _ in range(2))
    assert (hello["event"], hello["id"], hello["torch"]) == ("done", 1, None)
    assert (segment["event"], segment["id"], segment["code"]) == ("error", 4, 2)
    for words in (hello["problems"][0], segment["message"]):
        assert words == (
            "PyTorch is installed but does not load (ImportError: libtorch_cpu.so: cannot open shared object file); use Setup, Repair."
        )
    assert not (tmp_path / "out").exists()
    assert worker.ask({"id": 5, **read})[-1]["event"] == "done"


def test_a_scan_is_not_read_for_a_run_that_is_known_to_be_impossible(tmp_path, worker, go):
    go.touch()
    assert worker.ask({"id": 1, "command": "hello"})[-1]["event"] == "done"
    words = {"input": str(scan(tmp_path / "scans")), "model": str(tiny_model(tmp_path / "tiny"))}
    (told,) = worker.ask({"id": 2, "command": "segment", **words, "output": str(tmp_path / "out")})
    assert (told["event"], told["code"]) == ("error", 2)
    assert told["message"].startswith("PyTorch is installed but does not load")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_for_torch_is_told_also_where_loading_it_ends_the_thread(monkeypatch):
    def ends() -> str:
        raise SystemExit("no driver")

    monkeypatch.setattr(worker_torch, "torch_problem", ends)
    told = threading.Event()
    torch = TorchBeside(0, told.set)
    torch.begin()
    assert told.wait(30)
    torch.end()


def test_what_was_asked_before_the_end_is_answered_when_torch_has_come(worker, go):
    worker.send(json.dumps({"id": 1, "command": "hello"}))
    assert json.loads(worker.process.stdout.readline())["event"] == "greeting"
    worker.send(json.dumps({"id": 2, "command": "quit"}))
    go.touch()
    events = [json.loads(line) for line in worker.process.stdout]
    assert [(event["event"], event["id"]) for event in events] == [("done", 1), ("done", 2)]
    assert worker.process.wait(30) == 0


@pytest.mark.parametrize("last", ['{"id": 1, "command": "quit"}\n', ""])
def test_a_worker_whose_front_is_done_ends_without_waiting_for_torch(worker, last):
    worker.ask({"id": 0, "command": "titles", "input": "nowhere"})
    told, noise = worker.process.communicate(last, timeout=10)  # torch would take 20 s
    assert [json.loads(line)["event"] for line in told.splitlines()] == ["done"] * bool(last)
    assert (worker.process.returncode, noise) == (0, "")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells of processes in files")
def test_a_worker_that_is_told_to_end_while_torch_is_loaded_ends_at_once_with_its_children(worker):
    pid = worker.process.pid
    worker.ask({"id": 1, "command": "titles", "input": "nowhere"})  # it listens, and its reader was started
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    assert children
    os.kill(pid, signal.SIGTERM)
    assert worker.process.wait(30) == 130
    assert not any(
        Path(f"/proc/{child}/cmdline").is_file() and Path(f"/proc/{child}/cmdline").read_bytes() for child in children
    )


def test_a_damaged_torch_is_one_line_of_segment_before_anything_is_written(tmp_path, go, repository):
    go.touch()
    path = os.pathsep.join((str(tmp_path / "path"), str(repository)))
    words = [
        "segment",
        str(scan(tmp_path / "scans")),
        "--model",
        str(tiny_model(tmp_path / "tiny")),
        "--output",
        str(tmp_path / "out"),
    ]
    run = subprocess.run(
        [sys.executable, "-m", "ClamSegLib", *words, "--progress", "none"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("error: PyTorch is installed but does not load")
    assert len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
