"""An evaluation and a check on a cluster: what one process finds, to the last digit; what fails on a worker is told."""

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model
from workers_here import workers_here

from ClamSegLib.cli import main
from ClamSegLib.cluster import open_cluster
from ClamSegLib.datasets import check_on_cluster
from ClamSegLib.evaluation import judge, on_cluster
from ClamSegLib.system.errors import OutputError


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture
def data(tmp_path) -> Path:
    return write_phantoms(tmp_path / "data", patients=6, slices=3)


@pytest.fixture(scope="module")
def client():
    with workers_here() as client:
        yield client


@pytest.fixture(autouse=True)
def cluster(client, monkeypatch):
    """`--cluster local` is that one."""

    @contextmanager
    def opened(_request: object, _reporter: object):
        yield open_cluster.OpenCluster(client, 1)

    monkeypatch.setattr(open_cluster, "open_cluster", opened)


def evaluate(data: Path, model: Path, output: Path, *more: object) -> int:
    words = ["evaluate", data, "--model", model, "--output", output, "--device", "cpu", "--progress", "none", *more]
    return main(list(map(str, words)))


@pytest.mark.slow
def test_workers_give_figures_tables_and_pictures_of_one_process(tmp_path, data, model, capsys, monkeypatch):
    spread = on_cluster.spread

    def backwards(pieces, work, opened, reporter, ended):
        """The cases come to their end in any order; sums of broken numbers differ with it."""
        told = []
        spread(pieces, work, opened, reporter, lambda *each: told.append(each))
        for each in reversed(told):
            ended(*each)

    monkeypatch.setattr(on_cluster, "spread", backwards)
    more = ("--compare", model, "--baselines")
    assert evaluate(data, model, tmp_path / "here", *more) == 0
    here = capsys.readouterr()
    assert evaluate(data, model, tmp_path / "there", *more, "--cluster", "local") == 0
    assert capsys.readouterr() == here
    for name in ("metrics.json", "cases.csv", "montage.png", "reliability.png"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
    assert "Grad-CAM" in (tmp_path / "there" / "metrics.json").read_text()


def test_a_case_that_fails_on_two_workers_is_in_no_figure_and_is_told(tmp_path, data, model, capsys, monkeypatch):
    first, tried = judge.Judge.judge, []

    def judging(self, part, warnings):
        if part.rows[0].patient_id == "p4":
            tried.append(1)
            raise OutputError("No space left on that machine.")
        return first(self, part, warnings)

    monkeypatch.setattr(judge.Judge, "judge", judging)
    assert evaluate(data, model, tmp_path / "out", "--cluster", "local") == 1
    told = capsys.readouterr()
    assert "3 of 18 rows were not judged and are in no figure" in told.out
    assert "No space left on that machine." in told.err
    assert len(tried) == 2
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {row["image"] for row in metrics["not_judged"]} == {f"images/p4_{n}.png" for n in range(3)}
    assert metrics["table"][0]["slices"] == 15
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        problems = {(row["patient"], row["problem"]) for row in csv.DictReader(file)}
    assert problems == {("p4", "No space left on that machine."), *((f"p{n}", "") for n in (0, 1, 2, 3, 5))}


def test_what_a_worker_cannot_read_ends_the_evaluation_as_in_one_process(tmp_path, data, model, capsys):
    (data / "images" / "p1_0.png").write_bytes(b"no picture")
    assert evaluate(data, model, tmp_path / "here") == 2
    here = capsys.readouterr().err
    assert evaluate(data, model, tmp_path / "there", "--cluster", "local") == 2
    assert capsys.readouterr().err == here
    assert "p1_0.png" in here
    assert not (tmp_path / "there").exists()


def test_workers_that_see_other_data_are_refused(tmp_path, data, model, capsys, monkeypatch):
    monkeypatch.setattr("ClamSegLib.evaluation.on_cluster.first_input", lambda part: {str(data / "gone.png"): "0"})
    assert evaluate(data, model, tmp_path / "out", "--cluster", "local") == 2
    assert "cannot do its part: it does not see" in capsys.readouterr().err


def test_a_check_on_workers_finds_what_one_process_finds(data, capsys, monkeypatch):
    (data / "images" / "p1_0.png").write_bytes(b"no picture")
    (data / "lesion" / "p2_0.png").write_bytes(b"no picture either")
    words = ["check", str(data), "--json"]
    assert main(words) == 2
    here = capsys.readouterr().out
    assert main([*words, "--cluster", "local"]) == 2
    assert capsys.readouterr().out == here
    assert "p1_0.png" in here
    monkeypatch.setattr(check_on_cluster, "look_at_image", lambda rows: 1 / 0)
    assert main([*words, "--cluster", "local"]) == 2
    assert "18 of 18; first: Internal error (ZeroDivisionError" in capsys.readouterr().out
