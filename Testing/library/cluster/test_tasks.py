"""Pieces of work on workers: tried twice, never mixed up with those of another run; a worker that does not fit is named."""

import json
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tiny_model import tiny_model
from workers_here import workers_here

from ClamSegLib.cluster import open_cluster, scheduler, tasks, worker
from ClamSegLib.cluster.open_cluster import ClusterError, ClusterRequest, OpenCluster, local_workers
from ClamSegLib.cluster.tasks import Piece, Work, spread
from ClamSegLib.cluster.worker import answer, unfit, versions
from ClamSegLib.model.model_folder import sha256_of
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.outcome import FAILED, Outcome
from ClamSegLib.system.progress import Reporter


@pytest.fixture(scope="module")
def client_here():
    with workers_here() as client:
        yield client


def run_pieces(client, do, names: str = "abc", **told: object) -> list[tuple[str, str, int]]:
    """What becomes of pieces: name, words, tries."""
    pieces, work = [Piece(name, json.dumps(name)) for name in names], Work(do, told=told)
    ended: list[tuple[str, str, int]] = []

    def tell(_place: int, outcome: Outcome, _told: object) -> None:
        ended.append((outcome.case, outcome.words, outcome.tries))

    spread(pieces, work, OpenCluster(client, 1), Reporter(), tell)
    return sorted(ended)


def answers(folder: Path, said):
    """A task that answers as `said(name, try)` says."""

    def do(name_json: str, _run: str) -> str:
        name = json.loads(name_json)
        with (folder / name).open("a") as file:  # of what a task knows, only files reach the next one
            file.write("x")
        return json.dumps(said(name, (folder / name).stat().st_size))

    folder.mkdir()
    return do


FULL, DONE = {"state": FAILED, "words": "No space left"}, {"state": "done", "words": "fine"}


def test_a_full_disk_on_one_worker_costs_a_retry_and_one_everywhere_a_row(tmp_path, client_here):
    once = run_pieces(client_here, answers(tmp_path / "once", lambda name, n: FULL if name == "b" and n == 1 else DONE))
    assert once == [("a", "fine", 1), ("b", "fine", 2), ("c", "fine", 1)]
    always = run_pieces(client_here, answers(tmp_path / "always", lambda name, n: FULL if name == "b" else DONE))
    assert always == [("a", "fine", 1), ("b", "No space left", 2), ("c", "fine", 1)]


def own_name(name_json: str, run_json: str) -> str:
    time.sleep(0.05)
    return json.dumps({"state": "done", "words": json.loads(name_json) + json.loads(run_json)["run"]})


def test_two_runs_on_one_scheduler_each_get_their_own_answers(client_here):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda run: run_pieces(client_here, own_name, "abcdef", run=run), ("1", "2"))
    assert [words for _, words, _ in first] == [f"{name}1" for name in "abcdef"]
    assert [words for _, words, _ in second] == [f"{name}2" for name in "abcdef"]


def test_the_last_of_two_runs_gives_a_scheduler_its_own_settings_back(client_here):
    def settings(dask_scheduler=None):
        return dask_scheduler.allowed_failures, dask_scheduler.WORKER_SATURATION

    own = client_here.run_on_scheduler(settings)
    first, second = scheduler.two_tries(client_here), scheduler.two_tries(client_here)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert client_here.run_on_scheduler(settings) == (1, 1.0), "the other one still runs"
    second.__exit__(None, None, None)
    assert client_here.run_on_scheduler(settings) == own != (1, 1.0)


def test_workers_that_do_not_fit_are_sent_away_and_without_any_other_the_run_ends(tmp_path):
    with workers_here() as client, pytest.raises(InputError, match="No worker can do cases: it has torch 1"):
        run_pieces(client, answers(tmp_path / "unfit", lambda *_: {"unfit": "it has torch 1"}))


def test_an_answer_that_went_with_its_worker_is_made_anew_while_others_come(tmp_path, monkeypatch):
    answer, waited = tasks._Tasks._answer, []

    async def leave(address: str, dask_scheduler=None) -> None:
        await dask_scheduler.remove_worker(address, stimulus_id="test")

    def lose(self: tasks._Tasks, future: object) -> object:
        if not waited:
            (holders,) = self._client.who_has([future]).values()
            self._client.run_on_scheduler(leave, holders[0])
        waited.append(answer(self, future))
        return waited[-1]

    def slow(name: str, n: int) -> dict[str, str]:
        time.sleep(0.1 if n == 1 else 1)
        return DONE

    monkeypatch.setattr(tasks._Tasks, "_answer", lose)
    monkeypatch.setattr(tasks, "_ANSWER_S", 0.2)
    with workers_here() as client:
        ended = run_pieces(client, answers(tmp_path / "lost", slow))
    assert ended == [("a", "fine", 1), ("b", "fine", 1), ("c", "fine", 1)]
    assert None in waited, "nobody stood still for it"


class Died:
    """A task whose workers died, as often alone as the client says."""

    status = "finished"

    def __init__(self, key: str) -> None:
        self.key = key

    def result(self, timeout: float) -> str:
        from distributed.scheduler import KilledWorker

        raise KilledWorker(self.key, None, 1)


