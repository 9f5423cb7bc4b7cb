"""Borders of lesions that are there: tighter, wider, cut at a bridge, split in two."""

import numpy as np
import pytest
from test_outline import ball, dice, scan

from ClamSegLib.outlining.refine import split_in_two, tighter, wider, without_bridge
from ClamSegLib.outlining.tissue import tissue_of
from ClamSegLib.system.errors import InputError

MM = (1.0, 1.0, 1.0)


def two_balls_on_a_bridge() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    large, small = (ball((30, 60, 80), (15, 30, at), r, MM) for at, r in ((25, 10), (58, 7)))
    mask = large | small
    mask[14:17, 29:32, 25:58] = True
    return large, small, mask


def test_wider_and_tighter_follow_the_image() -> None:
    lesion = ball((30, 60, 60), (15, 30, 30), 9, MM)
    small = ball((30, 60, 60), (15, 30, 30), 8, MM)
    large = ball((30, 60, 60), (15, 30, 30), 10, MM)
    tissue = tissue_of(scan(lesion), MM, None, None)
    assert dice(wider(small, tissue), lesion) > dice(small, lesion)
    assert dice(tighter(large, tissue), lesion) > dice(large, lesion)


def test_what_hangs_on_a_thin_bridge_is_cut_off() -> None:
    large, _small, mask = two_balls_on_a_bridge()
    assert dice(without_bridge(mask, MM), large) > 0.95


def test_a_lesion_is_split_at_its_thinnest_place_and_no_voxel_is_lost() -> None:
    large, small, mask = two_balls_on_a_bridge()
    first, second = split_in_two(mask, MM)
    assert dice(first, large) > 0.93
    assert dice(second, small) > 0.9
    assert not (first & second).any()
    assert ((first | second) == mask).all()


def test_a_lesion_of_one_piece_is_neither_cut_nor_split() -> None:
    lesion = ball((30, 60, 60), (15, 30, 30), 9, MM)
    with pytest.raises(InputError, match="thin bridge"):
        without_bridge(lesion, MM)
    with pytest.raises(InputError, match="no thin place"):
        split_in_two(lesion, MM)


def test_a_lesion_of_one_voxel_cannot_become_tighter() -> None:
    lesion = np.zeros((1, 20, 20), bool)
    lesion[0, 10, 10] = True
    with pytest.raises(InputError, match="reject it"):
        tighter(lesion, tissue_of(scan(lesion), None, None, None))
