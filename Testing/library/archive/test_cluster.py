"""Cases as tasks of a cluster: the same results, a dead worker costs its case a retry, nothing listens to others or tells a name."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from dicom_stacks import stack

from ClamSegLib.archive.case import Case, FileSource
from ClamSegLib.archive.cluster_task import do_case
from ClamSegLib.archive.dicom_index import DicomIndex, IndexedSeries
from ClamSegLib.archive.pseudonym import Pseudonyms
from ClamSegLib.archive.settings import RunSettings
from ClamSegLib.cli import main
from ClamSegLib.cluster.worker import versions
from ClamSegLib.model.model_folder import sha256_of
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.system.outcome import FAILED
from ClamSegLib.system.progress import Reporter

SECONDS = 120
# What a worker loads before its first case: it counts loaded models, and dies where it is told to.
PRELOAD = """
import os, signal
from pathlib import Path
from ClamSegLib.archive import case_job
from ClamSegLib.model import checkpoint
from ClamSegLib.segmentation import report

report.drawing_problem = lambda: "not drawn here"

notes = Path(os.environ["TEST_NOTES"])
# Dask loads this file twice: what was there first is kept.
load = checkpoint.first = getattr(checkpoint, "first", checkpoint.load_model)
prepare = case_job.first = getattr(case_job, "first", case_job.CaseJob._prepare)

def note(word):
    with (notes / str(os.getpid())).open("a") as file:
        file.write(word + "\\n")

def loading(folder):
    note("model")
    return load(folder)

def preparing(self):
    note("case")
    if self.case.name in os.environ.get("TEST_POISON", "").split(","):
        os.kill(os.getpid(), signal.SIGKILL)
    prepare(self)

checkpoint.load_model, case_job.CaseJob._prepare = loading, preparing
"""


@pytest.fixture
def environment(tmp_path, monkeypatch) -> dict[str, str]:
    """Of a command whose workers count and die as the test wants."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "preload.py").write_text(PRELOAD)
    monkeypatch.setenv("CLAMSEG_SETTINGS", str(tmp_path / "settings"))
    monkeypatch.setattr("ClamSegLib.segmentation.report.drawing_problem", lambda: "not drawn here")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]),
        "TEST_NOTES": str(tmp_path / "notes"),
        "DASK_DISTRIBUTED__WORKER__PRELOAD": str(tmp_path / "preload.py"),
    }


def tree(folder: Path, count: int) -> Path:
    for number in range(count):
        place = folder / f"Doe^Secret {number}"
        stack(place, 4 + number % 3, f"1.5.{number}", StudyInstanceUID="1.5", PatientName="Doe^Secret")
    return folder


def words(inputs: list[object], model: Path, output: Path, *more: object) -> list[str]:
    fixed = ["--model", model, "--output", output, "--device", "cpu", *more]
    return ["segment", *map(str, [*inputs, *fixed])]


