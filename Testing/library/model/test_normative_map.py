"""The map of normal tissue applied to slices, and models that are made with it in every engine."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny_normative_model

from ClamSegLib.cli import main
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.model.normative_map import NormativeMap, asymmetry, from_frame, standardised, to_frame
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume


def disc(side: int = 64, column: float = 31.5, radius: float = 22) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (y - 31.5) ** 2 + (x - column) ** 2 < radius**2


def flat_map(frame: str = "crop", *, symmetric: bool = True, nodes: int = 3) -> NormativeMap:
    mean = np.zeros((nodes, 64, 64), np.float16)
    mean += np.linspace(0, 2, nodes, dtype=np.float16)[:, None, None]
    return NormativeMap(mean, np.full(mean.shape, 0.7, np.float16), NormativeConfig(frame, nodes=nodes), symmetric)


def test_the_map_is_read_between_its_heights():
    known = flat_map()
    assert known.at(0.25)[0] == pytest.approx(0.5)
    assert known.at(1.0)[0] == pytest.approx(2.0)
    assert known.at(7.0)[0] == pytest.approx(2.0), "beyond the organ its end serves"
    assert flat_map(nodes=1).at(0.9)[0] == pytest.approx(0.0)


def test_what_is_unlike_normal_tissue_stands_out_in_units_of_its_spread():
    organ, x = disc(), np.zeros((64, 64), np.float32)
    x[30:36, 40:46] = 3
    z, m, a = (one[0] for one in flat_map(symmetric=False).apply(x[None], organ[None], np.zeros(1)))
    assert z[32, 42] == pytest.approx(3 / (0.7 + 0.3), abs=1e-3)
    assert not z[~organ].any()
    assert not m.any(), "an organ that is not symmetric has no left-right difference"
    assert a[32, 42] == a.max()


@pytest.mark.parametrize("frame", ["crop", "box"])
def test_the_same_on_both_sides_leaves_no_left_right_difference(frame):
    organ, z = disc(column=31.5 if frame == "crop" else 27.5), np.zeros((64, 64), np.float32)
    middle = 31.5 if frame == "crop" else 27.5
    left, right = int(middle - 9.5), int(middle + 9.5)
    z[28:34, [left, right]] = 5
    assert np.abs(asymmetry(z, organ, frame)).max() == 0
    z[28:34, right] = 0
    found = asymmetry(z, organ, frame)
    assert found[30, left] == 5
    assert found[30, right] == -5


@pytest.mark.parametrize("frame", ["crop", "box"])
def test_a_field_comes_back_from_the_frame_to_its_place(frame):
    organ = disc(column=35, radius=18)
    field = np.linspace(0, 1, 64, dtype=np.float32)[:, None] + np.linspace(0, 2, 64, dtype=np.float32)[None]
    back = from_frame(to_frame(field, organ, frame, 32), organ, frame)
    inside = disc(column=35, radius=15)
    assert np.abs(back - field)[inside].max() < 0.03


def test_slices_without_organ_and_flat_slices_stay_finite():
    known, empty = flat_map(), np.zeros((64, 64), bool)
    found = known.channels(
        np.ones((2, 64, 64), np.float32), np.stack([empty, disc()]), np.array([0.1, 0.9], np.float32)
    )
    assert np.isfinite(found).all()
    assert not found[0, 1:].any()
    assert np.isfinite(standardised(np.ones((8, 8)), np.ones((8, 8), bool))).all()


def noise(slices: int = 7) -> Volume:
    array = np.random.default_rng(1).normal(100, 20, (slices, 40, 44)).astype(np.float32)
    return Volume(array, modality="MR")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "openvino", "mnn"])
def test_every_engine_gives_what_the_network_gives_as_it_was_trained(tmp_path, engine, monkeypatch):
    pytest.importorskip({"torch": "torch", "openvino": "openvino", "mnn": "MNN"}[engine])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = load_model(tiny_normative_model(tmp_path / "tiny"))
    reference = segment_volume(noise(), model, SegmentOptions(device="cpu", engine="reference"))
    other = segment_volume(noise(), model, SegmentOptions(device="cpu", engine=engine))
    assert other.engine["engine"] == engine
    assert reference.probability.std() > 1, "a flat map would agree with anything"
    assert np.abs(reference.probability.astype(int) - other.probability).max() <= 2


def test_smoothing_across_slices_averages_log_odds(tmp_path):
    model = load_model(tiny_normative_model(tmp_path / "tiny", slice_smoothing=True))
    alone = segment_volume(noise(), model, SegmentOptions(device="cpu", engine="reference", slice_smoothing=False))
    smooth = segment_volume(noise(), model, SegmentOptions(device="cpu", engine="reference"))
    assert smooth.slice_smoothing
    p = np.clip(alone.probability[0, 2:5] / 255, 1e-3, 1 - 1e-3)
    odds = np.log(p / (1 - p))
    expected = 1 / (1 + np.exp(-(odds[0] / 4 + odds[1] / 2 + odds[2] / 4)))
    off = np.abs(smooth.probability[0, 3] / 255 - expected)
    assert off.mean() < 0.01
    assert off.max() < 0.05, "crops are smaller than the slice, so their edges blur a little"


@pytest.mark.parametrize("slices", [1, 2])
def test_a_volume_of_few_slices_is_segmented(tmp_path, slices):
    model = load_model(tiny_normative_model(tmp_path / "tiny"))
    assert segment_volume(noise(slices), model, SegmentOptions(device="cpu")).n_slices == slices


@pytest.mark.slow
def test_an_export_carries_the_map_and_says_how_its_input_is_made(tmp_path: Path):
    pytest.importorskip("onnxscript")
    model, out = tiny_normative_model(tmp_path / "tiny"), tmp_path / "out"
    assert main(["export", str(model), "--format", "onnx", "--output", str(out), "--progress", "none"]) == 0
    assert "(batch, 3, size, size)" in json.loads((out / "model.json").read_text())["input"]
    assert (out / "normative.safetensors").read_bytes() == (model / "normative.safetensors").read_bytes()
