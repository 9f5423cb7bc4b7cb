"""MNN: a slice's answer is its own, nothing of the library is heard, and what it answers wrongly never becomes a mask."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_engine import ARCHITECTURES, CPU, crops, model_of, work_of
from tiny_model import tiny_model

from ClamSegLib.engines import conversion
from ClamSegLib.engines.build import engine_of_file, open_engine
from ClamSegLib.engines.choose import choose_engine
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.system.errors import ClamSegError, InputError

pytest.importorskip("MNN")
MNN = EngineChoice("mnn", threads=1)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAMSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_answers_as_the_trained_network(tmp_path, name):
    model = model_of(tmp_path, **ARCHITECTURES[name])
    level = model.config.network.heads
    reference = open_engine(model, level, CPU, EngineChoice()).run(crops())
    assert reference[0].std() > 0.01, "a flat map would agree with anything"
    for expected, found in zip(reference, open_engine(model, level, CPU, MNN).run(crops()), strict=True):
        assert np.allclose(expected, found, atol=2e-4)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mnn")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLAMSEG_CACHE", str(folder))
        return open_engine(model_of(folder), 2, CPU, MNN)


def test_a_slice_has_the_same_bytes_whatever_runs_beside_or_before_it_or_in_which_thread(engine):
    image = crops(7)
    whole = engine.run(image)
    for picked in ([0], [3, 4], [6, 1, 0], list(range(7))):
        assert all(np.array_equal(a[picked], b) for a, b in zip(whole, engine.run(image[picked]), strict=True))
    heard = []
    thread = threading.Thread(target=lambda: heard.append(engine.run(image)))
    thread.start()
    thread.join()
    assert np.array_equal(heard[0][0], whole[0])


def test_maps_stay_as_they_were_when_the_next_batch_runs(engine):
    first = engine.run(crops(2))
    kept = [maps.copy() for maps in first]
    engine.run(-crops(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


def test_no_slices_give_no_maps(engine):
    found, differs = engine.run(crops(0))
    assert found.shape == differs.shape == (0, 1, 32, 32)


def test_more_threads_and_the_lower_precision_mark_the_same_pixels(tmp_path):
    model = model_of(tmp_path)
    expected = open_engine(model, 2, CPU, MNN).run(crops())[0]
    for choice in (EngineChoice("mnn", threads=2), EngineChoice("mnn"), EngineChoice("mnn", "float16", threads=1)):
        assert np.allclose(open_engine(model, 2, CPU, choice).run(crops())[0], expected, atol=5e-3)


def test_a_precision_that_mnn_lacks_is_refused(tmp_path):
    with pytest.raises(InputError, match="float32 or float16, not in bfloat16"):
        open_engine(model_of(tmp_path), 2, CPU, replace(MNN, precision="bfloat16"))


def test_answers_that_are_no_numbers_or_of_another_shape_are_refused(tmp_path, cache):
    model = model_of(tmp_path)
    open_engine(model, 2, CPU, MNN)
    (path,) = cache.glob("mnn-*/model.mnn")
    with pytest.raises(ClamSegError, match="answered with shape"):
        engine_of_file(path, model_of(tmp_path, classes=3).config, 2, MNN).run(crops())
    with pytest.raises(ClamSegError, match=r"\(1, 32, 32\); \(1, 64, 64\) came"):
        engine_of_file(path, model.config, 2, MNN).run(np.zeros((1, 1, 64, 64), np.float32))
    torch.nn.init.constant_(model.twin.branches[0].heads["x_0_1"].bias, float("nan"))
    broken = replace(model, config=replace(model.config, weights_sha256="1"))
    with pytest.raises(ClamSegError, match="no numbers; run again with --engine reference"):
        open_engine(broken, 2, CPU, MNN).run(crops())


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "import os; os.abort()"])
def test_a_conversion_that_fails_or_crashes_leaves_the_reference_and_no_file(tmp_path, cache, monkeypatch, end):
    model = load_model(tiny_model(tmp_path / "tiny"))
    monkeypatch.setattr(conversion, "_CONVERTER", end)
    with pytest.raises(ClamSegError, match="could not convert"):
        open_engine(model, 2, CPU, MNN)
    assert choose_engine(work_of(model, "mnn")).engine.choice.engine == "reference"
    assert not cache.exists() or not list(cache.iterdir())


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    model = model_of(tmp_path)
    for name in ("onnxscript", "MNN"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError, match=r"clamseg\[mnn\]"):
            open_engine(model, 2, CPU, MNN)


RUN = """
import sys
sys.path[:0] = [{tests!r}, {tests!r} + "/engines"]
from pathlib import Path
from test_engine import CPU, EngineChoice, crops, model_of, open_engine
sys.stdout.write("before\\n")
engine = open_engine(model_of(Path({folder!r})), 2, CPU, EngineChoice("mnn", threads=1))
engine.run(crops())
engine.run(crops(1))
print([name for name in sys.modules if name.startswith("MNN.tools")])
"""


def test_nothing_that_mnn_prints_is_heard_and_nothing_of_it_that_tells_others_is_loaded(tmp_path, repository):
    """In a process of its own: the library prints when it is loaded."""
    code = RUN.format(tests=str(repository / "Testing" / "library"), folder=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "before\n[]\n"
    assert "device supports" not in done.stderr
    assert "Convert" not in done.stderr


def test_the_converter_loads_nothing_that_tells_others_of_it():
    told = conversion._CONVERTER.replace("raise SystemExit", "print(*sys.modules, file=sys.stderr)\nraise SystemExit")
    done = subprocess.run([sys.executable, "-c", told, "", "mnnconvert"], check=False, capture_output=True, text=True)
    loaded = done.stderr.split()
    assert "_tools" in loaded
    assert not {"urllib.request", "MNN.tools", "aliyun", "socket"} & set(loaded)
