"""Level by need: who leaves early, how the limit is found, and that the others are as deep as ever."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.early_exit import (
    LARGEST_CHANGE,
    LevelsCompared,
    calibrate_early_exits,
    cost_of_levels,
    doubt,
    slice_scores,
    undecided,
)
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import EarlyExit, ModelConfig, NetworkConfig, RefinementConfig
from ClamSegLib.model.config_json import from_json, to_json
from ClamSegLib.segmentation.segment_volume import SegmentOptions, segment_volume
from ClamSegLib.system.errors import InputError

NORMAL, SICK = np.zeros(100, bool), np.ones(100, bool)
LABELS = np.concatenate([NORMAL, SICK])


def test_the_score_is_the_mean_of_the_strongest_hundredth_inside_the_organ():
    maps = np.zeros((2, 2, 20, 20), np.float32)
    organ = np.zeros((2, 20, 20), bool)
    organ[0, :10] = True
    maps[0, 1, 0, :4] = [0.9, 0.7, 0.1, 0.1]
    maps[0, 0, 15] = 1.0  # outside
    assert slice_scores(maps, organ) == pytest.approx([0.8, 0.0])


def test_what_is_undecided_lies_near_the_threshold_inside_the_organ():
    maps = np.zeros((3, 1, 20, 20), np.float32)
    organ = np.ones((3, 20, 20), bool)
    organ[1, 10:] = False
    maps[0, 0, 0, :4] = [0.95, 0.95, 0.45, 0.55]
    maps[1, 0, 15] = 0.5  # outside
    maps[2, 0, 3, :4] = 0.58
    assert undecided(maps, organ, 0.5) == pytest.approx([0.5, 0.0, 1.0])
    assert undecided(maps, organ, 0.8) == pytest.approx([0.0, 0.0, 0.0])


def compared(undecided_share, changed, *, score=None, marked=1000):
    """Two shallow levels and the deepest of 200 slices; every level marks as much, the deepest orders the classes."""
    n = len(LABELS)
    order = np.stack([LABELS.astype(float)] * 3) if score is None else score
    return LevelsCompared(
        np.stack([*undecided_share, np.zeros(n)]),
        np.stack([*changed, np.zeros(n, int)]),
        np.full((3, n), 2 * marked),
        order,
    )


COSTS = [0.2, 0.5, 1.0]
RANKS = np.tile(np.linspace(0, 1, 100), 2)  # the same in both classes


def test_where_nothing_changes_all_slices_leave_at_the_first_level():
    same = np.zeros(200, int)
    levels = compared([RANKS, RANKS], [same, same])
    assert levels.cheapest(LABELS, COSTS, 0.01) == (1.0, None)
    assert levels.cost((1.0, None), COSTS, 0.01) == pytest.approx(0.2)


@pytest.mark.parametrize("strays", [~LABELS, LABELS], ids=["normal", "diseased"])
def test_marks_of_neither_class_change_by_more_than_allowed(strays):
    generator = np.random.default_rng(1)
    chance = [generator.uniform(size=200), generator.uniform(size=200)]  # doubt that says nothing
    changed = [np.where(strays, 40, 0), np.where(strays, 30, 0)]
    levels = compared(chance, changed)
    limits = levels.cheapest(LABELS, COSTS, 0.01)
    at = levels.left_at(limits)
    lost = levels.changed[at, np.arange(200)]
    assert 0 < lost[strays].sum() <= LARGEST_CHANGE * 2000 * strays.sum()
    assert levels.cost(limits, COSTS, 0.01) < 1


def test_doubtful_slices_go_on_and_the_next_level_takes_those_it_is_sure_of():
    first = np.where(RANKS < 0.5, 0.1, 0.9)
    # Level 1 errs where it is in doubt; level 2 never does, and says so.
    levels = compared([first, np.zeros(200)], [np.where(first > 0.5, 500, 0), np.zeros(200, int)])
    limits = levels.cheapest(LABELS, COSTS, 0.01)
    assert limits == (0.1, 1.0), "after level 2 none goes on, so none is asked there"
    assert np.array_equal(levels.left_at(limits), np.where(first > 0.5, 1, 0))
    # What level 1 has computed is among what level 2 needs.
    assert levels.cost(limits, COSTS, 0.01) == pytest.approx(0.5 * 0.2 + 0.5 * 0.5 + 0.01)


def test_slices_do_not_leave_where_their_order_would_be_lost():
    noise = np.random.default_rng(2).uniform(size=200)
    score = np.stack([noise, noise, LABELS.astype(float)])
    same = np.zeros(200, int)
    levels = compared([np.zeros(200), np.zeros(200)], [same, same], score=score)
    assert levels.cheapest(LABELS, COSTS, 0.01) == (None, None)


def test_deeper_levels_cost_more():
    costs, asking = cost_of_levels(ModelConfig("m", network=NetworkConfig()))
    assert costs == sorted(costs)
    assert costs[-1] == 1.0
    assert costs[0] < 0.3
    small = NetworkConfig(features=(8, 16, 32), kernel_sizes=(3, 3, 3), branches=1)
    assert 0 < asking < 0.01 < cost_of_levels(ModelConfig("m", network=small))[1]


def test_a_level_that_few_slices_leave_is_not_asked_where_asking_costs_more():
    first = np.where(RANKS < 0.1, 0.1, 0.9)
    levels = compared([first, np.full(200, 0.5)], [np.where(first > 0.5, 500, 0), np.zeros(200, int)])
    assert levels.cheapest(LABELS, COSTS, 0.001) == (0.1, 1.0)
    assert levels.cheapest(LABELS, COSTS, 0.1) == (None, 1.0)


def test_doubt_is_told_from_every_second_row_and_column(tmp_path):
    config = load_model(tiny_model(tmp_path / "tiny")).config
    maps = np.zeros((1, 1, 20, 20), np.float32)
    organ = np.ones((1, 20, 20), bool)
    maps[0, 0, 0, :4] = [0.95, 0.5, 0.5, 0.5]
    assert doubt(maps, maps, organ, config) == pytest.approx([0.5])
    table = RefinementConfig(-4.0, 8.0, ((0.0,) * 96,), (50.0,))
    assert doubt(maps, maps, organ, replace(config, refinement=table)) == pytest.approx([0.0])


def test_calibration_needs_slices_of_both_classes_and_a_lesion_model(tmp_path):
    model = load_model(tiny_model(tmp_path / "tiny"))
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(48, 1, 32, 32, generator=generator)
    organ = np.ones((48, 32, 32), bool)
    few = np.arange(48) < 5
    assert calibrate_early_exits(model.twin, model.config, [(image, organ, few)]) == ()
    assert calibrate_early_exits(model.twin, replace(model.config, task="organ"), [(image, organ, few)]) == ()
    assert calibrate_early_exits(model.twin, model.config, []) == ()


def test_an_exit_survives_the_configuration_file_and_impossible_ones_are_refused():
    config = ModelConfig("m", early_exits=(EarlyExit(1, 0.25, 0.6), EarlyExit(2, 0.5, 0.3)))
    assert from_json(ModelConfig, json.loads(json.dumps(to_json(config)))) == config
    for impossible in ((EarlyExit(4, 0.25, 0.9),), (EarlyExit(2, 0.5, 0.3), EarlyExit(1, 0.25, 0.6))):
        with pytest.raises(InputError, match="deepest"):
            ModelConfig("m", early_exits=impossible)
    with pytest.raises(InputError):
        EarlyExit(1, 1.5, 0.9)


@pytest.fixture
def case(tmp_path, repository):
    model = load_model(tiny_model(tmp_path / "tiny"))
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    return model, volume


def with_exit(model, limit: float):
    return replace(model, config=replace(model.config, early_exits=(EarlyExit(1, limit, 0.5),)), engines={})


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_each_slice_has_the_maps_of_the_level_it_left_at(case, batch_size):
    model, volume = case
    options = SegmentOptions(device="cpu", batch_size=batch_size)
    shallow, deep = (segment_volume(volume, model, replace(options, level=level)) for level in (1, 2))
    organ = shallow.preparation.organ_input(np.arange(shallow.n_slices))
    crops = shallow.preparation.network_input(np.arange(shallow.n_slices))
    from ClamSegLib.model.twin import decode

    with torch.inference_mode():
        maps = decode(model.twin(torch.from_numpy(crops), 1), model.config)[0].numpy()
    # A threshold amid what the untrained network says, so that slices differ in doubt.
    model = replace(
        model, config=replace(model.config, threshold=float(np.median(maps[:, 0][organ])) + 0.1), engines={}
    )
    doubts = doubt(maps, crops, organ, model.config)
    # Halfway between two of them, so that rounding decides nothing.
    middle = np.sort(np.unique(doubts))
    limit = float(middle[len(middle) // 2 - 1 : len(middle) // 2 + 1].mean())
    auto = segment_volume(volume, with_exit(model, limit), replace(options, level="auto"))
    left = doubts <= limit
    assert 0 < left.sum() < len(left)
    assert auto.slices_by_level == {1: left.sum(), 2: (~left).sum()}
    for name in ("probability", "disagreement"):
        found, first, second = (getattr(result, name).astype(int) for result in (auto, shallow, deep))
        # Other batches round the last step otherwise.
        assert np.abs(found[:, left] - first[:, left]).max() <= 1
        assert np.abs(found[:, ~left] - second[:, ~left]).max() <= 1
    assert not np.array_equal(shallow.probability, deep.probability)


def test_slices_leave_where_the_outline_at_the_threshold_that_was_asked_for_is_decided(case):
    model, volume = case
    deep = segment_volume(volume, model, SegmentOptions(device="cpu"))
    threshold = float(np.quantile(deep.probability[0][deep.organ.mask], 0.9)) / 255
    at_threshold = replace(model, config=replace(model.config, threshold=threshold), engines={})
    expected = segment_volume(volume, with_exit(at_threshold, 0.0), SegmentOptions(device="cpu", level="auto"))
    asked = SegmentOptions(device="cpu", level="auto", threshold=threshold)
    found = segment_volume(volume, with_exit(model, 0.0), asked)
    other = segment_volume(volume, with_exit(model, 0.0), replace(asked, threshold=None))
    assert found.slices_by_level == expected.slices_by_level != other.slices_by_level
    assert np.array_equal(found.labels, expected.labels)


def test_where_all_or_none_leave_the_case_is_that_of_one_level(case):
    model, volume = case
    options = SegmentOptions(device="cpu", level="auto")
    n = volume.array.shape[0]
    everything = segment_volume(volume, with_exit(model, 1.0), options)
    assert everything.slices_by_level == {1: n}, "nothing deeper was even opened"
    assert everything.level == 1
    assert np.array_equal(everything.probability, segment_volume(volume, model, replace(options, level=1)).probability)
    nothing = segment_volume(volume, with_exit(model, 0.0), options)
    assert nothing.slices_by_level[2] > 0
    assert sum(nothing.slices_by_level.values()) == n


def test_memory_that_runs_out_on_the_way_or_before_it_leaves_slices_leaving_early(case, monkeypatch):
    from ClamSegLib import level_steps
    from ClamSegLib.engines import choose as engine_choice

    model, volume = case
    options = SegmentOptions(device="cpu", level="auto")
    expected = segment_volume(volume, with_exit(model, 0.0), replace(options, batch_size=1))
    assert len(expected.slices_by_level) == 2
    real, build, failures = level_steps.decode, engine_choice.open_steps, [MemoryError()]

    def small_machine(logits, config):
        if len(logits[0][0]) > 1:
            raise MemoryError
        return real(logits, config)

    def once_without_memory(*given):
        if failures:
            raise failures.pop()
        return build(*given)

    monkeypatch.setattr(level_steps, "decode", small_machine)
    monkeypatch.setattr(engine_choice, "open_steps", once_without_memory)
    found = segment_volume(volume, with_exit(model, 0.0), options)
    assert found.slices_by_level == expected.slices_by_level
    assert np.array_equal(found.probability, expected.probability)
    assert any("going on with 1 slice" in words for words in found.warnings)


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
    assert "no early_exits" in capsys.readouterr().out
    config = json.loads((folder / "config.json").read_text())
    config["early_exits"] = [{"level": 1, "undecided": 1.0, "share_leaving": 1.0}]
    (folder / "config.json").write_text(json.dumps(config))
    assert main([*words, "--output", str(tmp_path / "b")]) == 0
    told = json.loads((tmp_path / "b" / "metrics.json").read_text())
    gain = told["level_auto"]["tiny"]
    assert gain["lesion_slices"] > 0
    assert set(gain["slices_by_level"]) == {"1"}, "all leave there"
    costs, _ = cost_of_levels(load_model(folder).config)
    assert gain["times_less_arithmetic"] == pytest.approx(1 / costs[0])
    deep, auto = told["table"][:2]
    assert auto["name"] == "tiny, level auto"
    assert gain["dice_loss"] == pytest.approx(deep["dice"]["value"] - auto["dice"]["value"], abs=1e-6)
    assert "times as fast" in capsys.readouterr().out


def test_training_calibrates_on_the_held_out_slices_and_writes_it_into_the_model(tmp_path, monkeypatch):
    from ClamSegLib.training import held_out

    seen = []

    def calibrated(twin, config, batches):
        seen.extend(batches)
        assert config.odds_normal
        return (EarlyExit(1, 0.25, 0.75),)

    monkeypatch.setattr(held_out, "calibrate_early_exits", calibrated)
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
    assert load_model(tmp_path / "m").config.early_exits == (EarlyExit(1, 0.25, 0.75),)
    diseased = np.concatenate([labels for _, _, labels in seen])
    assert len(diseased) == 6, "the one patient held out of training"
    assert diseased.sum() == 3


@pytest.mark.parametrize("name", ["xray-pneumonia", "mr-flair-lesion", "ct-infection"])
def test_no_shipped_model_lets_slices_leave_where_its_shallow_levels_outline_otherwise(name, repository):
    # docs/research/performance.md: their shallow levels mark, or order slices, too differently.
    assert load_model(repository / "Resources" / "Models" / name).config.early_exits == ()
