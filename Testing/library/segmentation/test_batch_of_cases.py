"""Many cases: steps overlap, order and results do not change, a bad case stops no other, memory is bounded."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny_model

from ClamSegLib.imaging import reader_process
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.described_model import describe_model
from ClamSegLib.segmentation import batch_of_cases as case_pipeline
from ClamSegLib.segmentation.batch_of_cases import CasePipeline, PipelineOptions
from ClamSegLib.segmentation.case_work import CaseWork
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.progress import Reporter

WAIT_S = 60


@pytest.fixture
def model(tmp_path):
    return load_model(tiny_model(tmp_path / "tiny"))


def scans(folder: Path, count: int) -> list[CaseWork]:
    folder.mkdir()
    cases = []
    for number in range(count):
        array = np.random.default_rng(number).normal(100, 20, (3, 40, 44)).astype(np.float32)
        path = folder / f"scan{number}.nrrd"
        write_volume(array, Volume(array, (1.0, 1.0, 3.0)), path)
        cases.append(CaseWork(path, folder / f"result{number}"))
    return cases


def run(model, cases: list[CaseWork], load=None) -> tuple[list[str], case_pipeline.Shares]:
    told: list[str] = []
    options = PipelineOptions(SegmentOptions(device="cpu"))
    pipeline = CasePipeline(
        model,
        load or (lambda: model),
        options,
        lambda case, result: told.append(case.path.name),
        lambda case, error: told.append(f"{case.path.name}: {error}"),
        Reporter(),
    )
    return told, pipeline.run(cases)


def maps(case: CaseWork) -> bytes:
    return (case.folder / "probability.nrrd").read_bytes()


def test_cases_together_give_what_each_gives_alone_in_the_order_they_came(tmp_path, model):
    together, alone = scans(tmp_path / "a", 4), scans(tmp_path / "b", 4)
    told, shares = run(model, together)
    assert told == [case.path.name for case in together]
    for case in alone:
        run(model, [case])
    assert [maps(a) for a in together] == [maps(b) for b in alone]
    assert 0 < shares.network_s < shares.wall_s


def test_the_next_case_is_read_while_the_network_works(tmp_path, model, monkeypatch):
    """The network of the first case waits for the second to be read: without overlap it would wait in vain."""
    cases = scans(tmp_path / "a", 2)
    read = {case.path: threading.Event() for case in cases}
    real_read, real_segment, waited = case_pipeline.read_volume, case_pipeline.segment_volume, []

    def reading(path, **options):
        volume = real_read(path, **options)
        read[path].set()
        return volume

    def segmenting(volume, *rest):
        if not waited:
            waited.append(read[cases[1].path].wait(WAIT_S))
        return real_segment(volume, *rest)

    monkeypatch.setattr(case_pipeline, "read_volume", reading)
    monkeypatch.setattr(case_pipeline, "segment_volume", segmenting)
    run(model, cases)
    assert waited == [True]


def test_the_first_case_is_read_while_the_model_is_loaded(tmp_path, model, monkeypatch):
    cases, read, waited = scans(tmp_path / "a", 1), threading.Event(), []
    real_read = case_pipeline.read_volume

    def reading(path, **options):
        volume = real_read(path, **options)
        read.set()
        return volume

    def loading():
        waited.append(read.wait(WAIT_S))
        return model

    monkeypatch.setattr(case_pipeline, "read_volume", reading)
    told, _ = run(describe_model(model.folder), cases, loading)
    assert (waited, told) == ([True], ["scan0.nrrd"])


def test_a_model_that_cannot_be_loaded_ends_the_run_with_nothing_written(tmp_path, model):
    cases = scans(tmp_path / "a", 2)

    def loading():
        raise InputError("the weights are damaged")

    with pytest.raises(InputError, match="weights are damaged"):
        run(describe_model(model.folder), cases, loading)
    assert not any(case.folder.exists() for case in cases)


def test_a_scan_that_is_being_brought_when_the_run_ends_is_not_read(tmp_path, model, monkeypatch):
    (case,), begun, refused, read = scans(tmp_path / "a", 1), threading.Event(), threading.Event(), []

    def bringing():
        begun.set()
        refused.wait(WAIT_S)
        time.sleep(0.2)  # the run has ended then

    def loading():
        begun.wait(WAIT_S)
        refused.set()
        raise InputError("no such device")

    monkeypatch.setattr(case_pipeline, "read_volume", lambda path, **_: read.append(path))
    with pytest.raises(InputError, match="no such device"):
        run(describe_model(model.folder), [replace(case, prepare=bringing)], loading)
    assert not read


def test_a_case_is_written_while_the_network_works_on_the_next(tmp_path, model, monkeypatch):
    cases = scans(tmp_path / "a", 2)
    second_runs = threading.Event()
    real_write, real_segment, waited, runs = case_pipeline.write_case, case_pipeline.segment_volume, [], []

    def writing(*given, **options):
        if not waited:
            waited.append(second_runs.wait(WAIT_S))
        return real_write(*given, **options)

    def segmenting(*given):
        runs.append(1)
        if len(runs) == 2:
            second_runs.set()
        return real_segment(*given)

    monkeypatch.setattr(case_pipeline, "write_case", writing)
    monkeypatch.setattr(case_pipeline, "segment_volume", segmenting)
    run(model, cases)
    assert waited == [True]


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_a_bad_case_stops_no_other(tmp_path, model, bad):
    cases = scans(tmp_path / "a", 4)
    cases[bad].path.write_bytes(b"no image")
    told, _ = run(model, cases)
    assert len(told) == 4
    assert [case.path.name in line and ":" in line for case, line in zip(cases, told, strict=True)] == [
        n == bad for n in range(4)
    ]
    assert [case.folder.exists() for case in cases] == [n != bad for n in range(4)]


def test_a_case_that_cannot_be_written_stops_no_other(tmp_path, model, monkeypatch):
    cases = scans(tmp_path / "a", 3)
    real = case_pipeline.write_case

    def full_disk(result, folder, **options):
        if folder == cases[0].folder:
            raise ClamSegError("No space left.")
        return real(result, folder, **options)

    monkeypatch.setattr(case_pipeline, "write_case", full_disk)
    told, _ = run(model, cases)
    assert told == ["scan0.nrrd: No space left.", "scan1.nrrd", "scan2.nrrd"]


def test_cases_too_large_to_be_held_three_at_a_time_are_done_one_by_one(tmp_path, model, monkeypatch):
    cases = scans(tmp_path / "a", 3)
    monkeypatch.setattr(case_pipeline, "cpu_memory_mb", lambda: (1, 1))
    events: list[str] = []
    for name in ("read_volume", "segment_volume", "write_case"):
        real = getattr(case_pipeline, name)

        def noted(*given, real=real, name=name, **options):
            events.append(name)
            return real(*given, **options)

        monkeypatch.setattr(case_pipeline, name, noted)
    run(model, cases)
    assert events == ["read_volume", "segment_volume", "write_case"] * 3


UNRELIABLE = """
import os, sys
from ClamSegLib.imaging import reader_child
whole = reader_child.read_volume
reader_child.read_volume = lambda path, **options: os.abort() if path.name == "scan7.nrrd" else whole(path, **options)
sys.exit(reader_child.main(sys.argv[1:]))
"""


def test_a_batch_of_20_with_a_case_that_ends_its_reader_has_19_results(model, tmp_path, monkeypatch):
    reader = reader_process.ScanReader((sys.executable, "-P", "-c", UNRELIABLE))
    monkeypatch.setattr(reader_process._Shared, "reader", reader)
    cases = scans(tmp_path / "a", 20)
    told, _ = run(model, cases)
    reader.stop()
    assert sum((case.folder / "report.json").is_file() for case in cases) == 19
    assert [line[:40] for line in told if ":" in line] == [f"scan7.nrrd: {cases[7].path}"[:40]]
    assert "scan7.nrrd ended the process that reads files (SIGABRT)" in told[7]


def test_what_is_said_while_a_file_is_read_is_seen_and_what_c_libraries_print_is_not():
    code = (
        "import os, sys\n"
        "from ClamSegLib.system.silence_c_output import suppress_itk_output\n"
        "from ClamSegLib.system.progress import TerminalReporter\n"
        "teller = TerminalReporter()\n"
        "with suppress_itk_output():\n"
        "    os.write(2, b'libpng says\\n')\n"
        "    teller.note('case 2 of 3')\n"
        "teller.note('after')\n"
        "os.write(2, b'shown again\\n')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stderr.splitlines() == ["case 2 of 3", "after", "shown again"]


def test_a_batch_tells_the_share_of_the_network(tmp_path, capsys):
    from ClamSegLib.cli import main

    cases = scans(tmp_path / "a", 2)
    words = ["segment", *(str(c.path) for c in cases), "--model", str(tiny_model(tmp_path / "m")), "--device", "cpu"]
    assert main([*words, "--output", str(tmp_path / "out"), "--progress", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (told,) = [event["message"] for event in events if "2 cases in" in event.get("message", "")]
    assert "in the network" in told
