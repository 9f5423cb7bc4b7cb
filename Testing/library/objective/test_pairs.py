"""Pairs: a diseased and a normal slice from the same height, patients and conditions equally likely."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ClamSegLib.objective.pairs import PairSampler
from ClamSegLib.system.errors import InputError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@st.composite
def slices(draw):
    """Labels, positions and patients of a small set with both classes."""
    n = draw(st.integers(2, 30))
    label = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    label[0], label[-1] = 0, 1
    position = np.array(draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    patient = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    return label, position, patient


@settings(max_examples=80, deadline=None)
@given(slices(), st.sampled_from([0.0, 0.05, 0.1, 0.5]), st.integers(0, 1000))
def test_a_pair_is_one_diseased_and_one_normal_slice_within_the_tolerance_or_the_nearest_there_is(
    data, tolerance, seed
):
    label, position, patient = data
    sampler = PairSampler(label, position, patient, position_tolerance=tolerance)
    diseased, normal = (index.numpy() for index in sampler.sample(50, seeded(seed)))
    assert (label[diseased] > 0).all()
    assert (label[normal] == 0).all()
    distance = np.abs(position[diseased] - position[normal])
    possible = np.abs(position[diseased][:, None] - position[label == 0][None]).min(axis=1)
    assert (distance <= np.maximum(possible, tolerance) + 1e-8).all()


def test_every_normal_slice_within_the_tolerance_is_met_and_none_beyond():
    position = np.concatenate([[0.5], np.linspace(0, 1, 101)])
    label = np.array([1] + [0] * 101)
    _, normal = PairSampler(label, position, np.arange(102)).sample(5000, seeded())
    met = np.unique(position[normal.numpy()])
    np.testing.assert_allclose(met, np.linspace(0.4, 0.6, 21), atol=1e-12)


def test_patients_are_equally_likely_however_many_diseased_slices_they_have():
    patient = np.array([0] * 90 + [1] * 9 + [2] + [3] * 20)
    label = np.array([1] * 100 + [0] * 20)
    diseased, _ = PairSampler(label, np.full(120, 0.5), patient).sample(9000, seeded())
    share = np.bincount(patient[diseased.numpy()], minlength=3) / 9000
    np.testing.assert_allclose(share[:3], 1 / 3, atol=0.02)


def test_conditions_are_equally_likely_however_many_patients_they_have():
    label = np.array([1] * 50 + [2] * 4 + [3] + [0] * 10)
    diseased, _ = PairSampler(label, np.full(65, 0.5), np.arange(65)).sample(9000, seeded())
    share = np.bincount(label[diseased.numpy()], minlength=4) / 9000
    np.testing.assert_allclose(share[1:], 1 / 3, atol=0.02)


def test_another_patient_is_preferred():
    # Patient 0 has half of the normal slices: without preference half of its pairs would be with itself.
    label = np.array([1] + [0] * 20)
    patient = np.array([0] + [0] * 10 + [1] * 10)
    _, normal = PairSampler(label, np.full(21, 0.5), patient).sample(4000, seeded())
    assert (patient[normal.numpy()] == 0).mean() < 0.1


def test_the_same_patient_serves_where_no_other_is_near():
    label, position, patient = [1, 0, 0], [0.5, 0.52, 0.9], [7, 7, 8]
    _, normal = PairSampler(label, position, patient).sample(20, seeded())
    assert (normal == 1).all()


def test_without_a_slice_near_enough_the_nearest_serves():
    label, position, patient = [1, 1, 0, 0], [0.0, 1.0, 0.3, 0.6], [0, 1, 2, 3]
    diseased, normal = PairSampler(label, position, patient).sample(40, seeded())
    assert set(zip(diseased.tolist(), normal.tolist(), strict=True)) == {(0, 2), (1, 3)}


def test_single_images_without_a_height_pair_freely():
    label = np.array([0, 1] * 20)
    diseased, normal = PairSampler(label, np.full(40, 0.5), np.arange(40)).sample(3000, seeded())
    assert len(torch.unique(diseased)) == 20
    assert len(torch.unique(normal)) == 20


def test_the_same_generator_state_gives_the_same_pairs_and_another_seed_others():
    label = np.array([0, 1] * 50)
    sampler = PairSampler(label, np.linspace(0, 1, 100), np.arange(100))
    one, two, other = sampler.sample(30, seeded(1)), sampler.sample(30, seeded(1)), sampler.sample(30, seeded(2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_a_draw_of_none_is_empty():
    diseased, normal = PairSampler([0, 1], [0.2, 0.8], [0, 1]).sample(0, seeded())
    assert len(diseased) == len(normal) == 0


@pytest.mark.parametrize(
    ("label", "position", "patient", "said"),
    [
        ([0, 0], [0.1, 0.2], [0, 1], "2 normal and 0 diseased"),
        ([1, 2], [0.1, 0.2], [0, 1], "0 normal and 2 diseased"),
        ([], [], [], "0 normal and 0 diseased"),
        ([0, 1], [0.1, float("nan")], [0, 1], "not a number"),
        ([0, 1], [0.1], [0, 1], "one length"),
    ],
)
def test_sets_without_pairs_are_refused_in_words(label, position, patient, said):
    with pytest.raises(InputError, match=said):
        PairSampler(label, position, patient)
