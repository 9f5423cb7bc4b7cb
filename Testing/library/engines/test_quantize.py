"""Networks in eight-bit numbers: made from slices, judged on others, taken only where they fit and help."""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.engines import build as engine_build
from ClamSegLib.engines import choose as engine_choice
from ClamSegLib.engines import quantize as quantizing
from ClamSegLib.engines.build import open_engine
from ClamSegLib.engines.choose import Work, choose_engine, engines_by_rule
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.engines.quantized import find_quantized
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.own_models import import_model
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.system.device import has_vnni
from ClamSegLib.system.installation import examine_installation
from ClamSegLib.system.progress import Reporter

CPU = torch.device("cpu")
FILES = ("int8.xml", "int8.bin", "int8.json")


class Heard(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Five patients of two normal and two diseased pictures each."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for patient in range(5):
        for kind, level in (("normal", 0), ("diseased", 120)):
            folder = root / kind / f"p{patient}-{kind}"
            folder.mkdir(parents=True)
            for number in range(2):
                image = rng.normal(100, 25, (40, 40))
                image[10:20, 12:25] += level
                sitk.WriteImage(sitk.GetImageFromArray(image.clip(0, 255).astype(np.uint8)), folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory, data) -> Path:
    """A model folder with the int8 network that the command wrote."""
    pytest.importorskip("nncf")
    if not has_vnni():
        pytest.skip("this processor does not compute eight-bit networks")
    folder = tiny_model(tmp_path_factory.mktemp("made") / "tiny")
    assert main(["export", str(folder), "--quantize", "--data", str(data), "--progress", "none"]) == 0
    return folder


@pytest.fixture
def model(made, tmp_path) -> LoadedModel:
    """A copy that a test may change."""
    return load_model(Path(shutil.copytree(made, tmp_path / "tiny")))


def work_of(model: LoadedModel, asked: str = "openvino", slices: int = 9) -> Work:
    array = np.random.default_rng(0).normal(size=(slices, 40, 44)).astype(np.float32)
    preparation = prepare(Volume(array), np.ones(array.shape, bool), model.config)
    return Work(preparation, model, model.config.network.depth, CPU, asked)


def test_the_command_writes_three_small_files_beside_the_weights_that_say_what_they_were_made_of(made):
    about = json.loads((made / "int8.json").read_text())
    config = json.loads((made / "config.json").read_text())
    assert about["weights_sha256"] == config["weights_sha256"]
    assert about["licence"] == config["licence"] == "Apache-2.0"
    assert 0.98 <= about["dice"] <= 1
    assert set(about["files"]) == {"int8.xml", "int8.bin"}
    assert {path.name for path in made.glob("*int8*")} == set(FILES), "nothing is left beside them"
    text = (made / "int8.xml").read_text()
    assert "FakeQuantize" in text
    assert str(made.parent) not in text
    assert sum((made / name).stat().st_size for name in FILES) < 3e6


def test_it_marks_as_the_network_as_trained_and_the_same_bits_each_time(made):
    model = load_model(made)
    image = np.random.default_rng(3).normal(size=(4, 1, 32, 32)).astype(np.float32)
    expected = open_engine(model, 2, CPU, EngineChoice()).run(image)[0]
    choice = EngineChoice("openvino", "int8", threads=1)
    first, again = (open_engine(model, 2, CPU, choice).run(image)[0] for _ in range(2))
    assert np.array_equal(first, again)
    assert np.abs(first - expected).max() > 0, "it rounds"
    assert np.abs(first - expected).mean() < 0.02
    alone = open_engine(model, 2, CPU, choice).run(image[2:3])[0]
    assert np.array_equal(alone[0], first[2]), "a slice's answer never depends on those beside it"


def test_large_slices_run_one_at_a_time_and_answer_alike(made, monkeypatch):
    model, choice = load_model(made), EngineChoice("openvino", "int8", threads=1)
    image = np.random.default_rng(3).normal(size=(3, 1, 32, 32)).astype(np.float32)
    together = open_engine(model, 2, CPU, choice).run(image)
    monkeypatch.setattr(engine_build, "_ONE_AT_A_TIME_PX", 32)
    for expected, found in zip(together, open_engine(model, 2, CPU, choice).run(image), strict=True):
        assert np.allclose(expected, found, atol=1e-5)


def test_it_is_the_first_of_the_rule_and_taken_where_it_agrees(model, monkeypatch):
    assert engines_by_rule("auto", CPU, int8=True)[0] == ("openvino", "int8")
    assert ("openvino", "int8") not in engines_by_rule("auto", CPU)
    monkeypatch.setattr(engine_choice, "SMALLEST_AGREEMENT_INT8", 0.9)  # noise lies near the threshold everywhere
    assert choose_engine(work_of(model)).engine.choice.precision == "int8"


def test_auto_takes_it_for_less_work_than_engines_that_must_be_converted(model, monkeypatch):
    monkeypatch.setattr(engine_choice, "SMALLEST_AGREEMENT_INT8", 0.9)
    assert choose_engine(work_of(model, "auto")).engine.choice.engine == "reference"
    monkeypatch.setattr(engine_choice, "_LITTLE_WORK_INT8_GFLOP", 0.0)
    assert choose_engine(work_of(model, "auto")).engine.choice.precision == "int8"
    monkeypatch.setattr(engine_choice, "SMALLEST_AGREEMENT_INT8", 1.1)
    fresh, heard = replace(model, engines={}), Heard()
    assert choose_engine(work_of(fresh, "auto"), heard).engine.choice.engine == "reference", "nothing is converted"
    assert "int8" in heard.notes[0]
    assert "not taken" in heard.notes[0]


def test_a_processor_without_vnni_computes_in_float32_and_says_so_when_asked_to_make_one(
    model, data, monkeypatch, capsys
):
    monkeypatch.setattr(engine_choice, "has_vnni", lambda: False)
    monkeypatch.setattr(engine_choice, "is_bfloat16_fast", lambda kind: False)
    assert choose_engine(work_of(model)).engine.choice.precision == "float32"
    monkeypatch.setattr(quantizing, "has_vnni", lambda: False)
    assert main(["export", str(model.folder), "--quantize", "--data", str(data), "--progress", "none"]) == 2
    assert "VNNI" in capsys.readouterr().err


@pytest.mark.parametrize("harm", ["bin", "xml", "missing", "weights", "words"])
def test_files_that_are_not_those_that_were_made_are_passed_over_with_a_word(model, harm):
    folder = model.folder
    if harm in ("bin", "xml"):
        path = folder / f"int8.{harm}"
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    elif harm == "missing":
        (folder / "int8.bin").unlink()
    elif harm == "weights":
        model = replace(model, config=replace(model.config, weights_sha256="0" * 64), engines={})
    else:
        (folder / "int8.json").write_text("[" * 5000)
    heard = Heard()
    assert choose_engine(work_of(model), heard).engine.choice.precision != "int8"
    assert "clamseg export --quantize" in heard.notes[0]


def test_another_level_than_the_one_that_was_made_runs_in_float(model):
    work = replace(work_of(model), level=1)
    assert choose_engine(work).engine.choice.precision != "int8"


def test_masks_that_differ_too_much_are_refused_and_nothing_is_written(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("nncf")
    if not has_vnni():
        pytest.skip("this processor does not compute eight-bit networks")
    folder = tiny_model(tmp_path / "tiny")
    monkeypatch.setattr(quantizing, "SMALLEST_DICE", 1.01)
    before = sorted(folder.iterdir())
    assert main(["export", str(folder), "--quantize", "--data", str(data), "--progress", "none"]) == 1
    told = capsys.readouterr().err
    assert "layers go back to float32" in told or "is not taken" in told
    assert "nothing was written" in told
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--quantize"], "--data"),
        (["--quantize", "--data", "DATA", "--format", "onnx"], "leave out --format"),
        (["--data", "DATA", "--format", "onnx", "--output", "x"], "belong to --quantize"),
        (["--format", "onnx"], "--output"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_a_line(tmp_path, data, capsys, words, why):
    folder = tiny_model(tmp_path / "tiny")
    assert main(["export", str(folder), *(str(data) if word == "DATA" else word for word in words)]) == 2
    told = capsys.readouterr().err
    assert why in told
    assert "Traceback" not in told


def test_without_nncf_the_extra_is_named(tmp_path, data, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nncf", None)
    monkeypatch.setattr(quantizing, "has_vnni", lambda: True)
    pytest.importorskip("openvino")
    assert main(["export", str(tiny_model(tmp_path / "tiny")), "--quantize", "--data", str(data)]) == 2
    assert "clamseg[quantize]" in capsys.readouterr().err


def test_the_files_go_with_an_imported_model_and_go_when_its_weights_do(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path / "own"))
    copied = load_model(import_model(model.folder, "copied"))
    assert find_quantized(copied) is not None
    tiny_model(copied.folder)
    assert not (copied.folder / "int8.json").exists(), "they were made of the weights before"


def test_quantising_reports_nothing_over_the_network():
    """In a process of its own: NNCF decides once, when it is imported, whom it tells."""
    pytest.importorskip("nncf")
    code = (
        "from ClamSegLib.engines.quantize import _import_nncf; _import_nncf(); import sys;"
        "from nncf.telemetry.wrapper import telemetry;"
        "print(sys.modules['openvino_telemetry'], hasattr(telemetry, '_telemetry') and type(telemetry).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[0] == "None", "the package that would send is not there for it"
    assert done.stdout.split()[1] != "NNCFTelemetry"


def test_the_installation_says_whether_the_processor_computes_eight_bits():
    assert examine_installation()["vnni"] is has_vnni()


def test_a_training_writes_it_only_where_scans_gain_by_it(monkeypatch, tmp_path):
    from ClamSegLib.training import finish_int8

    model = load_model(tiny_model(tmp_path / "tiny"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(finish_int8, "has_vnni", lambda: True)
    heard = Heard()
    finish_int8.quantize_where_it_helps(tmp_path / "nowhere", None, heard)
    assert "No int8 network" in heard.notes[0], "a training never fails by it"
    for error in (MemoryError(), ImportError("libopenvino.so: failed to map segment from shared object")):
        with monkeypatch.context() as short:
            short.setattr(finish_int8, "_quantize", lambda *_, error=error: (_ for _ in ()).throw(error))
            finish_int8.quantize_where_it_helps(model.folder, None, heard)
        assert "No int8 network: Memory ran out" in heard.notes[-1]
    asked: list[float] = []
    monkeypatch.setattr(finish_int8, "int8_pays", lambda gflop: asked.append(gflop) or False)
    finish_int8.quantize_where_it_helps(model.folder, None, Reporter())
    assert asked[0] > 0
    assert not (model.folder / "int8.json").exists()
