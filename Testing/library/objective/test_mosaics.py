"""Mosaics: every region from one slice, all maps mixed alike."""

import pytest
import torch

from ClamSegLib.objective.mosaics import mosaic, superpixel_origin


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


def test_image_organ_and_taken_maps_all_follow_the_origin_of_the_pixel():
    first, second, first_regions, second_regions, left, right = batch()
    mixed = mosaic(first, second, first_regions, second_regions, left, right, generator=seeded())
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


def test_both_slices_appear_and_the_samples_of_a_batch_differ():
    mixed = mosaic(*batch(n=8), generator=seeded(3))
    share = mixed.from_first.float().mean(dim=(1, 2))
    assert ((share > 0.02) & (share < 0.98)).all()
    assert len({tuple(sample.flatten().tolist()) for sample in mixed.from_first}) == 8


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


def test_the_same_generator_state_gives_the_same_mosaic():
    first, second = (mosaic(*batch(), generator=seeded(5)) for _ in range(2))
    assert torch.equal(first.from_first, second.from_first)
    assert not torch.equal(first.from_first, mosaic(*batch(), generator=seeded(6)).from_first)


def test_a_slice_mixed_with_itself_is_itself():
    image = torch.rand(3, 1, 32, 32, dtype=torch.float64, generator=seeded())
    _, _, regions, _, left, _ = batch(n=3)
    mixed = mosaic(image, image, regions, regions, left, left, generator=seeded())
    assert torch.equal(mixed.image, image)
    assert torch.equal(mixed.organ, left)
