"""Shallow levels on the scale of the deepest."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_phantoms import write_phantoms
from test_engine import crops, model_of

from ClamSegLib.cli import main
from ClamSegLib.level_scales import measure_level_scales
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import from_json, to_json
from ClamSegLib.model.twin import decode, log_odds_ratio
from ClamSegLib.system.errors import InputError


def organ_of(n: int) -> np.ndarray:
    organ = np.zeros((n, 32, 32), bool)
    organ[:, 4:28, 8:24] = True
    return organ


def batches(n: int = 6):
    image, organ = torch.from_numpy(crops(n)), organ_of(n)
    return [(image[k : k + 2], organ[k : k + 2], np.zeros(2, bool)) for k in range(0, n, 2)]


@pytest.mark.parametrize("network", [{}, {"branches": 1}, {"classes": 3}])
def test_every_level_gets_the_mean_and_spread_of_the_deepest_inside_the_organ(tmp_path, network):
    model = model_of(tmp_path, **network)
    # A surer deep head, as training makes it.
    for branch in model.twin.branches:
        with torch.no_grad():
            branch.heads["x_0_2"].weight.mul_(5.0)
    scales = measure_level_scales(model.twin, model.config, batches())
    odds = torch.tensor(model.config.odds_normal)
    with torch.inference_mode():
        logits = model.twin(torch.from_numpy(crops(6)))
    inside = torch.from_numpy(organ_of(6))
    for branch, heads in enumerate(logits):
        shallow, deepest = (
            log_odds_ratio(own, odds[branch], torch.ones(2)).transpose(0, 1)[:, inside] for own in (heads[-1:], heads)
        )
        for condition, (own, other) in enumerate(zip(shallow, deepest, strict=True)):
            factor, offset = scales[0][branch][condition]
            assert abs(factor - 1) > 0.05, "levels that are alike would show nothing"
            scaled = own * factor + offset
            assert float(scaled.mean()) == pytest.approx(float(other.mean()), abs=1e-3)
            assert float(scaled.std()) == pytest.approx(float(other.std()), rel=1e-3)


def test_only_the_shallow_level_is_decoded_by_its_scale(tmp_path):
    model = model_of(tmp_path)
    scaled = replace(model.config, level_scales=((((2.0, 0.5),), ((1.0, 0.0),)),))
    with torch.inference_mode():
        logits = model.twin(torch.from_numpy(crops()))
        shallow = [heads[-1:] for heads in logits]
        assert torch.equal(decode(logits, scaled)[0], decode(logits, model.config)[0])
        ratio = [
            log_odds_ratio(h, torch.tensor(o), torch.ones(2)) for h, o in zip(shallow, scaled.odds_normal, strict=True)
        ]
        first = -torch.expm1(-(2.0 * ratio[0] + 0.5).clamp_min(0))
        second = -torch.expm1(-ratio[1].clamp_min(0))
        assert torch.allclose(decode(shallow, scaled)[0], (first + second) / 2, atol=1e-6)
        assert torch.allclose(decode(shallow, scaled)[1], (first - second).abs(), atol=1e-6)


def test_where_nothing_can_be_measured_there_are_no_scales(tmp_path):
    model = model_of(tmp_path)
    assert measure_level_scales(model.twin, replace(model.config, task="organ"), batches()) == ()
    assert measure_level_scales(model.twin, model.config, []) == ()
    plain = model_of(tmp_path, kind="unet", branches=1)
    assert measure_level_scales(plain.twin, plain.config, batches()) == ()


def test_scales_survive_the_configuration_file_and_others_than_the_model_has_are_refused(tmp_path):
    config = replace(model_of(tmp_path).config, level_scales=((((1.2, -0.1),), ((1.1, 0.0),)),))
    assert from_json(ModelConfig, json.loads(json.dumps(to_json(config)))) == config
    for wrong in (((((1.0, 0.0),),),), config.level_scales * 2, ((((1.0, 0.0),) * 2,) * 2,), ((), ())):
        with pytest.raises(InputError, match="level_scales must hold"):
            replace(config, level_scales=wrong)
    for factor, offset in ((float("nan"), 0.0), (-1.0, 0.0), (float("inf"), 0.0), (1.0, float("nan"))):
        with pytest.raises(InputError, match="factors above 0"):
            replace(config, level_scales=((((factor, offset),), ((1.0, 0.0),)),))


def test_training_writes_scales_that_bring_level_one_nearer_to_the_deepest(tmp_path):
    words = ["train", str(write_phantoms(tmp_path / "data")), "--output", str(tmp_path / "m"), "--image-size", "32"]
    words += ["--features", "4,8,8", "--batch-pairs", "4", "--organ", "whole", "--steps", "4"]
    assert main([*words, "--device", "cpu", "--progress", "none"]) == 0
    config = load_model(tmp_path / "m").config
    assert len(config.level_scales) == config.network.heads - 1
    assert all(len(level) == config.network.branches for level in config.level_scales)
    assert all(factor > 0 for level in config.level_scales for branch in level for factor, _ in branch)
