import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ClamSegLib import metrics

EMPTY, FULL = np.zeros((4, 4), bool), np.ones((4, 4), bool)


def test_dice_of_empties_is_defined():
    assert metrics.dice(EMPTY, EMPTY) == 1
    assert metrics.dice(EMPTY, FULL) == 0
    assert metrics.dice(FULL, FULL) == 1


def test_dice_and_surface_distance_agree_with_monai():
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(0)
    a, b = (np.zeros((30, 40), bool) for _ in range(2))
    a[5:20, 8:25] = True
    b[7:22, 6:21] = True
    a ^= rng.random(a.shape) < 0.01
    one, other = (torch.from_numpy(m)[None, None].float() for m in (a, b))
    assert metrics.dice(a, b) == pytest.approx(monai.compute_dice(one, other).item())
    expected = monai.compute_hausdorff_distance(one, other, percentile=95, include_background=True, spacing=[2.0, 0.5])
    assert metrics.hd95_mm(a, b, (2.0, 0.5)) == pytest.approx(expected.item(), abs=0.3)


def test_surface_distance_of_a_shifted_square_is_the_shift_in_mm():
    a, b = (np.zeros((20, 30), bool) for _ in range(2))
    a[5:10, 5:10] = True
    b[5:10, 8:13] = True
    assert metrics.hd95_mm(a, b, (1.0, 0.5)) == pytest.approx(1.5)
    assert metrics.hd95_mm(EMPTY, EMPTY, (1, 1)) == 0
    assert metrics.hd95_mm(EMPTY, FULL, (1, 1)) is None


def test_the_mean_of_the_strongest_share_takes_at_least_one_value():
    values = np.arange(100.0)
    assert metrics.mean_of_strongest(values, 0.02) == 98.5
    assert metrics.mean_of_strongest(values, 1e-6) == 99
    assert metrics.mean_of_strongest(values[:0], 0.5) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_is_the_share_of_ordered_pairs(pairs):
    score, label = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    if label.all() or not label.any():
        assert metrics.roc_auc(score, label) is None
        return
    wins = [(a > b) + 0.5 * (a == b) for a in score[label] for b in score[~label]]
    assert metrics.roc_auc(score, label) == pytest.approx(np.mean(wins))


def test_lesions_count_as_found_from_a_tenth_of_their_area():
    reference = np.zeros((30, 30), bool)
    reference[2:12, 2:12] = reference[20:25, 20:25] = True
    found = np.zeros_like(reference)
    found[2:3, 2:12] = True
    assert metrics.lesion_sensitivity(found, reference) == (1, 2)
    assert metrics.lesion_sensitivity(found, np.zeros_like(reference)) == (0, 0)


def test_pointing_and_boxes():
    boxes = np.zeros((4, 4), bool)
    boxes[1:3, 1:3] = True
    score = np.zeros((4, 4))
    score[1, 1] = 2
    score[3, 3] = 1
    assert metrics.pointing_hit(score, boxes) is True
    assert metrics.pointing_hit(score, EMPTY) is None
    overlap = metrics.box_overlap(score, score > 0.5, boxes)
    assert overlap.iou == pytest.approx(1 / 5)
    assert overlap.energy_inside == pytest.approx(2 / 3)
    assert metrics.box_overlap(np.zeros((4, 4)), EMPTY, boxes).energy_inside == 0


def test_no_interval_from_fewer_than_five_patients():
    assert metrics.bootstrap_interval([1.0] * 8, list("aabbccdd")) is None


def test_the_interval_draws_whole_patients():
    values = [0.0] * 50 + [1.0] * 50
    one_value_a_patient = metrics.bootstrap_interval(values, [str(k // 10) for k in range(100)], seed=1)
    every_slice_alone = metrics.bootstrap_interval(values, [str(k) for k in range(100)], seed=1)
    assert one_value_a_patient[0] < every_slice_alone[0] < 0.5 < every_slice_alone[1] < one_value_a_patient[1]
    assert metrics.bootstrap_interval(values, [str(k // 10) for k in range(100)], seed=1) == one_value_a_patient


def test_a_rank_correlation_knows_order_only_and_nothing_of_rows_that_do_not_vary():
    assert metrics.rank_correlation([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert metrics.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert metrics.rank_correlation([1, 1, 2, 3], [1, 2, 2, 3]) == pytest.approx(
        0.8333333, abs=1e-6
    )  # ties share their ranks
    assert metrics.rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert metrics.rank_correlation([], []) is None
