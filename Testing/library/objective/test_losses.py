import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ClamSegLib.objective.losses import HybridLoss, PixelwiseSeparation


def column(*values: float) -> torch.Tensor:
    """(1, C, 1, 1)."""
    return torch.tensor(values)[None, :, None, None]


def test_eq_1_by_hand():
    # y = (0, 1), p = (0.4, 0.6): -(log 0.6 + 0.6 / 1.36)
    assert HybridLoss()(column(0.4, 0.6), column(0.0, 1.0)).item() == pytest.approx(-(math.log(0.6) + 0.6 / 1.36))
    # soft: y = (0.5, 0.5), p = (0.2, 0.8)
    by_hand = -sum(0.5 * math.log(p) + 0.5 * p / (0.25 + p * p) for p in (0.2, 0.8))
    assert HybridLoss()(column(0.2, 0.8), column(0.5, 0.5)).item() == pytest.approx(by_hand)


def test_without_its_agreement_term_eq_1_is_the_cross_entropy_of_monai():
    monai = pytest.importorskip("monai.losses")
    logits = torch.randn(2, 3, 5, 5)
    target = torch.nn.functional.one_hot(torch.randint(3, (2, 5, 5)), 3).permute(0, 3, 1, 2).float()
    p = logits.softmax(1)
    agreement = (target * p / (target**2 + p**2).clamp_min(1e-12)).sum(1).mean()
    entropy = monai.DiceCELoss(softmax=True, lambda_dice=0.0, lambda_ce=1.0)(logits, target)
    assert (HybridLoss()(p, target) + agreement).item() == pytest.approx(entropy.item(), rel=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.02, 0.98), st.floats(0.02, 0.98))
def test_with_soft_targets_nothing_beats_the_target_itself(y, p):
    loss = HybridLoss()
    assert loss(column(1 - y, y), column(1 - y, y)) <= loss(column(1 - p, p), column(1 - y, y)) + 1e-6


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 1.0), st.integers(0, 1))
def test_the_loss_is_bounded_below_by_half_for_one_hot_targets(p, y):
    assert HybridLoss()(column(1 - p, p), column(1.0 - y, float(y))) >= -0.5 - 1e-6


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_certain_outputs_have_finite_loss_and_gradient(p, y):
    probability = column(1 - p, p).requires_grad_()
    HybridLoss()(probability, column(1 - y, y)).backward()
    assert torch.isfinite(probability.grad).all()


def test_a_single_channel_would_teach_nothing_where_the_target_is_zero():
    probability = column(0.7).requires_grad_()
    loss = HybridLoss()(probability, column(0.0))
    loss.backward()
    assert loss.item() == 0
    assert probability.grad.abs().sum() == 0


def test_eta_weighs_slices_and_the_organ_is_the_only_support():
    p, y = torch.rand(2, 2, 4, 4).softmax(1), torch.zeros(2, 2, 4, 4)
    y[:, 1] = 1
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    mask[0, :2] = mask[1, 2:] = True
    loss = HybridLoss()
    first = loss(p[:1, :, :2], y[:1, :, :2])
    second = loss(p[1:, :, 2:], y[1:, :, 2:])
    weighted = loss(p, y, torch.tensor([1.0, 0.25]), mask)
    assert weighted.item() == pytest.approx(((first + 0.25 * second) / 2).item(), rel=1e-5)
    assert loss(p, y, torch.tensor([1.0, 0.25])[:, None, None, None].expand(2, 1, 4, 4), mask) == weighted
    assert loss(p, y, None, torch.zeros_like(mask)).item() == 0


def test_losses_compute_in_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = HybridLoss()(column(0.001, 0.999).bfloat16(), column(0.0, 1.0))
    assert loss.dtype == torch.float32


def test_separation_is_largest_for_equal_outputs():
    organ, eta = torch.ones(1, 1, 1, dtype=torch.bool), torch.ones(1)
    loss = PixelwiseSeparation()
    same = loss(column(0.3, 0.7), column(0.3, 0.7), organ, eta)
    assert same.item() == pytest.approx(1.0)
    assert loss(column(0.9, 0.1), column(0.1, 0.9), organ, eta) < 0.3
