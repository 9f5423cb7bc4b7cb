"""Mosaics: every region from one slice, all maps mixed alike."""

import pytest
import torch

from ClamSegLib.objective.mosaics import MOSAIC_KINDS, mosaic, rectangle_origin, superpixel_origin, tile_origin
from ClamSegLib.system.errors import InputError

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blocks(n, size, side, first_number=0):
    """Region maps (n,size,size) of square blocks, numbered row by row."""
    line = torch.arange(size) // side
    across = (size + side - 1) // side
    return (line[:, None] * across + line[None] + first_number).to(torch.uint8).expand(n, -1, -1)


def batch(n=6, size=32):
    """First slices hold 1, second slices 2, with different regions and organs."""
    ones = torch.ones(n, 1, size, size)
    left, right = (torch.zeros(n, size, size, dtype=torch.bool) for _ in range(2))
    left[:, :, : size // 2] = True
    right[:, :, size // 4 :] = True
    return ones, 2 * ones, blocks(n, size, 8), blocks(n, size, 5, 100), left, right


@pytest.mark.parametrize("kind", MOSAIC_KINDS)
def test_image_organ_and_taken_maps_all_follow_the_origin_of_the_pixel(kind):
    first, second, first_regions, second_regions, left, right = batch()
    mixed = mosaic(kind, first, second, first_regions, second_regions, left, right, generator=seeded())
    origin = mixed.from_first
    assert origin.dtype == torch.bool
    assert origin.shape == (6, 32, 32)
    assert torch.equal(mixed.image[:, 0] == 1, origin)
    assert torch.equal(mixed.image[:, 0] == 2, ~origin)
    assert torch.equal(mixed.organ, (left & origin) | (right & ~origin))
    assert torch.equal(mixed.take(left, right), mixed.organ)
    target = mixed.take(torch.full((6, 3, 32, 32), 5.0), torch.full((6, 3, 32, 32), 7.0))
    assert target.shape == (6, 3, 32, 32)
    assert torch.equal(target[:, 1] == 5, origin)


@pytest.mark.parametrize("kind", [k for k in MOSAIC_KINDS if k != "none"])
def test_both_slices_appear_and_the_samples_of_a_batch_differ(kind):
    mixed = mosaic(kind, *batch(n=8), generator=seeded(3))
    share = mixed.from_first.float().mean(dim=(1, 2))
    assert ((share > 0.02) & (share < 0.98)).all()
    assert len({tuple(sample.flatten().tolist()) for sample in mixed.from_first}) == 8


def test_without_mixing_the_first_slices_come_back():
    first, *rest = batch()
    mixed = mosaic("none", first, *rest, generator=seeded())
    assert torch.equal(mixed.image, first)
    assert mixed.from_first.all()


def test_a_superpixel_is_never_torn_and_either_slice_cuts():
    n, first, second = 64, blocks(64, 40, 8), blocks(64, 40, 5, 100)
    origin = superpixel_origin(first, second, seeded()).long()

    def whole(regions):
        """(n,) bool: whether every region of `regions` has one origin."""
        sums = torch.zeros(n, 256).scatter_add(1, regions.flatten(1).long(), origin.flatten(1).float())
        size = torch.zeros(n, 256).scatter_add(1, regions.flatten(1).long(), torch.ones(n, 1600))
        return ((sums == 0) | (sums == size)).all(dim=1)

    by_first, by_second = whole(first), whole(second)
    assert (by_first | by_second).all()
    assert 15 < int(by_first.sum()) < 49
    assert 15 < int(by_second.sum()) < 49


def test_the_share_of_the_first_slice_varies_between_samples_around_a_half():
    regions = blocks(400, 32, 2)  # 256 regions, so that the share is close to its probability
    share = superpixel_origin(regions, regions, seeded()).float().mean(dim=(1, 2))
    assert float(share.mean()) == pytest.approx(0.5, abs=0.02)
    assert 0.17 < float(share.min()) < 0.34
    assert 0.66 < float(share.max()) < 0.83


def runs(line):
    """Lengths of equal neighbours in a 1-D bool tensor."""
    change = torch.nonzero(line[1:] != line[:-1]).flatten() + 1
    edges = torch.cat([torch.tensor([0]), change, torch.tensor([len(line)])])
    return edges.diff()


def test_tiles_are_rectangles_no_narrower_than_asked_and_cut_only_by_the_border():
    smallest = 64 / 8
    for sample in tile_origin(24, 64, seeded(), CPU):
        for line in (sample, sample.T):
            # Columns change together: the seams of all lines lie at multiples of one side, plus one offset.
            seams = torch.nonzero((line[:, 1:] != line[:, :-1]).any(dim=0)).flatten()
            assert (seams.diff() >= smallest - 1).all()
        inner = runs(sample[0])[1:-1]
        assert (inner >= smallest - 1).all()


def test_small_tiles_do_not_repeat_themselves():
    origin = tile_origin(4, 64, seeded(), CPU, side_range=(2 / 64, 2 / 64))
    # Tiles of two pixels: 32 across. A pattern with a period of 16 tiles would return after 32 pixels.
    assert (origin[:, :32] != origin[:, 32:]).float().mean() > 0.3


@pytest.mark.parametrize("side_range", [(0.0, 0.3), (0.4, 0.3), (0.2, 1.5), (float("nan"), 0.3)])
def test_tile_sides_out_of_range_are_refused(side_range):
    with pytest.raises(InputError, match="Tile sides"):
        mosaic("tile", *batch(), generator=seeded(), side_range=side_range)


def test_cutmix_takes_one_rectangle_of_20_to_80_percent_from_the_second_slice():
    cut = ~rectangle_origin(200, 64, seeded(), CPU)
    area = cut.float().mean(dim=(1, 2))
    assert float(area.min()) > 0.2 - 0.05
    assert float(area.max()) < 0.8 + 0.05
    assert float(area.min()) < 0.3
    assert float(area.max()) > 0.7
    box = cut.any(dim=2)[:, :, None] & cut.any(dim=1)[:, None, :]
    assert torch.equal(box, cut)
    assert all(len(runs(sample.any(dim=1))) <= 3 for sample in cut)


def test_mixed_uses_superpixels_in_some_samples_and_tiles_in_others():
    first, second, _, _, left, right = batch(n=60)
    regions = torch.zeros(60, 32, 32, dtype=torch.uint8)  # one region: a superpixel mosaic is not mixed at all
    mixed = mosaic("mixed", first, second, regions, regions, left, right, generator=seeded())
    uniform = (mixed.from_first.float().mean(dim=(1, 2)) % 1 == 0).sum()
    assert 15 < int(uniform) < 45


@pytest.mark.parametrize("kind", MOSAIC_KINDS)
def test_the_same_generator_state_gives_the_same_mosaic(kind):
    first, second = (mosaic(kind, *batch(), generator=seeded(5)) for _ in range(2))
    assert torch.equal(first.from_first, second.from_first)
    if kind != "none":
        assert not torch.equal(first.from_first, mosaic(kind, *batch(), generator=seeded(6)).from_first)


def test_a_slice_mixed_with_itself_is_itself():
    image = torch.rand(3, 1, 32, 32, dtype=torch.float64, generator=seeded())
    _, _, regions, _, left, _ = batch(n=3)
    mixed = mosaic("superpixel", image, image, regions, regions, left, left, generator=seeded())
    assert torch.equal(mixed.image, image)
    assert torch.equal(mixed.organ, left)


def test_an_unknown_kind_is_refused_and_the_known_ones_are_named():
    with pytest.raises(InputError, match="superpixel, tile, mixed, cutmix, none"):
        mosaic("puzzle", *batch(), generator=seeded())