def cases(output: Path) -> dict[str, dict[str, str]]:
    with (output / "cases.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def maps(output: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in output.rglob("probability.nrrd")}


def listening(pid: int) -> set[str]:
    """Addresses that a process and its children listen on."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        found = [c for p in (process, *process.children(recursive=True)) for c in p.net_connections("inet")]
        return {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}
    return set()


def page(address: str) -> str:
    with suppress(OSError), urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read().decode("utf-8", "replace")
    return ""


def pages(dashboard: str) -> str:
    """What the dashboard tells of workers and of the tasks that they do, without its scripts."""
    root = dashboard.removesuffix("/status")
    told = [page(f"{root}/{name}") for name in ("info/main/workers.html", "info/logs.html", "metrics", "status")]
    for name in set(re.findall(r'href="\.\./(worker/[^"]+)"', told[0])):
        told.append(page(f"{root}/info/{name}"))
        told += [page(f"{root}/info/{task}") for task in set(re.findall(r'href="\.\./(task/[^"]+)"', told[-1]))]
    return "\n".join(told)


def test_a_poisoned_scan_is_given_up_after_two_tries_and_all_else_is_as_in_one_process(tmp_path, model, environment):
    root = tree(tmp_path / "archive", 6)
    poison = Pseudonyms(tmp_path / "settings" / "archive" / "secret.key").of("case", "1.5.2")
    environment["TEST_POISON"] = poison
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "ClamSegLib",
        *words([root], model, out, "--select", "", "--cluster", "local", "--workers", "2"),
    ]
    addresses, told, shown, dashboard = set(), [], "", ""
    with subprocess.Popen(
        [*command, "--progress", "json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            told.append(line)
            addresses |= listening(process.pid)
            found = re.search(r"http://127\.0\.0\.1:\d+/status", line)
            dashboard = found[0] if found else dashboard
            shown += pages(dashboard) if '"event": "done"' in line and "case-00000" not in shown else ""
    assert process.returncode == 1, "".join(told)
    assert addresses == {"127.0.0.1"}
    rows = cases(out)
    assert {name: row["state"] for name, row in rows.items() if row["state"] != "done"} == {poison: "failed"}
    assert rows[poison]["tries"] == "2"
    assert "ended its worker 2 times" in rows[poison]["words"]
    progress = [json.loads(line) for line in told if '"stage": "cases"' in line]
    assert [(event["done"], event["total"]) for event in progress] == [(n, 6) for n in range(1, 7)]
    assert progress[-2]["seconds_left"] > 0, "over the whole archive"
    assert main(words([root], model, tmp_path / "here", "--select", "", "--progress", "none")) == 0
    here = maps(tmp_path / "here")
    assert len(here) == 6
    assert maps(out) == {name: content for name, content in here.items() if name != poison}
    assert "case-00000" in shown, "the dashboard was read while the run went on"
    for text in ("".join(told), shown, (out / "cases.csv").read_text()):
        assert "Doe" not in text
        assert "Secret" not in text
    noted = [path.read_text().split() for path in (tmp_path / "notes").iterdir()]
    assert sum(notes.count("case") for notes in noted) == 5 + 2, "every other case was begun once"
    assert all(notes.count("model") <= 1 for notes in noted), "a worker keeps its model"
    assert not list(out.glob(".clamseg-shared-*"))


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_ctrl_c_leaves_a_state_that_resume_takes_up_without_a_cluster(tmp_path, model, environment):
    root, out = tree(tmp_path / "archive", 8), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "ClamSegLib",
        *words([root], model, out, "--select", "", "--cluster", "local", "--workers", "1"),
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        ends = time.monotonic() + SECONDS
        while len(maps(out)) < 2 and time.monotonic() < ends:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=20)[1], "no worker is left behind"
    finished = set(maps(out))
    assert 2 <= len(finished) < 8
    assert main(words([root], model, out, "--select", "", "--resume", "--progress", "none")) == 0
    assert {name for name, row in cases(out).items() if row["state"] == "kept"} == finished
    assert len(maps(out)) == 8


def test_jobs_of_a_queue_do_the_cases_by_tls(tmp_path, model, environment):
    root, out = tree(tmp_path / "archive", 3), tmp_path / "out"
    (tmp_path / "queue.yaml").write_text("queue: local\njobs: 1\ncores: 1\nmemory: 2GB\n")
    command = [
        sys.executable,
        "-m",
        "ClamSegLib",
        *words([root], model, out, "--select", "", "--cluster", tmp_path / "queue.yaml"),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert {row["state"] for row in cases(out).values()} == {"done"}
    assert len(maps(out)) == 3


def test_a_scheduler_at_an_address_is_taken_by_tls_with_its_certificates(tmp_path, model, environment, capsys):
    from distributed import LocalCluster
    from distributed.security import Security

    security = Security.temporary()
    told = security.get_tls_config_for_role("client")
    for name, key in (("ca.pem", "ca_file"), ("cert.pem", "cert"), ("key.pem", "key")):
        (tmp_path / name).write_text(told[key])
    root, options = tree(tmp_path / "archive", 3), {"processes": False, "n_workers": 1, "threads_per_worker": 1}
    with LocalCluster(**options, protocol="tls://", security=security, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        more = ["--select", "", "--cluster", address, "--cluster-certificates", tmp_path, "--progress", "none"]
        assert main(words([root], model, tmp_path / "out", *more)) == 0, capsys.readouterr().err
        assert cluster.scheduler.allowed_failures == 3, "a scheduler of others is left as it was"
        for name, wrong in (("a", Security.temporary()), ("b", None)):
            folder = tmp_path / name
            folder.mkdir()
            other = wrong.get_tls_config_for_role("client") if wrong else {"ca_file": "no", "cert": "no", "key": "no"}
            for file, key in (("ca.pem", "ca_file"), ("cert.pem", "cert"), ("key.pem", "key")):
                (folder / file).write_text(other[key])
            capsys.readouterr()
            assert main(words([root], model, tmp_path / name / "out", *more[:-3], folder, *more[-2:])) == 2
            assert "is not reached" in capsys.readouterr().err
    assert {row["state"] for row in cases(tmp_path / "out").values()} == {"done"}


# A scheduler with two workers, which never come to an end with a case that they begin once more.
SCHEDULER = """
import sys, time
from distributed import LocalCluster
from ClamSegLib.archive import cluster_task

outcome, begun = cluster_task._outcome, set()

def slow(case, *more):
    if case.name in begun:
        print("again", flush=True)
        time.sleep(600)
    begun.add(case.name)
    return outcome(case, *more)

cluster_task._outcome = slow
options = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
with LocalCluster(**options, host="127.0.0.1", protocol="tcp://") as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


def test_a_scheduler_that_is_killed_while_a_lost_answer_is_made_anew_ends_the_run_in_one_line_and_resume_goes_on(
    tmp_path, model, environment, capfd, monkeypatch
):
    from ClamSegLib.cluster import tasks

    root, out, answer, lost = tree(tmp_path / "archive", 3), tmp_path / "out", tasks._Tasks._answer, []

    def lose(self: tasks._Tasks, future: object) -> object:
        if not lost:
            lost.extend(address for found in self._client.who_has([future]).values() for address in found)
            self._client.run_on_scheduler(leave, lost[0])
        return answer(self, future)

    async def leave(address: str, dask_scheduler=None) -> None:
        await dask_scheduler.remove_worker(address, stimulus_id="test")

    monkeypatch.setattr(tasks._Tasks, "_answer", lose)
    process = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process, ThreadPoolExecutor(1) as pool:
        address = process.stdout.readline().strip()
        pool.submit(lambda: process.stdout.readline() and process.kill())
        more = ["--select", "", "--cluster", address, "--insecure-cluster", "--progress", "none"]
        code = main(words([root], model, out, *more))
        process.kill()
    told = capfd.readouterr().err
    assert lost, "an answer went with its worker"
    assert (code, told.count("\n")) == (1, 1), told
    assert "The scheduler was lost; finished cases stay, go on with --resume." in told
    assert main(words([root], model, out, "--select", "", "--resume", "--progress", "none")) == 0
    assert "kept" in {row["state"] for row in cases(out).values()}
    assert len(maps(out)) == 3


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ["--cluster", "tcp://127.0.0.1:9"],
            "is not encrypted, and whoever reaches it can run programs on its workers",
        ),
        (["--cluster", "tcp://127.0.0.1:9", "--insecure-cluster"], "The scheduler tcp://127.0.0.1:9 is not reached"),
        (["--cluster", "tls://127.0.0.1:9"], "needs certificates: a folder with ca.pem, cert.pem, key.pem"),
        (["--cluster", "tls://127.0.0.1:9", "--cluster-certificates", "."], "lacks ca.pem, cert.pem, key.pem"),
        (["--cluster", "mars"], "allowed are local, tls://HOST:PORT, or a file jobqueue.yaml"),
        (["--cluster", "gone.yaml"], "there is no such file"),
        (["--cluster", "local", "--workers", "-1"], "--workers -1 must be 0"),
        (["--workers", "2"], "belong to --cluster"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused_in_one_line(tmp_path, model, capsys, monkeypatch, more, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ClamSegLib.cluster.open_cluster._CONNECT_S", 1)
    stack(tmp_path / "scan", 4, "1.5.1")
    assert main(words([tmp_path / "scan"], model, tmp_path / "out", *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("queue: moon\njobs: 1\n", "names the queue 'moon'; allowed are slurm, pbs"),
        ("queue: local\njobs: 0\n", "jobs and cores must be at least 1"),
        ("queue: local\njobs: 1\ncolour: red\n", "colour"),
        ("queue: local\njobs: 1\noptions: {security: true}\n", "sets security under options"),
        ("- a\n", "must hold keys"),
        ("queue: [\n", "is no YAML file"),
        ("queue: slurm\njobs: 1\n", "set shared_folder, or pass --insecure-cluster"),
        ("queue: local\njobs: 1\noptions: {sun: 1}\n", "does not take what its file says"),
    ],
)
def test_a_queue_with_a_mistake_is_refused_in_one_line(tmp_path, model, capsys, text, told):
    (tmp_path / "queue.yaml").write_text(text)
    stack(tmp_path / "scan", 4, "1.5.1")
    assert main(words([tmp_path / "scan"], model, tmp_path / "out", "--cluster", tmp_path / "queue.yaml")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_without_dask_a_cluster_is_refused_and_all_else_works(tmp_path, model, capsys, monkeypatch):
    monkeypatch.setattr("ClamSegLib.cluster.open_cluster.importlib.util.find_spec", lambda name: None)
    assert main(words([tmp_path / "scan"], model, tmp_path / "out", "--cluster", "local")) == 2
    assert "pip install 'clamseg[archive]'" in capsys.readouterr().err


# -- workers and tasks -------------------------------------------------------------------------------------


def run_words(tmp_path: Path, model: Path) -> str:
    """Of a run on the CPU whose output is `out`."""
    token = tmp_path / "out" / ".clamseg-shared-test"
    token.parent.mkdir()
    token.write_text("abc")
    settings = RunSettings(SegmentOptions(device="cpu"))
    models = {str(model): sha256_of(model / "config.json")}
    run = {
        "versions": versions(),
        "token": [str(token), "abc"],
        "gpu": False,
        "models": models,
        "licences": [],
        "threads": 1,
    }
    return json.dumps(run | {"settings": settings.to_json()})


def test_a_case_that_a_worker_thought_dead_has_finished_is_done_and_one_of_before_is_refused(
    tmp_path, model, environment
):
    stack(tmp_path / "scan", 4, "1.5.1")
    case = Case("scan", tmp_path / "out" / "scan", FileSource(tmp_path / "scan"), model)
    run, task = run_words(tmp_path, model), json.dumps(case.to_json() | {"again": False})
    first = json.loads(do_case(task, run))
    report = case.folder / "report.json"
    written = report.stat().st_mtime_ns
    assert first["state"] == "done"
    assert json.loads(do_case(task, run)) == first
    assert report.stat().st_mtime_ns == written
    os.utime(case.folder, (0, 0))
    refused = json.loads(do_case(task, run))
    assert refused["state"] == "bad input"
    assert "exists already" in refused["words"]
    assert report.stat().st_mtime_ns == written


def test_what_fails_in_a_task_comes_back_in_words_without_a_path(tmp_path, model, environment, monkeypatch):
    stack(tmp_path / "Doe^Secret", 4, "1.5.1")
    index = DicomIndex(tmp_path / "Doe^Secret", Pseudonyms(tmp_path / "s.key"))
    index.update(Reporter())
    case = Case("case-1", tmp_path / "out" / "case-1", IndexedSeries(index.path, 1), model)

    def broken(*_given: object) -> None:
        raise RuntimeError(f"{tmp_path}/Doe^Secret is odd")

    monkeypatch.setattr("ClamSegLib.segmentation.batch_of_cases.segment_volume", broken)
    told = json.loads(do_case(json.dumps(case.to_json() | {"again": False}), run_words(tmp_path, model)))
    assert told == {"state": FAILED, "words": "Internal error (RuntimeError); please report it."}
