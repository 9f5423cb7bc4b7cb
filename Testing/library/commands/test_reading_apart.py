"""Every verb that reads scans reads them in a process of its own: a file that ends it is refused by its name."""

import io
import json
import sys
from pathlib import Path

import pytest
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.commands import worker
from ClamSegLib.commands.worker import Worker
from ClamSegLib.imaging import reader_process

DEADLY = """
import os, sys
from ClamSegLib.imaging import reader_child
whole = reader_child.read_volume
reader_child.read_volume = lambda path, **more: os.abort() if path.name == "p0_0.png" else whole(path, **more)
sys.exit(reader_child.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("d") / "data", patients=6, slices=1)


@pytest.fixture(autouse=True)
def deadly_reader(monkeypatch):
    reader = reader_process.ScanReader((sys.executable, "-P", "-c", DEADLY))
    monkeypatch.setattr(reader_process._Shared, "reader", reader)
    yield
    reader.stop()


@pytest.mark.parametrize("verb", ["check", "evaluate"])
def test_a_verb_names_the_file_that_ended_its_reader_and_lives_on_to_say_so(tmp_path, data, model, capsys, verb):
    words = {
        "check": ["check", data],
        "evaluate": ["evaluate", data, "--model", model, "--output", tmp_path / "out", "--device", "cpu"],
    }[verb]
    assert main([*map(str, words), "--progress", "none"]) == 2
    told = "".join(capsys.readouterr())
    assert "p0_0.png ended the process that reads files" in told
    assert not (tmp_path / "out").exists()


def test_a_worker_names_the_file_that_ended_its_reader_and_answers_the_next_request(tmp_path, data, model):
    names = ("p0_0.png", "p1_0.png")
    requests = [
        {"id": n, "command": "inspect", "input": str(data / "images" / name), "model": str(model)}
        for n, name in enumerate(names)
    ]
    answers = io.StringIO()
    assert Worker(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), answers).run() == 0
    ends = [json.loads(line) for line in answers.getvalue().splitlines()]
    ends = [event for event in ends if event["event"] in ("error", "done")]
    assert [event["event"] for event in ends] == ["error", "done"]
    assert "p0_0.png ended the process that reads files" in ends[0]["message"]


def test_models_that_may_not_be_listed_are_told_by_hello_and_stop_no_other_request(tmp_path, data, monkeypatch):
    def refused():
        raise PermissionError(13, "Permission denied", str(tmp_path / "models"))

    monkeypatch.setattr(worker, "list_models", refused)
    read = {"command": "read", "input": str(data / "images" / "p1_0.png"), "output": str(tmp_path / "read")}
    requests = [{"id": 1, "command": "hello"}, {"id": 2, **read}]
    answers = io.StringIO()
    assert Worker(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), answers).run() == 0
    events = [json.loads(line) for line in answers.getvalue().splitlines()]
    ends = {event["id"]: event for event in events if event["event"] in ("error", "done")}
    assert (ends[1]["event"], ends[2]["event"]) == ("error", "done")
    assert str(tmp_path / "models") in ends[1]["message"]
    assert all(event["models"] == [] for event in events if event["event"] == "greeting")
