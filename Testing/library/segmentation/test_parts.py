"""Parts joined from runs are those that numbering every voxel finds, in the same order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ClamSegLib.segmentation.parts import part_of_runs, runs_of

stacks = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 0, 1, 1, 2]))
)


def numbered(labels):
    """Parts 1.. of every voxel, from the runs."""
    runs = runs_of(labels, labels.shape[1:])
    part = part_of_runs(runs)
    found = np.zeros(labels.shape, int)
    found[labels > 0] = np.repeat(part, runs.length) + 1
    return found


def numbered_by_voxels(labels):
    found, parts = np.zeros(labels.shape, int), 0
    for label in (1, 2):
        own, count = ndimage.label(labels == label, np.ones((3, 3, 3)))
        found[own > 0] = own[own > 0] + parts
        parts += count
    return found


@settings(max_examples=150, deadline=None)
@given(stacks)
def test_runs_find_the_parts_that_26_neighbours_make_of_each_label(labels):
    assert np.array_equal(numbered(labels), numbered_by_voxels(labels))


@pytest.mark.parametrize("density", [0.02, 0.4, 1.0])
def test_the_same_holds_for_stacks_of_thousands_of_runs(density):
    random = np.random.default_rng(3)
    labels = ((random.random((12, 90, 110)) < density) * random.integers(1, 3, (12, 90, 110))).astype(np.uint8)
    assert np.array_equal(numbered(labels), numbered_by_voxels(labels))


def test_the_last_row_of_a_slice_and_the_first_of_the_next_are_no_neighbours():
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[0, 2, 3] = labels[1, 0, 0] = 1
    assert numbered(labels).max() == 2


def test_a_stack_without_labels_has_no_runs():
    assert len(runs_of(np.zeros((2, 5, 6), np.uint8), (5, 6)).row) == 0
