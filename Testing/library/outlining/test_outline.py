"""What clicks outline: drawn lesions on noise, bright and dark, with a core, beside a neighbour, outside the organ."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.outlining.growth import SHARES, region_of, surroundings_of
from ClamSegLib.outlining.outline import Click, Outlines, outline
from ClamSegLib.outlining.tissue import Tissue, tissue_of
from ClamSegLib.system.errors import InputError


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * int((a & b).sum()) / (int(a.sum()) + int(b.sum()))


def ball(shape: tuple[int, int, int], centre: tuple[float, ...], radius: float, mm: tuple[float, ...]) -> np.ndarray:
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return sum(((g - c) * m) ** 2 for g, c, m in zip(grid, centre, mm, strict=True)) <= radius**2


def scan(lesion: np.ndarray, height: float = 40.0) -> np.ndarray:
    noise = np.random.default_rng(0).normal(100, 5, lesion.shape)
    return (noise + height * lesion).astype(np.float32)


def test_a_click_on_a_slice_outlines_the_lesion_and_nothing_beside_it() -> None:
    lesion = ball((1, 120, 120), (0, 60, 50), 14, (1, 1, 1))
    other = ball((1, 120, 120), (0, 60, 95), 8, (1, 1, 1))
    found = outline(tissue_of(scan(lesion | other), None, None, None), [Click((0, 62, 47))])
    assert dice(found.whole(lesion.shape), lesion) > 0.95


@pytest.mark.parametrize("mm", [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8)])
def test_a_click_in_a_volume_outlines_the_lesion_in_three_dimensions(mm: tuple[float, float, float]) -> None:
    lesion = ball((40, 80, 80), (20, 40, 40), 9, mm)
    found = outline(tissue_of(scan(lesion), mm, None, None), [Click((20, 42, 39))])
    assert dice(found.whole(lesion.shape), lesion) > 0.9


def test_a_click_into_a_dark_core_outlines_the_ring_with_its_core() -> None:
    whole = ball((1, 120, 120), (0, 60, 60), 20, (1, 1, 1))
    core = ball((1, 120, 120), (0, 60, 60), 10, (1, 1, 1))
    array = scan(whole) - 60 * core
    found = outline(tissue_of(array, None, None, None), [Click((0, 60, 60))])
    assert dice(found.whole(whole.shape), whole) > 0.95


def test_a_lesion_darker_than_its_surroundings_is_outlined_too() -> None:
    lesion = ball((1, 120, 120), (0, 60, 60), 12, (1, 1, 1))
    found = outline(tissue_of(scan(lesion, -40), None, None, None), [Click((0, 58, 61))])
    assert dice(found.whole(lesion.shape), lesion) > 0.95


def test_wider_holds_all_of_tighter_and_more() -> None:
    lesion = ball((1, 120, 120), (0, 60, 60), 14, (1, 1, 1))

    blurred = ndimage.gaussian_filter(scan(lesion), (0, 4, 4))
    tissue = tissue_of(blurred, None, ball(lesion.shape, (0, 60, 60), 50, (1, 1, 1)), None)
    narrow, usual, wide = (outline(tissue, [Click((0, 60, 60))], width).whole(lesion.shape) for width in (-6, 0, 6))
    assert not (narrow & ~usual).any()
    assert not (usual & ~wide).any()
    assert narrow.sum() < usual.sum() < wide.sum()


def two_balls_with_a_neck() -> Tissue:
    """Two balls that hang together, before faint tissue that a wide share takes in, up to the side of the box."""
    mm = (1.0, 1.0, 1.0)
    one, two = (ball((60, 90, 110), (30, 45, column), 8, mm) for column in (40, 58))
    neck = np.zeros_like(one)
    neck[28:33, 43:48, 40:58] = True
    lesion = one | two | neck
    beside = ~lesion
    beside[:, :, :64] = False
    return tissue_of(scan(lesion) + np.float32(15) * beside, mm, np.ones(one.shape, bool), None)


def test_every_step_wider_in_a_volume_holds_the_step_before_also_where_it_leaks_and_is_cut_at_a_neck() -> None:
    tissue = two_balls_with_a_neck()
    alone = [region_of(surroundings_of(tissue, (30, 45, 40)), SHARES[1] * 0.92**step).sum() for step in range(9)]
    assert min(np.diff(alone)) < -1000  # a share by itself loses the second ball to the cut
    outlines = Outlines(tissue, [Click((30, 45, 40))])
    steps = [outlines.at(width).whole(tissue.array.shape) for width in range(-8, 9)]
    for inner, outer in pairwise(steps):
        assert not (inner & ~outer).any()
    assert steps[0].sum() < steps[8].sum() < steps[16].sum()


def test_a_second_click_that_adds_loses_nothing_of_the_first_outline() -> None:
    tissue = two_balls_with_a_neck()
    first = outline(tissue, [Click((30, 45, 40))]).whole(tissue.array.shape)
    both = outline(tissue, [Click((30, 45, 40)), Click((30, 45, 67))]).whole(tissue.array.shape)
    assert both[30, 45, 67]
    assert not first[30, 45, 67]
    assert not (first & ~both).any()


def test_an_outline_at_a_faint_place_can_be_widened_although_the_model_marks_stronger_ones() -> None:
    away = np.hypot(*np.meshgrid(np.arange(120) - 60, np.arange(120) - 60, indexing="ij"))[None]
    faint = (100 + 6 * np.exp(-0.5 * (away / 15) ** 2)).astype(np.float32)
    tissue = Tissue(faint, (1.0, 1.0, 1.0), None, 100.0, 5.0, lesion_height=20.0)
    sizes = [int(outline(tissue, [Click((0, 60, 60))], width).mask.sum()) for width in (0, 1, 2)]
    assert sizes == sorted(set(sizes))


def test_a_second_click_adds_a_part_and_one_with_minus_takes_it_away_again() -> None:
    one = ball((1, 120, 120), (0, 60, 40), 10, (1, 1, 1))
    two = ball((1, 120, 120), (0, 60, 75), 10, (1, 1, 1))
    tissue = tissue_of(scan(one | two), None, None, None)
    both = outline(tissue, [Click((0, 60, 40)), Click((0, 60, 75))]).whole(one.shape)
    assert dice(both, one | two) > 0.93
    left = outline(tissue, [Click((0, 60, 40)), Click((0, 60, 75)), Click((0, 60, 76), adds=False)]).whole(one.shape)
    assert dice(left, one) > 0.93


def test_a_lesion_that_leaks_through_a_thin_bridge_is_cut_at_the_neck() -> None:
    lesion = ball((48, 110, 110), (24, 55, 35), 9, (1, 1, 1))
    wall = np.zeros_like(lesion)
    wall[:, :, 62:] = True
    bridge = np.zeros_like(lesion)
    bridge[23:26, 54:57, 35:70] = True
    found = outline(
        tissue_of(scan(lesion | wall | bridge), (1.0, 1.0, 1.0), np.ones(lesion.shape, bool), None),
        [Click((24, 55, 35))],
    )
    assert dice(found.whole(lesion.shape), lesion) > 0.85


def test_a_click_outside_the_organ_or_the_scan_is_refused_in_words() -> None:
    organ = ball((1, 60, 60), (0, 30, 30), 20, (1, 1, 1))
    tissue = tissue_of(scan(organ), None, organ, None)
    for point in ((0, 2, 2), (0, 30, 60), (1, 30, 30), (0, -1, 30)):
        with pytest.raises(InputError, match="outside the organ"):
            outline(tissue, [Click(point)])
    with pytest.raises(InputError, match="must add"):
        outline(tissue, [Click((0, 30, 30), adds=False)])


def test_the_usual_height_of_the_models_lesions_steadies_that_of_a_click() -> None:
    lesion = ball((1, 120, 120), (0, 60, 60), 14, (1, 1, 1))
    array = scan(lesion)
    array[0, 60, 60] = 220  # a single bright voxel
    array[0, 59:62, 59:62] += 60
    probability = (ball(lesion.shape, (0, 60, 60), 12, (1, 1, 1)) * 220).astype(np.uint8)
    alone = outline(tissue_of(array, None, None, None), [Click((0, 60, 60))]).whole(lesion.shape)
    told = outline(tissue_of(array, None, None, probability), [Click((0, 60, 60))]).whole(lesion.shape)
    assert dice(told, lesion) > max(0.9, dice(alone, lesion))


def test_lesions_of_all_heights_have_no_usual_one() -> None:
    lesion = ball((1, 120, 120), (0, 60, 60), 14, (1, 1, 1))
    probability = (lesion * 220).astype(np.uint8)
    alike, apart = scan(lesion), scan(lesion)
    apart[lesion] = 100 + np.random.default_rng(1).permutation(np.linspace(5, 300, lesion.sum()) ** 2 / 300)
    assert tissue_of(alike, None, None, probability).lesion_height == pytest.approx(8, abs=1)
    assert tissue_of(apart, None, None, probability).lesion_height is None


def test_the_front_door_outlines_in_the_frame_of_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from ClamSegLib.api import outline_at

    lesion = ball((20, 60, 60), (10, 30, 20), 7, (2, 1, 1))
    volume = Volume(scan(lesion), spacing_mm=(1.0, 1.0, 2.0))
    result = SimpleNamespace(organ=np.ones(lesion.shape, bool), probability=lesion.astype(np.float32))
    found = outline_at(volume, (10, 30, 20), result)  # type: ignore[arg-type]
    assert found.shape == lesion.shape
    assert dice(found, lesion) > 0.9
    with pytest.raises(InputError, match="inside it"):
        outline_at(volume, (30, 30, 20))


def lesion_with_faint_sides(shape: tuple[int, int, int]) -> tuple[Tissue, np.ndarray]:
    """A ball that fades to the left and to the right alike: too faint there for a first click in its middle."""
    middle = (shape[0] // 2, 40, 60)
    core = ball(shape, middle, 12, (1, 1, 1))
    sides = ball(shape, (middle[0], 40, 45), 8, (1, 1, 1)) | ball(shape, (middle[0], 40, 75), 8, (1, 1, 1))
    array = 100 + ndimage.gaussian_filter(40.0 * core + 13.0 * (sides & ~core), [float(s > 1) for s in shape])
    return Tissue(array.astype(np.float32), (1.0, 1.0, 1.0), None, 100.0, 5.0), core | sides


@pytest.mark.parametrize("slices", [1, 40])
def test_a_further_click_moves_the_border_near_it_and_nowhere_else(slices: int) -> None:
    tissue, lesion = lesion_with_faint_sides((slices, 80, 120))
    k, shape = slices // 2, lesion.shape
    first, left = Click((k, 40, 60)), Click((k, 40, 42))
    before = outline(tissue, [first]).whole(shape)
    after = outline(tissue, [first, left]).whole(shape)
    assert not before[left.point]
    assert (after & ~before)[:, :, :60].sum() > 50
    assert np.array_equal(after[:, :, 66:], before[:, :, 66:]), "the other side, as faint, stays"
    assert dice(after[:, :, :60], lesion[:, :, :60]) > dice(before[:, :, :60], lesion[:, :, :60])
    back = outline(tissue, [first, left, Click((k, 40, 41), adds=False)]).whole(shape)
    assert not back[k, 40, 41]
    assert back[left.point], "what was asked for stays"
    assert np.array_equal(back[:, :, 66:], before[:, :, 66:])


def test_a_hole_that_a_click_has_made_is_not_filled_by_the_next_click() -> None:
    lesion = ball((1, 120, 120), (0, 60, 60), 24, (1, 1, 1))
    faint = ball((1, 120, 120), (0, 60, 72), 5, (1, 1, 1))
    tissue = tissue_of(scan(lesion) - 30 * faint, None, None, None)
    clicks = [Click((0, 60, 52)), Click((0, 60, 72), adds=False), Click((0, 60, 30))]
    found = outline(tissue, clicks).whole(lesion.shape)
    assert outline(tissue, clicks[:1]).whole(lesion.shape)[0, 60, 72], "a hole is filled at first"
    assert not found[0, 60, 72]
    assert found[0, 60, 30]
    assert found[0, 60, 52]


def test_clicks_far_apart_join_also_where_no_click_has_looked_before() -> None:
    places = [(0, 60, 60), (0, 200, 200), (0, 60, 220)]
    lesion = np.any([ball((1, 260, 280), place, 9, (1, 1, 1)) for place in places], axis=0)
    tissue = tissue_of(scan(lesion), None, None, None)
    with np.errstate(all="raise"):
        found = outline(tissue, [Click((k, j, i)) for k, j, i in places]).whole(lesion.shape)
    assert dice(found, lesion) > 0.9


_BOTH_WAYS = pytest.mark.parametrize(
    ("shape", "mm"), [((1, 120, 120), (1.0, 1.0, 1.0)), ((30, 120, 120), (2.0, 1.0, 1.0))], ids=["slice", "volume"]
)


def _distance_mm(shape: tuple[int, ...], at: tuple[int, ...], mm: tuple[float, ...]) -> np.ndarray:
    return np.sqrt(sum(((g - c) * m) ** 2 for g, c, m in zip(np.ogrid[tuple(map(slice, shape))], at, mm, strict=True)))


def _lesion_with_a_rim(shape: tuple[int, int, int], mm: tuple[float, float, float], rim: float) -> Tissue:
    k = shape[0] // 2
    lesion = ball(shape, (k, 60, 60), 14, mm)
    around = ball(shape, (k, 60, 60), 19, mm) & ~lesion
    return tissue_of(scan(lesion) + rim * around.astype(np.float32), mm, None, None)


@_BOTH_WAYS
def test_a_second_click_that_takes_away_moves_the_border_only_near_it(
    shape: tuple[int, int, int], mm: tuple[float, float, float]
) -> None:
    tissue, k = _lesion_with_a_rim(shape, mm, rim=29.0), shape[0] // 2
    first, unwanted = Click((k, 60, 60)), Click((k, 60, 77), adds=False)
    before = outline(tissue, [first]).whole(shape)
    after = outline(tissue, [first, unwanted]).whole(shape)
    assert before[unwanted.point]
    assert not after[unwanted.point]
    assert not (after & ~before).any()
    assert after[first.point]
    far = _distance_mm(shape, unwanted.point, mm) > 12
    assert before[k, 60, 44]
    assert np.array_equal(before[far], after[far]), "the rim on the other side stays inside"


@_BOTH_WAYS
def test_without_the_further_clicks_the_first_outline_is_back_as_it_was(
    shape: tuple[int, int, int], mm: tuple[float, float, float]
) -> None:
    tissue, k = _lesion_with_a_rim(shape, mm, rim=16.0), shape[0] // 2
    clicks = [Click((k, 60, 60)), Click((k, 60, 76)), Click((k, 73, 60), adds=False), Click((k, 60, 42))]
    proposals = [outline(tissue, clicks[:n]) for n in range(1, 5)]
    for n in (4, 3, 2, 1):
        again = outline(tissue, clicks[:n])
        assert again.box == proposals[n - 1].box
        assert np.array_equal(again.mask, proposals[n - 1].mask)
    assert len({proposal.whole(shape).sum() for proposal in proposals}) > 2


def _two_lesions(second: float, noise: float) -> tuple[Tissue, np.ndarray, np.ndarray]:
    """A bright lesion, one of another height beside it, and normal tissue (0) with noise between; heights in spreads."""
    bright, other = (ball((1, 80, 120), (0, 40, column), 9, (1, 1, 1)) for column in (30, 80))
    array = 6.0 * bright + second * other + noise * np.random.default_rng(0).standard_normal(bright.shape)
    return Tissue(array.astype(np.float32), (1.0, 1.0, 1.0), None, 0.0, 1.0), bright, other


@pytest.mark.parametrize(("second", "noise"), [(-4.0, 0.3), (1.2, 1.0)], ids=["dark", "faint"])
def test_a_second_click_on_a_darker_lesion_leaves_the_normal_tissue_between_out(second: float, noise: float) -> None:
    tissue, bright, other = _two_lesions(second, noise)
    found = outline(tissue, [Click((0, 40, 30)), Click((0, 40, 80))]).whole(bright.shape)
    assert found[0, 40, 80]
    assert (found & ~ndimage.binary_dilation(bright | other, iterations=4)).sum() < 100
    assert (found & bright).sum() > 0.8 * bright.sum()


def test_what_was_taken_away_and_added_again_is_not_taken_away_by_the_next_click() -> None:
    tissue = two_balls_with_a_neck()
    clicks = [Click((30, 45, 40)), Click((30, 45, 58), adds=False), Click((30, 45, 61)), Click((30, 45, 31))]
    taken, back, after = (outline(tissue, clicks[:n]).whole(tissue.array.shape) for n in (2, 3, 4))
    assert not taken[30, 45, 58]
    assert back[30, 45, 58]
    assert after[30, 45, 58]


def test_a_click_that_takes_away_at_the_edge_of_a_second_lesion_leaves_its_middle() -> None:
    tissue, bright, other = _two_lesions(6.0, 0.0)
    clicks = [Click((0, 40, 30)), Click((0, 40, 80)), Click((0, 40, 88), adds=False)]
    found = outline(tissue, clicks).whole(bright.shape)
    assert not found[0, 40, 88]
    assert found[0, 40, 80]
    assert (found & other).sum() > 0.6 * other.sum()
    assert (found & bright).sum() > 0.95 * bright.sum()
