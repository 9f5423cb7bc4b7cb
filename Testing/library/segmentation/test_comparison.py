"""A sample moved by a known transform and changed in known ways: which lesion is which, and by how many ml it changed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ClamSegLib.imaging.registration import align
from ClamSegLib.imaging.seg_nrrd import Segment
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.segmentation.comparison import Change, Comparison, compare, write_comparison
from ClamSegLib.system.errors import InputError

# Of the head: centre (x, y, z) in mm, radius before, radius now.
LESIONS = {
    "same": ((-20, 10, 5), 6, 6),
    "grown": ((25, -10, 0), 5, 7),
    "gone": ((0, 35, 10), 6, 0),
    "new": ((10, 20, -20), 0, 6),
}
TURN_DEG, SHIFT_MM = 9.0, np.array([7.0, -5.0, 6.0])


def motion() -> np.ndarray:
    """Head to present scan: turned about the long axis and tilted a little, then shifted."""
    a, b = np.radians(TURN_DEG), np.radians(3.0)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = about_z @ about_x, SHIFT_MM
    return matrix


def texture() -> np.ndarray:
    """What tells one place of the head from another, sampled every 4 mm from -100 mm on."""
    return ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (50, 50, 50)), 1.5) * 150


def scan(
    matrix: np.ndarray, spacing: tuple[float, float, float], shape: tuple[int, int, int], which: int, seed: int
) -> tuple[Volume, Segment]:
    """The head after a motion, with the lesions of one date."""
    origin = tuple(-(n - 1) / 2 * mm for n, mm in zip(shape[::-1], spacing, strict=True))
    empty = Volume(np.zeros(shape, np.float32), spacing_mm=spacing, origin=origin, modality="MR")  # type: ignore[arg-type]
    places = empty.to_lps(np.stack(np.indices(shape), -1))
    head = (places - matrix[:3, 3]) @ matrix[:3, :3]  # inverse of a turn
    inside = (head[..., 0] / 60) ** 2 + (head[..., 1] / 75) ** 2 + (head[..., 2] / 55) ** 2 <= 1
    values = inside * (300 + ndimage.map_coordinates(texture(), (np.moveaxis(head, -1, 0) + 100) / 4, order=1))
    mask = np.zeros(shape, bool)
    for centre, *radii in LESIONS.values():
        mask |= ((head - np.array(centre)) ** 2).sum(-1) <= radii[which] ** 2 if radii[which] else False
    values = values + 250 * mask + np.random.default_rng(seed).normal(0, 8, shape)
    return Volume(values.astype(np.float32), spacing_mm=spacing, origin=origin, modality="MR"), Segment(  # type: ignore[arg-type]
        "lesion-glioma", "glioma", mask, (200, 80, 0)
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Volume, Segment, Volume, Segment]:
    return (
        *scan(np.eye(4), (1.5, 1.5, 3.0), (44, 110, 92), 0, 1),
        *scan(motion(), (1.8, 1.8, 2.5), (52, 96, 84), 1, 2),
    )


@pytest.fixture(scope="module")
def compared(pair: tuple[Volume, Segment, Volume, Segment]) -> Comparison:
    before, old, now, new = pair
    organ = Segment("organ", "brain", now.array > 100, (0, 0, 200))
    return compare(before, [old], now, [organ, new])


def test_the_alignment_is_the_known_motion_within_a_millimetre(compared: Comparison) -> None:
    points = np.array([centre for centre, *_ in LESIONS.values()], float)
    should = points @ motion()[:3, :3].T + motion()[:3, 3]
    assert np.linalg.norm(compared.alignment.to_now(points) - should, axis=1).max() < 1.0
    assert compared.alignment.turned_deg == pytest.approx(9.5, abs=0.5)
    assert compared.alignment.likeness > 0.8


def test_each_lesion_is_told_what_became_of_it_in_ml_of_its_own_scan(compared: Comparison) -> None:
    assert len(compared.lesions) == 4
    found = {lesion.change: lesion for lesion in compared.lesions}
    for name, change in (("same", Change.SAME), ("grown", Change.GROWN), ("gone", Change.GONE), ("new", Change.NEW)):
        centre, before, now = LESIONS[name]
        lesion = found[change]
        should = np.array(centre) @ motion()[:3, :3].T + motion()[:3, 3]
        assert lesion.centre_lps_mm == pytest.approx(tuple(should), abs=1.5)
        assert lesion.before_ml == pytest.approx(4 / 3 * np.pi * before**3 / 1000, rel=0.1, abs=1e-9)
        assert lesion.now_ml == pytest.approx(4 / 3 * np.pi * now**3 / 1000, rel=0.1, abs=1e-9)
        assert bool(lesion.before) == bool(before)
        assert bool(lesion.now) == bool(now)
    assert found[Change.GROWN].change_percent == pytest.approx(100 * (7**3 / 5**3 - 1), abs=35)
    assert found[Change.NEW].change_percent is None
    assert found[Change.GONE].change_percent == -100


def test_the_same_scans_are_aligned_the_same_way_twice(
    pair: tuple[Volume, Segment, Volume, Segment], compared: Comparison
) -> None:
    assert np.array_equal(align(pair[0], pair[2]).matrix, compared.alignment.matrix)


def test_a_lesion_that_parted_is_one_line_with_both_numbers(pair: tuple[Volume, Segment, Volume, Segment]) -> None:
    before, old, _now, _new = pair
    labels, _ = ndimage.label(old.mask)
    one = labels == labels[tuple(np.argwhere(old.mask)[len(np.argwhere(old.mask)) // 2])]
    parted = one.copy()
    parted[:, :, int(np.argwhere(one)[:, 2].mean().round())] = False
    found = compare(before, [Segment("a", "a", one, (1, 2, 3))], before, [Segment("a", "a", parted, (1, 2, 3))])
    (lesion,) = found.lesions
    assert (lesion.before, lesion.now) == ((1,), (1, 2))


def test_the_table_has_a_line_a_lesion(compared: Comparison, tmp_path: Path) -> None:
    write_comparison(tmp_path / "x.csv", compared)
    rows = list(csv.DictReader((tmp_path / "x.csv").open(encoding="utf-8")))
    assert {row["change"] for row in rows} == {"same", "grown", "gone", "new"}
    gone = next(row for row in rows if row["change"] == "gone")
    assert (gone["now"], gone["now_ml"], gone["change_percent"]) == ("", "0.000", "-100")
    assert next(row for row in rows if row["change"] == "new")["change_percent"] == ""


def test_scans_without_millimetres_or_of_another_part_are_refused_in_words(
    pair: tuple[Volume, Segment, Volume, Segment],
) -> None:
    before, _old, now, _new = pair
    with pytest.raises(InputError, match="known spacing"):
        align(Volume(before.array, spacing_known=False), now)
    with pytest.raises(InputError, match="three slices"):
        align(before, Volume(now.array[:1]))
