import json
import shutil

import numpy as np
import pytest
import torch
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.engines.export import export_model
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.twin import decode
from ClamSegLib.system.errors import ClamSegError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


def answer(kind: str, folder, image: np.ndarray) -> list[np.ndarray]:
    if kind == "onnx":
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        return session.run(["probability", "disagreement"], {"image": image})
    openvino = pytest.importorskip("openvino")
    return list(
        openvino.Core().compile_model(folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image).values()
    )


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("level", [1, 2])
def test_the_exported_network_answers_as_torch_for_any_batch(tmp_path, folder, kind, level):
    pytest.importorskip("onnxscript" if kind == "onnx" else "openvino")
    out = tmp_path / "out"
    assert (
        main(
            ["export", str(folder), "--format", kind, "--output", str(out), "--level", str(level), "--progress", "none"]
        )
        == 0
    )
    model = load_model(folder)
    for batch in (1, 5):
        image = torch.randn(batch, 1, 32, 32)
        with torch.no_grad():
            expected = decode(model.twin(image, level), model.config)
        for own, other in zip(expected, answer(kind, out, image.numpy()), strict=True):
            assert np.allclose(own.numpy(), other, atol=1e-4)
    about = json.loads((out / "model.json").read_text())
    assert about["level"] == level
    assert about["largest_difference_from_torch"] < 1e-3
    assert about["model"]["odds_normal"]


def test_a_level_that_is_not_there_is_refused(tmp_path, folder, capsys):
    assert main(["export", str(folder), "--format", "onnx", "--output", str(tmp_path / "x"), "--level", "9"]) == 2
    assert "levels 1 to 2" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_a_model_without_odds_is_refused_in_the_words_that_segment_has_for_it(tmp_path, folder, capsys, kind):
    bare = shutil.copytree(folder, tmp_path / "bare")
    values = json.loads((bare / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**values, "odds_normal": []}))
    assert main(["export", str(bare), "--format", kind, "--output", str(tmp_path / "x"), "--progress", "none"]) == 2
    assert "has no odds_normal in its config.json" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_network_that_answers_differently_is_not_written(tmp_path, folder, monkeypatch):
    from ClamSegLib.engines import export

    def wrong(graph, part):
        return lambda image: [np.full((len(image), 1, 32, 32), 0.7, np.float32)] * 2

    monkeypatch.setattr(export, "_write_onnx", wrong)
    with pytest.raises(ClamSegError, match="differs from torch"):
        export_model(load_model(folder), "onnx", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path, folder, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    assert main(["export", str(folder), "--format", "openvino", "--output", str(tmp_path / "x")]) == 2
    assert "clamseg[openvino]" in capsys.readouterr().err