def test_a_piece_whose_workers_always_die_beside_others_is_tried_alone_and_at_last_told_without_blame():
    class Client:
        def run_on_scheduler(self, *_words: object) -> int:
            return 1

        def submit(self, _do, _words, _run, key, pure):
            return Died(key)

    ended: list[Outcome] = []
    work = Work(own_name)
    run = tasks._Tasks(
        Client(), [Piece("a", "{}")], work, "{}", lambda _, outcome, __: ended.append(outcome), Reporter()
    )
    key = next(iter(run._pieces))
    future, keys = Died(f"{key}/1"), set()
    while not ended:
        keys.add(future.key)
        assert run._ended(future) is None
        if run._suspects:
            future = run._again(run._suspects.popleft(), "alone")
    assert len(keys) == 6, "each time under a key of its own"
    assert [(outcome.state, outcome.tries) for outcome in ended] == [(FAILED, 1)]
    assert "The workers of a died 6 times beside other tasks" in ended[0].words


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_a_piece_is_blamed_only_for_workers_that_died_with_it_alone(tmp_path):
    """Two pieces run on one worker, which one of them kills whenever it runs."""
    from distributed import Client, LocalCluster

    begun = tmp_path / "begun"

    def do(name_json: str, _run: str) -> str:
        name = json.loads(name_json)
        with begun.open("a") as file:
            file.write(name)
        if name == "a":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1)
        return json.dumps({"state": "done", "words": "fine"})

    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(**options, silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
        ended = run_pieces(client, do, "ab")
    assert [(name, words[:24], tries) for name, words, tries in ended] == [
        ("a", "a ended its worker 2 tim", 2),
        ("b", "fine", 1),
    ]
    assert begun.read_text().count("a") == 4, "twice beside the other, twice by itself"


def test_a_scheduler_that_is_lost_ends_the_run_and_says_what_is_kept(client_here, monkeypatch):
    pieces, work = [Piece(name, f'"{name}"') for name in "abcdefgh"], Work(own_name, told={"run": "1"})
    monkeypatch.setattr(tasks, "_LOST_AFTER_S", -1.0)

    def lose(*_told: object) -> None:
        monkeypatch.setattr(client_here, "status", "connecting")

    with pytest.raises(ClusterError, match="finished cases stay, go on with --resume"):
        spread(pieces, work, OpenCluster(client_here, 1), Reporter(), lose)


def test_an_error_in_a_task_comes_back_in_words(tmp_path):
    run = {"versions": versions(), "models": {}, "gpu": False, "threads": 1}

    def broken(_run: object) -> dict[str, object]:
        raise RuntimeError("of Doe^Secret")

    for tell, words in ((True, ": of Doe^Secret"), (False, "")):
        told = json.loads(answer(json.dumps(run), "a", broken, tell))
        assert told == {"state": FAILED, "words": f"Internal error (RuntimeError{words}); please report it."}


def test_a_worker_says_why_it_cannot_do_cases(tmp_path):
    model = tiny_model(tmp_path / "tiny")
    token = tmp_path / "token"
    token.write_text("abc")
    run = {
        "versions": versions(), "token": [str(token), "abc"], "gpu": False,
        "models": {str(model): sha256_of(model / "config.json")},
    }  # fmt: skip
    assert unfit(json.dumps(run)) == ""
    for change, told in (
        ({"versions": versions() | {"torch": "1.0"}}, "it has torch "),
        ({"token": [str(tmp_path / "elsewhere" / "token"), "abc"]}, "the output is not shared with it"),
        ({"token": [str(token), "another run"]}, "the output is not shared with it"),
        ({"models": {str(tmp_path / "gone"): "0"}}, "it does not see the model in"),
        ({"models": {str(model): "0"}}, "is another one there"),
        ({"inputs": {str(tmp_path / "scan.nrrd"): "0"}}, "it does not see"),
        ({"inputs": {str(token): "0"}}, "is another one there"),
    ):
        assert unfit(json.dumps(run | change)).startswith(told) or told in unfit(json.dumps(run | change))


def test_a_worker_takes_a_gpu_that_no_other_has(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    workers = [worker._Kept() for _ in range(3)]
    told = []
    for kept in workers:
        monkeypatch.setattr(worker, "_kept", kept)
        told.append((worker._no_device(True), kept.device))
    assert told[:2] == [("", "cuda:0"), ("", "cuda:1")]
    assert told[2] == ("other workers have taken all GPUs of its machine; start one worker for each", "")
    workers[0].stack.close()
    assert worker._no_device(True) == ""
    for kept in workers:
        kept.stack.close()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(worker, "_kept", worker._Kept())
    assert worker._no_device(True) == "", "without any GPU the processor does"


def test_workers_on_this_machine_are_as_many_as_asked_gpus_or_what_processors_and_memory_take(monkeypatch):
    import torch

    monkeypatch.setattr(open_cluster, "processors", lambda: 8)
    for free_mb, count in ((50_000, 8), (20_000, 3), (1_000, 1), (None, 1)):
        monkeypatch.setattr(open_cluster, "cpu_memory_mb", lambda free_mb=free_mb: (free_mb, 64_000))
        assert local_workers(ClusterRequest("local")) == count
    assert local_workers(ClusterRequest("local", workers=5)) == 5
    assert local_workers(ClusterRequest("local", one_device=True)) == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert local_workers(ClusterRequest("local", gpu=True)) == 2


def test_versions_that_do_not_fit_are_named(monkeypatch):
    here = {
        "packages": {
            "python": "3.11.7",
            "dask": "2026.8.0",
            "distributed": "2026.8.0",
            "msgpack": "1",
            "ClamSegLib": "0.1.0",
        }
    }
    other = {"packages": here["packages"] | {"distributed": "2025.1.0", "python": "3.11.9"}}

    class Client:
        def get_versions(self, packages):
            return {"client": here, "scheduler": here, "workers": {"tls://node:1": other}}

    with pytest.raises(
        InputError, match=r"the worker tls://node:1 has distributed 2025.1.0, here is 2026.8.0\. Install"
    ):
        tasks._refuse_other_versions(Client())
