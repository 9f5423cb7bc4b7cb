"""The worker as the panel runs it: a process of its own, JSON lines on its pipes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny_model

from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.seg_nrrd import read_segmentation
from ClamSegLib.imaging.volume import Volume


class Panel:
    """Starts the worker and speaks with it."""

    def __init__(self, *words: str, first_on_path: str = "") -> None:
        path = os.pathsep.join(part for part in (first_on_path, str(Path(__file__).parents[3])) if part)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        command = [sys.executable, "-m", "ClamSegLib", "worker", *words]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.started = json.loads(self.process.stdout.readline())

    def send(self, text: str) -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, request: dict) -> list[dict]:
        """All events of a request."""
        self.send(json.dumps(request))
        return self.answers()

    def answers(self) -> list[dict]:
        events = []
        while not events or events[-1]["event"] not in ("done", "error"):
            line = self.process.stdout.readline()
            assert line, "the worker ended: " + self.process.stderr.read()[-2000:]
            events.append(json.loads(line))
        return events

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait()


@pytest.fixture
def panel():
    worker = Panel()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


def scan(folder: Path, slices: int = 4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).integers(0, 900, (slices, 40, 44)).astype(np.int16)
    write_volume(array, Volume(array), folder / "scan größe.nrrd", compress=False)
    return folder / "scan größe.nrrd"


def test_bad_requests_never_end_the_worker_and_good_ones_are_answered(tmp_path, panel, model):
    panel.send("no json")
    assert panel.answers()[-1] == {"event": "error", "id": None, "message": panel_message("json"), "code": 2}
    for request, words in (
        ({"id": 1}, "command"),
        ({"id": 2, "command": "dance"}, "command"),
        ({"id": 3, "command": "segment"}, "input, model, output"),
        ({"id": 4, "command": "segment", "input": "/nowhere.nii", "model": str(model), "output": str(tmp_path / "a")}, "does not exist"),
        ({"id": 5, "command": "segment", "input": "x", "model": "no-such", "output": str(tmp_path / "a")}, "no model"),
        ({"id": 6, "command": "segment", "input": "x", "model": str(model), "output": str(tmp_path / "a"), "options": {"speed": 3}}, "speed"),
        ({"id": 7, "command": "segment", "input": "x", "model": str(model), "output": str(tmp_path / "a"), "options": {"threshold": 7}}, "threshold"),
        ({"id": 8, "command": "segment", "input": "x", "model": str(model), "output": str(tmp_path / "a"), "options": {"level": "2"}}, "options.level"),
    ):  # fmt: skip
        last = panel.ask(request)[-1]
        assert (last["event"], last["id"], last["code"]) == ("error", request["id"], 2)
        assert words in last["message"]
    out = tmp_path / "case"
    events = panel.ask(
        {
            "id": "x",
            "command": "segment",
            "input": str(scan(tmp_path / "ordner")),
            "model": str(model),
            "output": str(out),
        }
    )
    assert events[-1]["event"] == "done"
    assert events[-1]["summary"].endswith("4 of 4 slices analysed")
    assert {e["id"] for e in events} == {"x"}
    assert (out / "segmentation.seg.nrrd").is_file()


def panel_message(kind: str) -> str:
    return {"json": "The line is not JSON; send one JSON object a line."}[kind]


def test_the_worker_says_what_it_has(panel, model, monkeypatch):
    told = panel.ask({"id": 0, "command": "hello"})[-1]
    assert told["devices"][0]["name"] == "cpu"
    assert told["torch"]
    assert isinstance(told["models"], list)
    assert set(told["engines"]) == {"openvino", "mnn"}


def test_a_scan_is_read_into_an_array_with_its_place_in_the_patient(tmp_path, panel):
    array = np.arange(3 * 5 * 7, dtype=np.int16).reshape(3, 5, 7)
    direction = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    volume = Volume(array, spacing_mm=(0.5, 0.75, 2.5), origin=(-10.0, 20.0, 30.5), direction=direction)
    write_volume(array, volume, tmp_path / "scan.nii.gz")
    request = {"command": "read", "input": str(tmp_path / "scan.nii.gz"), "output": str(tmp_path / "out")}
    told = panel.ask({"id": 1, **request})[-1]
    assert told["event"] == "done"
    read = np.load(tmp_path / "out" / "voxels.npy", allow_pickle=False)
    expected = read_volume(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(read, expected.array)
    assert told["shape"] == list(read.shape)
    for name in ("spacing_mm", "origin", "direction"):
        np.testing.assert_allclose(told[name], getattr(expected, name))
    assert (told["spacing_known"], told["is_picture"], told["modality"]) == (True, False, "")


def test_a_picture_says_that_its_place_is_unknown(tmp_path, panel):
    sample = Path(__file__).parents[3] / "Resources" / "Samples" / "xray_chest.png"
    told = panel.ask({"id": 1, "command": "read", "input": str(sample), "output": str(tmp_path / "out")})[-1]
    assert (told["is_picture"], told["spacing_known"], told["shape"][0]) == (True, False, 1)


def test_what_cannot_be_read_is_told_and_leaves_no_array(tmp_path, panel):
    (tmp_path / "damaged.nrrd").write_bytes(scan(tmp_path).read_bytes()[:120])
    (tmp_path / "empty").mkdir()
    for name in ("damaged.nrrd", "empty", "gone.nii"):
        request = {"command": "read", "input": str(tmp_path / name), "output": str(tmp_path / "out")}
        error = panel.ask({"id": 1, **request})[-1]
        assert (error["event"], error["code"]) == ("error", 2), name
        assert name in error["message"]
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
    assert "input, output" in panel.ask({"id": 2, "command": "read"})[-1]["message"]


def test_results_equal_those_of_the_command_line(tmp_path, panel, model):
    from ClamSegLib.cli import main

    source = scan(tmp_path)
    panel.ask(
        {
            "id": 1,
            "command": "segment",
            "input": str(source),
            "model": str(model),
            "output": str(tmp_path / "a"),
            "options": {"threshold": 0.2},
        }
    )
    assert (
        main(
            [
                "segment",
                str(source),
                "--model",
                str(model),
                "--output",
                str(tmp_path / "b"),
                "--threshold",
                "0.2",
                "--progress",
                "none",
            ]
        )
        == 0
    )
    for name in ("segmentation.seg.nrrd", "probability.nrrd", "lesions.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / source.stem / name).read_bytes()


def test_a_killed_worker_leaves_no_visible_output(tmp_path, panel, model):
    source = scan(tmp_path, 400)
    panel.send(
        json.dumps(
            {
                "id": 1,
                "command": "segment",
                "input": str(source),
                "model": str(model),
                "output": str(tmp_path / "out" / "case"),
            }
        )
    )
    while json.loads(panel.process.stdout.readline()).get("stage") != "segmenting slices":
        pass
    panel.process.send_signal(signal.SIGKILL)
    panel.process.wait()
    visible = (
        [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")]
        if (tmp_path / "out").exists()
        else []
    )
    assert visible == []


def test_the_worker_ends_with_its_panel(panel):
    panel.ask({"id": 0, "command": "hello"})
    panel.process.stdin.close()
    assert panel.process.wait(timeout=30) == 0


def test_quit_ends_the_worker(panel):
    assert panel.ask({"id": 9, "command": "quit"})[-1] == {"event": "done", "id": 9}
    assert panel.process.wait(timeout=30) == 0


def test_an_existing_folder_is_kept(tmp_path, panel, model):
    out = tmp_path / "case"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    last = panel.ask(
        {"id": 1, "command": "segment", "input": str(scan(tmp_path)), "model": str(model), "output": str(out)}
    )[-1]
    assert last["code"] == 2
    assert (out / "mine.txt").exists()


def test_a_model_changed_on_disk_is_loaded_again(tmp_path, panel):
    folder = tiny_model(tmp_path / "changing")
    source = scan(tmp_path)
    request = {"id": 1, "command": "segment", "input": str(source), "model": str(folder), "overwrite": True}
    panel.ask({**request, "output": str(tmp_path / "a")})
    time.sleep(0.01)
    (folder / "weights.safetensors").write_bytes(b"damaged")
    assert panel.ask({**request, "output": str(tmp_path / "b")})[-1]["event"] == "done", "the loaded model goes on"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "threshold": 0.25}))
    assert "SHA-256" in panel.ask({**request, "output": str(tmp_path / "c")})[-1]["message"], "decoded otherwise"
    (folder / "config.json").write_text(json.dumps({**config, "weights_sha256": "0" * 64}))
    assert "SHA-256" in panel.ask({**request, "output": str(tmp_path / "c")})[-1]["message"]


def test_the_first_line_names_the_process_that_a_front_must_kill(panel):
    assert panel.started["event"] == "started"
    assert panel.started["pid"] == panel.process.pid
    assert panel.started["protocol"] == 1


def test_an_inspection_comes_before_the_network_and_is_not_done_twice(tmp_path, panel, model):
    request = {"input": str(scan(tmp_path)), "model": str(model), "options": {"device": "cpu", "organ": "none"}}
    told = panel.ask({"id": 1, "command": "inspect", **request})
    assert told[-1]["organ"] == {"method": "whole", "quality": 1.0, "fell_back": False, "problem": ""}
    assert told[-1]["slices"] == 4
    assert not any(event.get("stage") == "segmenting slices" for event in told)
    events = panel.ask({"id": 2, "command": "segment", **request, "output": str(tmp_path / "out")})
    stages = [event["stage"] for event in events if event["event"] == "progress"]
    assert "reading" not in stages
    assert events[-1]["event"] == "done"
    again = panel.ask({"id": 3, "command": "segment", **request, "output": str(tmp_path / "again")})
    assert "reading" in [event["stage"] for event in again if event["event"] == "progress"]


def test_an_inspection_gives_the_organs_outline_in_the_frame_of_the_input(tmp_path, panel, model):
    drawn = np.zeros((4, 40, 44), np.uint8)
    drawn[1:3, 5:20, 8:30] = 1
    turned = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    volume = Volume(np.random.default_rng(0).integers(0, 900, drawn.shape).astype(np.int16), direction=turned)
    write_volume(volume.array, volume, tmp_path / "scan.nrrd")
    write_volume(drawn, volume, tmp_path / "organ.nrrd")
    options = {"device": "cpu", "organ": str(tmp_path / "organ.nrrd")}
    request = {"input": str(tmp_path / "scan.nrrd"), "model": str(model), "options": options}
    told = panel.ask({"id": 1, "command": "inspect", **request, "outline": str(tmp_path / "outline.npy")})
    assert told[-1]["event"] == "done", told
    assert np.array_equal(np.load(tmp_path / "outline.npy"), drawn)
    told = panel.ask({"id": 2, "command": "inspect", **request, "outline": str(tmp_path / "gone" / "outline.npy")})
    assert "choose another place" in told[-1]["message"]


def test_a_file_that_changed_after_the_look_is_read_again(tmp_path, panel, model):
    path = scan(tmp_path)
    request = {"input": str(path), "model": str(model), "options": {"device": "cpu", "organ": "none"}}
    panel.ask({"id": 1, "command": "inspect", **request})
    scan(tmp_path, slices=6)
    events = panel.ask({"id": 2, "command": "segment", **request, "output": str(tmp_path / "out")})
    assert events[-1]["summary"].endswith("6 of 6 slices analysed")


def test_arrays_for_a_front_equal_the_image_files(tmp_path, panel, model):
    request = {"input": str(scan(tmp_path)), "model": str(model), "options": {"device": "cpu", "organ": "none"}}
    panel.ask({"id": 1, "command": "segment", **request, "output": str(tmp_path / "files")})
    accepted = ["The volume looks like MRI, the model was made for CT."]
    wanted = {"arrays": True, "pictures": False, "accepted": accepted}
    panel.ask({"id": 2, "command": "segment", **request, "output": str(tmp_path / "arrays"), **wanted})
    names = sorted(path.name for path in (tmp_path / "arrays").iterdir())
    assert names == ["components.npy", "labels.npy", "lesions.csv", "probability.npy", "report.json"]
    array = np.load(tmp_path / "arrays" / "probability.npy", allow_pickle=False)
    assert np.array_equal(array, read_volume(tmp_path / "files" / "probability.nrrd").array)
    labels = np.load(tmp_path / "arrays" / "labels.npy", allow_pickle=False)
    segments = read_segmentation(tmp_path / "files" / "segmentation.seg.nrrd", read_volume(scan(tmp_path)))
    masks = {segment.id: segment.mask for segment in segments}
    assert np.array_equal(labels > 0, masks["organ"])
    assert np.array_equal(labels == 2, masks["lesion-lesion"])
    components = np.load(tmp_path / "arrays" / "components.npy", allow_pickle=False)
    assert np.array_equal(components > 0, labels == 2)
    assert components.itemsize == 1, "a front reads no more than it has to"
    told = json.loads((tmp_path / "arrays" / "report.json").read_text())
    assert np.bincount(components[components > 0])[1:].tolist() == [lesion["area_px"] for lesion in told["lesions"]]
    assert told["accepted_warnings"] == accepted


def test_a_look_at_the_slice_on_screen_comes_before_the_run_and_is_no_part_of_the_result(tmp_path, panel, model):
    request = {
        "command": "segment",
        "input": str(scan(tmp_path, 20)),
        "model": str(model),
        "arrays": True,
        "pictures": False,
    }
    look = {"first_slice": [9, 20, 22], "first_file": str(tmp_path / "first.npy")}
    events = panel.ask({"id": 1, **request, "output": str(tmp_path / "looked"), **look})
    kinds = [event["event"] for event in events]
    told = events[kinds.index("preview")]
    assert (told["id"], told["file"], told["slices"]) == (1, look["first_file"], [6, 12])
    slices_run = next(k for k, event in enumerate(events) if event.get("stage") == "segmenting slices")
    assert kinds.index("preview") < slices_run
    shown = np.load(tmp_path / "first.npy", allow_pickle=False)
    labels = np.load(tmp_path / "looked" / "labels.npy", allow_pickle=False)
    assert told["start"] == [6, 0, 0]
    assert (shown.shape, shown.dtype) == ((7, 40, 44), np.uint8)
    assert np.array_equal(shown > 0, labels[6:13] > 0)
    panel.ask({"id": 2, **request, "output": str(tmp_path / "plain")})
    files = {path.name for path in (tmp_path / "plain").iterdir()}
    assert {path.name for path in (tmp_path / "looked").iterdir()} == files
    for name in ("labels", "probability", "components"):
        assert (tmp_path / "looked" / f"{name}.npy").read_bytes() == (tmp_path / "plain" / f"{name}.npy").read_bytes()
    for wrong, words in (
        ({"first_slice": [9, 20]}, "three whole numbers"),
        ({"first_slice": [20, 0, 0]}, "outside of the scan, whose last voxel is [19, 39, 43]"),
        ({"first_file": None}, "first_file as text"),
        ({"first_file": str(tmp_path / "nowhere" / "first.npy")}, "cannot be written"),
    ):
        last = panel.ask({"id": 3, **request, "output": str(tmp_path / "wrong"), **look, **wrong})[-1]
        assert (last["event"], words in last["message"], "\n" in last["message"]) == ("error", True, False), last
        assert not (tmp_path / "wrong").exists()


def test_an_engine_that_was_just_installed_is_tried_on_a_model(panel, model):
    pytest.importorskip("MNN")
    told = panel.ask({"id": 1, "command": "try_engine", "engine": "mnn", "model": str(model)})[-1]
    assert (told["event"], told["engine"]) == ("done", "mnn")
    assert told["difference"] < 0.01
    error = panel.ask({"id": 2, "command": "try_engine", "engine": "faster", "model": str(model)})[-1]
    assert (error["event"], error["code"]) == ("error", 2)
    assert "allowed are openvino, mnn" in error["message"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("raise ImportError('libtorch_cpu.so: cannot open shared object file')", "does not load"),
        ("import torch._C_that_is_gone", "only in part"),
        ("ones = None", "does not compute"),
        ("raise SystemExit('no driver')", "does not load (SystemExit: no driver)"),
    ],
)
def test_a_half_installed_torch_is_told_and_never_a_traceback(tmp_path, model, content, words):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(content)
    worker = Panel(first_on_path=str(tmp_path))
    try:
        told = worker.ask({"id": 1, "command": "hello"})[-1]
        assert told["event"] == "done"
        assert told["torch"] is None
        assert words in told["problems"][0]
        assert "Repair" in told["problems"][0]
        assert {entry["name"] for entry in told["models"]} >= {"ct-lung-lesion"}
        request = {"input": str(scan(tmp_path)), "model": str(model), "output": str(tmp_path / "out")}
        error = worker.ask({"id": 2, "command": "segment", **request})[-1]
        assert (error["event"], error["code"]) == ("error", 2)
        assert words in error["message"]
        assert not (tmp_path / "out").exists()
    finally:
        worker.close()


@pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")
def test_a_worker_ends_when_its_front_is_gone_and_leads_its_own_group():
    front = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    worker = Panel("--parent", str(front.pid))
    try:
        assert os.getpgid(worker.process.pid) == worker.process.pid
        assert worker.process.poll() is None
        front.kill()
        front.wait()
        assert worker.process.wait(timeout=10) == 1
    finally:
        worker.close()
