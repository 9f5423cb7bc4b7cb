import math

import pytest
import torch

from ClamSegLib.model.config import Condition, ModelConfig, NetworkConfig
from ClamSegLib.model.twin import TwinUNet, decode, lesion_posterior
from ClamSegLib.system.errors import InputError

NETWORK = NetworkConfig(features=(4, 8, 8), kernel_sizes=(3, 3, 3))


def logits_of(odds: list[float]) -> torch.Tensor:
    """(1, 1 + K, 1, 1) logits whose odds condition : background are `odds`."""
    return torch.tensor([0.0, *(math.log(o) for o in odds)])[None, :, None, None] + 1.7


def test_the_branches_start_differently_and_repeat_by_their_seed():
    a, b, c = TwinUNet(NETWORK, seed=1), TwinUNet(NETWORK, seed=1), TwinUNet(NETWORK, seed=2)
    first, second = a.branches[0].nodes["x_0_0"].conv1.weight, a.branches[1].nodes["x_0_0"].conv1.weight
    assert not torch.equal(first, second)
    assert torch.equal(first, b.branches[0].nodes["x_0_0"].conv1.weight)
    assert not torch.equal(first, c.branches[0].nodes["x_0_0"].conv1.weight)


def test_making_a_clam_leaves_the_global_randomness_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    TwinUNet(NETWORK, seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_lesion_posterior_is_one_minus_the_odds_ratio():
    found = lesion_posterior([logits_of([4.0])], torch.tensor([[1.0]]), torch.tensor([1.0]))
    assert found.item() == pytest.approx(0.75, abs=1e-6)
    # P_L > 0.5 exactly where the odds are twice those of normal tissue
    assert lesion_posterior([logits_of([0.61])], torch.tensor([[0.3]]), torch.tensor([1.0])).item() > 0.5
    assert lesion_posterior([logits_of([0.59])], torch.tensor([[0.3]]), torch.tensor([1.0])).item() < 0.5


def test_tissue_no_more_suspect_than_normal_has_posterior_zero():
    for odds in (1.0, 0.5, 1e-9):
        assert lesion_posterior([logits_of([odds])], torch.tensor([[1.0]]), torch.tensor([1.0])).item() == 0


def test_heads_are_combined_by_the_weighted_geometric_mean_of_their_ratios():
    shallow, deep = logits_of([8.0]), logits_of([2.0])
    odds = torch.tensor([[2.0], [1.0]])  # level 1 first; the list of logits is deepest first
    ratio = (8.0 / 2.0) ** 0.75 * (2.0 / 1.0) ** 0.25
    found = lesion_posterior([deep, shallow], odds, torch.tensor([0.75, 0.25]))
    assert found.item() == pytest.approx(1 - 1 / ratio, abs=1e-6)
    only_shallow = lesion_posterior([shallow], odds, torch.tensor([0.75, 0.25]))
    assert only_shallow.item() == pytest.approx(1 - 1 / 4, abs=1e-6)


def test_each_condition_has_its_own_odds():
    found = lesion_posterior([logits_of([4.0, 4.0])], torch.tensor([[1.0, 2.0]]), torch.tensor([1.0]))
    assert found.flatten().tolist() == pytest.approx([0.75, 0.5], abs=1e-6)


def test_extreme_logits_stay_finite():
    wild = torch.tensor([1e4, -1e4])[None, :, None, None]
    for logits in (wild, wild.flip(1)):
        found = lesion_posterior([logits], torch.tensor([[0.0]]), torch.tensor([1.0]))
        assert torch.isfinite(found).all()
        assert 0 <= found.item() <= 1


def test_decoding_gives_the_mean_and_the_difference_of_the_branches():
    config = ModelConfig("x", image_size=16, network=NETWORK, odds_normal=(((1.0,), (1.0,)), ((1.0,), (1.0,))))
    a, b = [logits_of([4.0])] * 2, [logits_of([1.0])] * 2
    probability, disagreement = decode([a, b], config)
    assert probability.item() == pytest.approx(0.375, abs=1e-6)
    assert disagreement.item() == pytest.approx(0.75, abs=1e-6)


def test_an_organ_network_is_decoded_by_softmax_and_one_branch_never_disagrees():
    network = NetworkConfig(features=(4, 8, 8), kernel_sizes=(3, 3, 3), branches=1)
    config = ModelConfig("x", task="organ", image_size=16, network=network, conditions=(Condition("lungs"),))
    probability, disagreement = decode([[logits_of([3.0]), logits_of([1.0])]], config)
    assert probability.item() == pytest.approx(0.75, abs=1e-6)
    assert disagreement.item() == 0


def test_a_lesion_model_without_odds_cannot_be_decoded():
    with pytest.raises(InputError, match="odds"):
        decode([[logits_of([1.0])]] * 2, ModelConfig("x", image_size=16, network=NETWORK))


def test_pruning_the_clam_keeps_both_branches():
    twin = TwinUNet(NETWORK, seed=3).eval()
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        for whole, pruned in zip(twin(image, 1), twin.pruned(1)(image), strict=True):
            assert torch.equal(whole[0], pruned[0])
