"""Level by need: who leaves early, how the limit is found, and that the others are as deep as ever."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

from ClamSegLib.checkpoint import load_model
from ClamSegLib.cli import main
from ClamSegLib.config import EarlyExit, ModelConfig, NetworkConfig, from_json, to_json
from ClamSegLib.early_exit import LARGEST_LOSS, calibrate_early_exit, cost_of_levels, limit_of, slice_scores
from ClamSegLib.errors import InputError
from ClamSegLib.inference import SegmentOptions, segment_volume
from ClamSegLib.volume_files import read_volume

NORMAL, SICK = np.zeros(100, bool), np.ones(100, bool)
LABELS = np.concatenate([NORMAL, SICK])


def test_the_score_is_the_mean_of_the_strongest_hundredth_inside_the_organ():
    maps = np.zeros((2, 2, 20, 20), np.float32)
    organ = np.zeros((2, 20, 20), bool)
    organ[0, :10] = True
    maps[0, 1, 0, :4] = [0.9, 0.7, 0.1, 0.1]
    maps[0, 0, 15] = 1.0  # outside
    assert slice_scores(maps, organ) == pytest.approx([0.8, 0.0])


def test_where_scores_part_the_classes_all_but_the_strangest_normal_slices_leave():
    scores = np.concatenate([np.linspace(0, 0.3, 100), np.linspace(0.5, 1, 100)])
    limit = limit_of(scores, LABELS, np.full(200, 10))
    assert limit == pytest.approx(np.quantile(scores[:100], 0.95))


def test_diseased_slices_that_leave_hold_no_more_pixels_than_allowed():
    generator = np.random.default_rng(1)
    scores = generator.uniform(size=200)  # a score that says nothing
    pixels = generator.integers(1, 1000, 200)
    limit = limit_of(scores, LABELS, pixels)
    leaves = scores[LABELS] <= (limit if limit is not None else -1)
    assert pixels[LABELS][leaves].sum() <= LARGEST_LOSS * pixels[LABELS].sum()


def test_equal_scores_leave_together_or_not_at_all():
    scores = np.concatenate([np.zeros(100), np.zeros(100)])
    assert limit_of(scores, LABELS, np.full(200, 10)) is None


def test_diseased_slices_that_the_deepest_level_finds_empty_may_leave():
    scores = np.concatenate([np.full(100, 0.2), np.full(50, 0.1), np.full(50, 0.9)])
    pixels = np.concatenate([np.zeros(150, int), np.full(50, 10)])
    assert limit_of(scores, LABELS, pixels) == pytest.approx(0.2)


def test_deeper_levels_cost_more():
    costs = cost_of_levels(ModelConfig("m", network=NetworkConfig()))
    assert costs == sorted(costs)
    assert costs[-1] == 1.0
    assert costs[0] < 0.3


def test_calibration_needs_slices_of_both_classes_and_a_lesion_model(tmp_path):
    model = load_model(tiny_model(tmp_path / "tiny"))
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(48, 1, 32, 32, generator=generator)
    organ = np.ones((48, 32, 32), bool)
    few = np.arange(48) < 5
    assert calibrate_early_exit(model.clam, model.config, [(image, organ, few)]) is None
    assert calibrate_early_exit(model.clam, replace(model.config, task="organ"), [(image, organ, few)]) is None
    assert calibrate_early_exit(model.clam, model.config, []) is None


def test_an_exit_survives_the_configuration_file_and_impossible_ones_are_refused():
    config = ModelConfig("m", early_exit=EarlyExit(1, 0.25, 0.9))
    assert from_json(ModelConfig, json.loads(json.dumps(to_json(config)))) == config
    with pytest.raises(InputError, match="deepest"):
        ModelConfig("m", early_exit=EarlyExit(4, 0.25, 0.9))
    with pytest.raises(InputError):
        EarlyExit(1, 1.5, 0.9)


@pytest.fixture
def case(tmp_path, repository):
    model = load_model(tiny_model(tmp_path / "tiny"))
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    return model, volume


def with_exit(model, score: float):
    return replace(model, config=replace(model.config, early_exit=EarlyExit(1, score, 0.5)), engines={})


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_each_slice_has_the_maps_of_the_level_it_left_at(case, batch_size):
    model, volume = case
    options = SegmentOptions(device="cpu", batch_size=batch_size)
    shallow, deep = (segment_volume(volume, model, replace(options, level=level)) for level in (1, 2))
    organ = shallow.preparation.organ_input(np.arange(shallow.n_slices))
    crops = shallow.preparation.network_input(np.arange(shallow.n_slices))
    from ClamSegLib.clam import decode

    with torch.inference_mode():
        scores = slice_scores(decode(model.clam(torch.from_numpy(crops), 1), model.config)[0].numpy(), organ)
    # Halfway between two scores, so that rounding decides nothing.
    middle = np.sort(scores)[len(scores) // 2 - 1 : len(scores) // 2 + 1]
    limit = float(middle.mean())
    auto = segment_volume(volume, with_exit(model, limit), replace(options, level="auto"))
    left = scores <= limit
    assert 0 < left.sum() < len(left)
    assert auto.slices_by_level == {1: left.sum(), 2: (~left).sum()}
    for name in ("probability", "disagreement"):
        found, first, second = (getattr(result, name).astype(int) for result in (auto, shallow, deep))
        # Other batches round the last step otherwise.
        assert np.abs(found[:, left] - first[:, left]).max() <= 1
        assert np.abs(found[:, ~left] - second[:, ~left]).max() <= 1
    assert not np.array_equal(shallow.probability, deep.probability)


def test_where_all_or_none_leave_the_case_is_that_of_one_level(case):
    model, volume = case
    options = SegmentOptions(device="cpu", level="auto")
    n = volume.array.shape[0]
    everything = segment_volume(volume, with_exit(model, 1.0), options)
    assert everything.slices_by_level == {1: n, 2: 0}
    nothing = segment_volume(volume, with_exit(model, 0.0), options)
    assert nothing.slices_by_level[2] > 0
    assert sum(nothing.slices_by_level.values()) == n


def test_a_model_that_was_not_calibrated_runs_every_slice_at_its_depth(case):
    model, volume = case
    result = segment_volume(volume, model, SegmentOptions(device="cpu", level="auto"))
    assert result.slices_by_level == {2: result.n_slices}
    assert result.level == 2


def test_evaluate_reports_what_level_auto_gains_and_loses(tmp_path, capsys):
    data = write_phantoms(tmp_path / "data")
    folder = tiny_model(tmp_path / "tiny")
    words = ["evaluate", str(data), "--model", str(folder), "--level", "auto", "--device", "cpu", "--progress", "none"]
    assert main([*words, "--output", str(tmp_path / "a")]) == 0
    assert "no early_exit" in capsys.readouterr().out
    config = json.loads((folder / "config.json").read_text())
    config["early_exit"] = {"level": 1, "score": 1.0, "normal_share": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    assert main([*words, "--output", str(tmp_path / "b")]) == 0
    told = json.loads((tmp_path / "b" / "metrics.json").read_text())
    gain = told["level_auto"]["tiny"]
    assert gain["lesion_slices"] > 0
    deep, auto = told["table"][:2]
    assert auto["name"] == "tiny, level auto"
    assert gain["dice_loss"] == pytest.approx(deep["dice"]["value"] - auto["dice"]["value"], abs=1e-6)
    assert "times as fast" in capsys.readouterr().out


def test_training_calibrates_on_the_held_out_slices_and_writes_it_into_the_model(tmp_path, monkeypatch):
    from ClamSegLib import held_out

    seen = []

    def calibrated(clam, config, batches):
        seen.extend(batches)
        assert config.odds_normal
        return EarlyExit(1, 0.25, 0.75)

    monkeypatch.setattr(held_out, "calibrate_early_exit", calibrated)
    words = ["train", str(write_phantoms(tmp_path / "data")), "--output", str(tmp_path / "m"), "--image-size", "32"]
    words += [
        "--features",
        "4,8,8",
        "--batch-pairs",
        "4",
        "--organ",
        "whole",
        "--steps",
        "4",
        "--rounds",
        "1",
        "--device",
        "cpu",
    ]
    assert main([*words, "--progress", "none"]) == 0
    assert load_model(tmp_path / "m").config.early_exit == EarlyExit(1, 0.25, 0.75)
    diseased = np.concatenate([labels for _, _, labels in seen])
    assert len(diseased) == 6, "the one patient held out of training"
    assert diseased.sum() == 3


@pytest.mark.parametrize("name", ["xray-pneumonia", "mr-flair-lesion", "ct-infection"])
def test_shipped_lesion_models_say_when_a_slice_may_leave_early(name, repository):
    config = load_model(repository / "Resources" / "Models" / name).config
    assert config.early_exit is not None
    assert 1 <= config.early_exit.level < config.network.depth
    assert config.early_exit.normal_share > 0.5
