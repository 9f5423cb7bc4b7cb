from dataclasses import replace

import numpy as np
import pytest
import torch

from ClamSegLib.experiments.training_speed import synthetic_learner
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.twin import decode
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.finish import finished_config
from ClamSegLib.training.fit_decoding import shallowest_level_that_holds, slice_auc_improves, slice_smoothing_helps
from ClamSegLib.training.held_out import HeldOut, run_on_held_out, stacks_of
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.validation import validate


def test_stacks_end_with_the_patient_at_a_gap_and_where_heights_start_anew():
    patient = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    height = np.array([0.0, 0.1, 0.2, 0.6, 0.7, 0.1, 0.3, 0.1, 0.3, 0.5, 0.5], np.float32)
    assert stacks_of(patient, height).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 5]


def improves(stacks: int, run: int) -> bool:
    """What labels say of stacks of 12 slices, of which `run` in a row are diseased and score a little above noise."""
    rng = np.random.default_rng(0)
    sick = np.zeros((stacks, 12), bool)
    for stack in sick:
        start = int(rng.integers(1, 12 - run))
        stack[start : start + run] = True
    level = np.maximum(0, 1 + sick + rng.normal(0, 0.8, sick.shape)).ravel()
    kept = np.broadcast_to(level[:, None, None, None], (len(level), 1, 16, 16)).astype(np.float16)
    return slice_auc_improves(kept, np.ones((len(level), 16, 16), bool), sick.ravel(), np.repeat(np.arange(stacks), 12))


def test_image_labels_say_that_lesions_of_several_slices_gain_by_their_neighbours():
    assert improves(10, 6)


def test_image_labels_say_that_lesions_of_single_slices_do_not():
    assert not improves(30, 1)


def test_a_few_slices_decide_nothing():
    assert not improves(3, 6)


@pytest.fixture(scope="module")
def learner() -> Learner:
    return synthetic_learner(16, (4, 8, 8), "cpu")


@pytest.fixture(scope="module")
def config(learner) -> ModelConfig:
    twin = learner.averaged().eval()
    found = validate(twin, learner.held_out, learner.setup.training)
    odds = tuple(tuple(tuple(head) for head in branch) for branch in found.odds_normal.tolist())
    return replace(learner.setup.config, odds_normal=odds)


def test_maps_kept_of_held_out_slices_are_those_that_decoding_gives_at_every_level(learner, config):
    twin = learner.averaged().eval()
    held_out = run_on_held_out(twin, learner.held_out)
    assert held_out.available == len(held_out.label) == 64
    index = np.array([3, 40])
    with torch.no_grad():
        logits = twin(learner.held_out.gather(torch.from_numpy(index)).image)
    for level in (1, 2):
        expected = decode([heads[-level:] for heads in logits], config)[0].numpy()
        found = held_out.posterior(index, np.asarray(config.odds_normal, np.float32), level)
        np.testing.assert_allclose(found, expected, atol=4e-3)
    assert expected.max() > 0.1


def test_the_network_sees_every_held_out_slice_once_and_no_more(learner, config, monkeypatch):
    seen = []
    twin = learner.averaged().eval()
    forward = twin.forward
    monkeypatch.setattr(twin, "forward", lambda image, level=None: seen.append(len(image)) or forward(image, level))
    finished_config(learner, twin, config, Reporter())
    assert sum(seen) == 64


def test_what_does_not_fit_into_memory_leaves_out_whole_stacks(learner):
    twin = learner.averaged().eval()
    some = run_on_held_out(twin, learner.held_out, most_bytes=20 * 2 * 2 * 2 * 16 * 16)
    assert len(some.label) < some.available == 64
    assert set(np.diff(some.stack)) <= {0, 4}, "every fourth stack, evenly spread"


def held_out_of(log_odds: np.ndarray, label: np.ndarray) -> HeldOut:
    """Slices of 8 x 8 with the given (N, depth) log odds in the left half, none in the right."""
    maps = np.full((len(label), 1, log_odds.shape[1], 1, 8, 8), -5.0, np.float16)
    maps[..., :4] = log_odds[:, None, :, None, None, None]
    return HeldOut(maps, np.ones((len(label), 8, 8), bool), label, np.arange(len(label)), len(label))


NETWORK = NetworkConfig(features=(4, 8, 8), kernel_sizes=(3, 3, 3), branches=1)
LEVELS = ModelConfig("m", image_size=16, network=NETWORK, odds_normal=((((1.0,), (1.0,))),))
LABEL = np.repeat([0, 1], 24)


def test_the_default_level_is_the_shallowest_whose_outlines_are_those_of_the_deepest():
    same = held_out_of(np.where(LABEL[:, None] > 0, [3.0, 4.0], [-4.0, -4.0]), LABEL)
    assert shallowest_level_that_holds(LEVELS, same) == 1


def test_a_level_that_outlines_something_else_in_normal_or_in_diseased_slices_is_no_default():
    shallow_misses = held_out_of(np.where(LABEL[:, None] > 0, [-3.0, 9.0], [-4.0, -4.0]), LABEL)
    assert shallowest_level_that_holds(LEVELS, shallow_misses) is None
    false_alarms = held_out_of(np.where(LABEL[:, None] > 0, [3.0, 4.0], [3.0, -9.0]), LABEL)
    assert shallowest_level_that_holds(LEVELS, false_alarms) is None


def test_few_slices_or_a_deepest_level_that_predicts_nothing_choose_no_level():
    same = held_out_of(np.where(LABEL[:, None] > 0, [3.0, 4.0], [-4.0, -4.0])[::2], LABEL[::2])
    assert shallowest_level_that_holds(LEVELS, same) is None
    nothing = held_out_of(np.full((48, 2), -4.0), LABEL)
    assert shallowest_level_that_holds(LEVELS, nothing) is None


def test_single_pictures_and_a_few_stacks_choose_no_smoothing(config):
    single = held_out_of(np.zeros((48, 2)), LABEL)
    assert not slice_smoothing_helps(LEVELS, single)
    assert not slice_smoothing_helps(LEVELS, replace(single, stack=np.repeat(np.arange(4), 12)))
