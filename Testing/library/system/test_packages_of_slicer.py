"""What a radiologist does in Slicer works with Slicer's own packages, PyTorch and safetensors, and with nothing else."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dicom_stacks import stack
from labelled_phantoms import write_phantoms
from packages_of_slicer import FROM_SETUP, NEW_IN_5_12, OF_SLICER, environment_of
from tiny_model import tiny_model

WITH_HIGHDICOM, WITHOUT = "5.12", "5.10"


class Slicer:
    """Python with the packages of one Slicer."""

    def __init__(self, python: Path, repository: Path, version: str) -> None:
        self.python, self.version = python, version
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self.variables = {**kept, "PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

    def call(self, *words: str, sent: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self.python), *words]
        return subprocess.run(
            command, input=sent, env=self.variables, capture_output=True, text=True, encoding="utf-8", check=False
        )


@pytest.fixture(scope="module", params=[WITH_HIGHDICOM, WITHOUT])
def slicer(request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Slicer:
    names = OF_SLICER + FROM_SETUP + (NEW_IN_5_12 if request.param == WITH_HIGHDICOM else ())
    folder = tmp_path_factory.mktemp(f"slicer-{request.param}")
    return Slicer(environment_of(folder, names), repository, request.param)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    stack(folder / "scan")
    tiny_model(folder / "model", "CT")
    write_phantoms(folder / "labelled", patients=7)
    return folder


def test_the_environment_holds_slicers_packages_and_no_other(slicer: Slicer) -> None:
    ask = (
        "import importlib.util as u, json\n"
        "print(json.dumps({n: u.find_spec(n) is not None for n in "
        "('numpy', 'PIL', 'requests', 'dicomweb_client', 'torch', 'safetensors', 'highdicom', 'matplotlib', 'optuna', "
        "'monai', 'onnx', 'openvino', 'yaml', 'tqdm', 'pip')}))"
    )
    there = json.loads(slicer.call("-c", ask).stdout)
    wanted = {"numpy", "PIL", "requests", "dicomweb_client", "torch", "safetensors"}
    if slicer.version == WITH_HIGHDICOM:
        wanted.add("highdicom")
    assert {name for name, found in there.items() if found} == wanted


def test_the_worker_says_that_all_is_there_segments_and_writes_dicom_seg(
    slicer: Slicer, data: Path, tmp_path: Path
) -> None:
    segment = {"command": "segment", "input": str(data / "scan"), "model": str(data / "model")}
    requests = [
        {"id": 1, "command": "hello"},
        {"id": 2, **segment, "output": str(tmp_path / "panel"), "arrays": True, "pictures": False},
        {"id": 3, **segment, "output": str(tmp_path / "files")},
        {
            "id": 4,
            "command": "dicom_seg",
            "segmentation": str(tmp_path / "files" / "segmentation.seg.nrrd"),
            "input": str(data / "scan"),
            "output": str(tmp_path / "seg.dcm"),
        },
    ]
    run = slicer.call("-m", "ClamSegLib", "worker", sent="".join(json.dumps(each) + "\n" for each in requests))
    assert run.returncode == 0, run.stderr[-2000:]
    events = [json.loads(line) for line in run.stdout.splitlines()]
    last = {event["id"]: event for event in events if event["event"] in ("done", "error")}
    assert last[1]["problems"] == []
    assert [last[number]["event"] for number in (1, 2, 3)] == ["done", "done", "done"], last
    labels = np.load(tmp_path / "panel" / "labels.npy", allow_pickle=False)
    assert labels.shape == (6, 20, 24)
    told = [event for event in events if event["id"] == 3 and event["event"] == "note"]
    assert any("Matplotlib is not installed" in event["message"] for event in told)
    assert (tmp_path / "files" / "segmentation.seg.nrrd").is_file()
    assert not (tmp_path / "files" / "overlay.png").exists()
    if slicer.version == WITH_HIGHDICOM:
        assert (tmp_path / "seg.dcm").stat().st_size > 1000, last[4]
    else:
        assert "highdicom" in last[4]["message"]
        assert not (tmp_path / "seg.dcm").exists()


def test_a_training_ends_with_a_model_and_says_first_that_no_curves_are_drawn(
    slicer: Slicer, data: Path, tmp_path: Path
) -> None:
    small = ["--steps", "6", "--features", "4,8,8", "--image-size", "32", "--batch-pairs", "2"]
    small += ["--organ", "whole", "--device", "cpu", "--progress", "json"]
    output = tmp_path / "model"
    run = slicer.call("-m", "ClamSegLib", "train", str(data / "labelled"), "--output", str(output), *small)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    events = [json.loads(line) for line in (output / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert "Matplotlib is not installed" in events[0]["message"]
    assert "preview" in {event["event"] for event in events}
    assert events[-1]["event"] == "done"
    assert (output / "weights.safetensors").is_file()
    assert (output / "metrics.csv").is_file()
    assert not (output / "curves.png").exists()
