"""Augmentation and the paper's distortions: phantoms move as the parameters say, and all maps move alike."""

from dataclasses import replace

import pytest
import torch

from ClamSegLib.objective.augmentation import Augmentation, AugmentationStrength, PairDistortion
from ClamSegLib.system.errors import InputError

CPU = torch.device("cpu")
SIZE = 96
STILL = AugmentationStrength(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, flip=False)
SHAPE_ONLY = AugmentationStrength(gain=0, offset=0, curve=0, noise=0)
VALUES_ONLY = AugmentationStrength(rotation_degrees=0, smallest_zoom=1, shift=0, elastic=0, flip=False)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def disc(n, row, column, radius, size=SIZE):
    """(n,1,S,S) float: 1 in a disc, with a soft edge of a pixel; row and column in pixels."""
    line = torch.arange(size, dtype=torch.float32)
    distance = ((line[:, None] - row) ** 2 + (line[None] - column) ** 2).sqrt()
    return (radius + 0.5 - distance).clamp(0, 1).expand(n, 1, size, size).contiguous()


def centre_and_widths(x):
    """Centre of mass (row, column) and standard deviation along rows and columns of (B,1,S,S), each (B,2)."""
    mass = x[:, 0].double()
    line = torch.arange(x.shape[-1], dtype=torch.float64)
    total = mass.sum(dim=(1, 2))
    profiles = (mass.sum(2) / total[:, None], mass.sum(1) / total[:, None])
    centre = torch.stack([(p * line).sum(1) for p in profiles], 1)
    variance = torch.stack([(p * line**2).sum(1) for p in profiles], 1) - centre**2
    return centre, variance.sqrt()


def smooth_image(n, size=SIZE, seed=0):
    coarse = torch.randn(n, 1, 6, 6, generator=seeded(seed))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)


# Augmentation: shape


def test_strength_zero_changes_nothing():
    change = Augmentation.sample(4, SIZE, seeded(), CPU, strength=STILL)
    image, mask = smooth_image(4), torch.rand(4, SIZE, SIZE, generator=seeded()) > 0.5
    torch.testing.assert_close(change.image(image), image, atol=2e-4, rtol=0)
    torch.testing.assert_close(change.map(image), image, atol=2e-4, rtol=0)
    assert torch.equal(change.nearest(mask), mask)


def test_scaled_to_zero_is_no_change_and_to_one_the_strength_itself():
    full = AugmentationStrength()
    assert full.scaled(1.0, flip=True) == full
    assert full.scaled(0.0, flip=False) == STILL
    half = full.scaled(0.5, flip=False)
    assert half.rotation_degrees == full.rotation_degrees / 2
    assert half.smallest_zoom == pytest.approx(0.9)


def test_zoom_shrinks_rows_and_columns_to_80_to_100_percent_about_the_centre():
    strength = AugmentationStrength(0, 0, 0, 0, rotation_degrees=0, smallest_zoom=0.8, shift=0, elastic=0, flip=False)
    phantom = disc(200, 60, 40, 12)
    moved = Augmentation.sample(200, SIZE, seeded(), CPU, strength=strength).map(phantom)
    (before, width), (after, widths) = centre_and_widths(phantom), centre_and_widths(moved)
    zoom = widths / width
    assert 0.79 < float(zoom.min()) < 0.82
    assert 0.98 < float(zoom.max()) < 1.01
    middle = (SIZE - 1) / 2
    torch.testing.assert_close(after, middle + zoom * (before - middle), atol=0.35, rtol=0)


def test_rotation_turns_by_at_most_the_angle_and_keeps_the_distance_from_the_centre():
    strength = AugmentationStrength(0, 0, 0, 0, rotation_degrees=10, smallest_zoom=1, shift=0, elastic=0, flip=False)
    phantom = disc(200, 47.5, 77.5, 6)  # to the right of the centre, 30 pixels away
    centre, _ = centre_and_widths(Augmentation.sample(200, SIZE, seeded(), CPU, strength=strength).map(phantom))
    offset = centre - (SIZE - 1) / 2
    torch.testing.assert_close(offset.norm(dim=1), torch.full((200,), 30.0).double(), atol=0.1, rtol=0)
    angle = torch.rad2deg(torch.atan2(offset[:, 0], offset[:, 1]))
    assert -10.2 < float(angle.min()) < -9
    assert 9 < float(angle.max()) < 10.2


def test_shift_moves_by_at_most_its_share_of_the_side():
    strength = AugmentationStrength(0, 0, 0, 0, rotation_degrees=0, smallest_zoom=1, shift=0.1, elastic=0, flip=False)
    phantom = disc(200, 40, 50, 8)
    centre, _ = centre_and_widths(Augmentation.sample(200, SIZE, seeded(), CPU, strength=strength).map(phantom))
    moved = centre - torch.tensor([40.0, 50.0]).double()
    assert float(moved.abs().max()) < 0.1 * SIZE + 0.05
    assert (moved.abs().amax(dim=0) > 0.09 * SIZE).all()


def test_left_and_right_change_places_in_half_of_the_slices_and_never_when_switched_off():
    phantom = disc(400, 30, 20, 5)
    mirrored = (replace(STILL, flip=True), True), (STILL, False)
    for strength, flips in mirrored:
        centre, _ = centre_and_widths(Augmentation.sample(400, SIZE, seeded(), CPU, strength=strength).map(phantom))
        on_the_right = (centre[:, 1] - (SIZE - 1 - 20)).abs() < 0.01
        on_the_left = (centre[:, 1] - 20).abs() < 0.01
        assert (on_the_right | on_the_left).all()
        torch.testing.assert_close(centre[:, 0], torch.full((400,), 30.0).double(), atol=0.01, rtol=0)
        assert float(on_the_right.double().mean()) == pytest.approx(0.5 if flips else 0.0, abs=0.1)


def test_elastic_moves_points_apart_but_none_further_than_its_share():
    strength = AugmentationStrength(0, 0, 0, 0, 0, 1, 0, elastic=0.03, flip=False)
    change = Augmentation.sample(100, SIZE, seeded(), CPU, strength=strength)
    shifts = []
    for row, column in ((25, 25), (70, 60)):
        centre, _ = centre_and_widths(change.map(disc(100, row, column, 4)))
        shifts.append(centre - torch.tensor([row, column]).double())
    assert float(torch.stack(shifts).abs().max()) < 1.3 * 0.03 * SIZE  # the cubic curve overshoots its nodes a little
    assert float((shifts[0] - shifts[1]).abs().mean()) > 0.5


def test_image_mask_numbers_and_maps_stay_registered():
    row, column = 22, 70
    phantom = disc(64, row, column, 7)
    change = Augmentation.sample(64, SIZE, seeded(), CPU, strength=SHAPE_ONLY)
    centre, _ = centre_and_widths(change.image(phantom))
    for moved in (
        change.map(phantom),
        change.nearest(phantom[:, 0] > 0.5)[:, None],
        (change.nearest((phantom[:, 0] > 0.5).to(torch.uint8) * 200) == 200)[:, None],
    ):
        other, _ = centre_and_widths(moved.float())
        torch.testing.assert_close(other, centre, atol=0.4, rtol=0)  # the nearest pixel is up to half a pixel off


def test_numbers_are_never_mixed_and_outside_the_slice_they_are_zero():
    numbers = torch.tensor([7, 250], dtype=torch.uint8).repeat(SIZE, SIZE // 2).expand(16, -1, -1)
    moved = Augmentation.sample(16, SIZE, seeded(), CPU).nearest(numbers)
    assert set(moved.unique().tolist()) == {0, 7, 250}
    assert bool((moved[:, 0, 0] == 0).any())


def test_beyond_its_edge_the_image_goes_on_and_masks_and_maps_end():
    strength = AugmentationStrength(0, 0, 0, 0, 0, 0.8, 0, 0, flip=False)
    change = Augmentation.sample(30, SIZE, seeded(1), CPU, strength=strength)
    ones = torch.ones(30, 1, SIZE, SIZE)
    torch.testing.assert_close(change.image(ones), ones)
    assert (change.map(ones)[:, 0, 0, :].amax(1) < 0.5).float().mean() > 0.8
    assert (~change.nearest(ones[:, 0].bool())[:, 0]).all(dim=1).float().mean() > 0.8


# Augmentation: values


def test_gain_and_offset_are_in_units_of_the_images_spread_for_windows_and_z_scores_alike():
    window = smooth_image(50).sigmoid()
    scores = (window - 0.3) * 40
    changed = [Augmentation.sample(50, SIZE, seeded(), CPU, strength=VALUES_ONLY).image(x) for x in (window, scores)]
    torch.testing.assert_close((changed[0] - 0.3) * 40, changed[1], atol=2e-2, rtol=0)
    assert float((changed[0].mean((1, 2, 3)) - window.mean((1, 2, 3))).abs().max()) > 0.1 * float(window.std())


def test_contrast_and_brightness_stay_within_their_limits():
    strength = AugmentationStrength(0.25, 0.2, 0, 0, 0, 1, 0, 0, flip=False)
    image = smooth_image(300)
    changed = Augmentation.sample(300, SIZE, seeded(), CPU, strength=strength).image(image)
    spread = image.std((1, 2, 3))
    gain = changed.std((1, 2, 3)) / spread
    offset = (changed.mean((1, 2, 3)) - image.mean((1, 2, 3))) / spread
    assert 0.749 < float(gain.min()) < 0.77
    assert 1.23 < float(gain.max()) < 1.251
    assert 0.18 < float(offset.abs().max()) < 0.201


def test_the_curve_keeps_the_order_of_values_and_bends_dark_and_bright_in_opposite_ways():
    ramp = torch.linspace(-8, 8, SIZE * SIZE).view(1, 1, SIZE, SIZE).repeat(100, 1, 1, 1)
    strength = AugmentationStrength(0, 0, 0.9, 0, 0, 1, 0, 0, flip=False)
    flat = Augmentation.sample(100, SIZE, seeded(), CPU, strength=strength).image(ramp).flatten(1)
    assert (flat.diff(dim=1) > 0).all()
    step = 16 / (SIZE * SIZE - 1)
    dark, bright = flat.diff(dim=1)[:, 5] / step, flat.diff(dim=1)[:, -5] / step
    torch.testing.assert_close(dark + bright, torch.full((100,), 2.0), atol=0.02, rtol=0)
    assert float((bright - dark).abs().max()) > 1.0


def test_noise_has_the_drawn_strength_mean_zero_and_differs_between_slices():
    strength = AugmentationStrength(0, 0, 0, 0.5, 0, 1, 0, 0, flip=False)
    image = smooth_image(60)
    noise = Augmentation.sample(60, SIZE, seeded(), CPU, strength=strength).image(image) - image
    level = noise.std((1, 2, 3)) / image.std((1, 2, 3))
    assert 0.4 < float(level.max()) < 0.53
    assert float(level.min()) < 0.1
    assert float(noise.mean().abs()) < 0.02
    flat = noise.flatten(1) / noise.flatten(1).norm(dim=1, keepdim=True)
    same = (flat @ flat.T).fill_diagonal_(0).abs()
    assert float(same.mean()) < 0.05


@pytest.mark.parametrize("value", [0.0, 0.7, -3.0])
def test_a_constant_image_stays_finite_and_almost_constant(value):
    image = torch.full((8, 1, SIZE, SIZE), value)
    changed = Augmentation.sample(8, SIZE, seeded(), CPU).image(image)
    torch.testing.assert_close(changed, image, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    "wrong", [{"gain": -0.1}, {"curve": 1.5}, {"smallest_zoom": 0.0}, {"elastic": 0.3}, {"noise": float("nan")}]
)
def test_strengths_that_would_fold_or_invert_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        AugmentationStrength(**wrong)


# The paper's distortions


def distorted_disc(n=300, row=38.0, column=60.0, radius=9.0):
    distortion = PairDistortion.sample(n, SIZE, seeded(), CPU)
    phantom = disc(n, row, column, radius)
    return distortion, phantom, distortion.map(phantom)


def test_a_disc_is_compressed_or_stretched_about_the_centre_by_80_to_100_percent_along_each_side():
    _, phantom, moved = distorted_disc()
    (before, width), (after, widths) = centre_and_widths(phantom), centre_and_widths(moved)
    scale = widths / width
    compressed = (scale <= 1.005).all(dim=1)
    stretched = (scale >= 0.995).all(dim=1)
    assert (compressed | stretched).all()
    assert 0.4 < float(compressed.double().mean()) < 0.6
    assert 0.79 < float(scale.min()) < 0.82
    assert 1 / 0.82 < float(scale.max()) < 1 / 0.79
    assert float((scale[:, 0] - scale[:, 1]).abs().max()) > 0.1  # each side on its own
    middle = (SIZE - 1) / 2
    torch.testing.assert_close(after, middle + scale * (before - middle), atol=0.35, rtol=0)


def test_valid_is_the_compressed_frame_and_everything_when_stretched():
    distortion, phantom, moved = distorted_disc()
    scale = centre_and_widths(moved)[1] / centre_and_widths(phantom)[1]
    rows = distortion.valid.any(dim=2).sum(dim=1)
    columns = distortion.valid.any(dim=1).sum(dim=1)
    expected = (scale.clamp(max=1) * SIZE).float()
    assert float((rows - expected[:, 0]).abs().max()) < 3.5
    assert float((columns - expected[:, 1]).abs().max()) < 3.5
    assert distortion.valid[(scale > 1.02).any(dim=1)].all()


def test_probabilities_still_sum_to_one_wherever_valid_and_are_zero_in_the_padding():
    n = 100
    probability = torch.randn(n, 3, SIZE, SIZE, generator=seeded()).softmax(1)
    distortion = PairDistortion.sample(n, SIZE, seeded(), CPU)
    total = distortion.map(probability).sum(1)
    torch.testing.assert_close(total[distortion.valid], torch.ones(int(distortion.valid.sum())), atol=1e-4, rtol=0)
    assert float(total[:, 0, 0][~distortion.valid[:, 0, 0]].min()) < 0.01
    assert bool((~distortion.valid).any())


def test_image_and_map_move_alike():
    distortion, phantom, moved = distorted_disc()
    image_centre, _ = centre_and_widths(distortion.image(phantom))
    torch.testing.assert_close(image_centre, centre_and_widths(moved)[0], atol=0.05, rtol=0)


def test_corner_marks_stay_inside_when_compressed():
    marks = torch.zeros(200, 1, SIZE, SIZE)
    marks[:, :, :3, :3] = marks[:, :, -3:, -3:] = 1
    distortion = PairDistortion.sample(200, SIZE, seeded(), CPU)
    moved, valid = distortion.map(marks), distortion.valid
    compressed = ~valid[:, 0, 0]
    kept = (moved[:, 0] * valid).sum((1, 2))[compressed]
    assert (kept > 0.5 * 0.64 * 18 * 0.5).all()
    # Nothing of the content lies further out than half a pixel of interpolation around the valid frame.
    grown = torch.nn.functional.max_pool2d(valid[:, None].float(), 3, 1, 1)
    assert float((moved * (1 - grown))[compressed].abs().max()) < 1e-4


def test_the_blur_lowers_fine_detail_and_keeps_means_and_coarse_structure():
    checks = ((torch.arange(SIZE)[:, None] + torch.arange(SIZE)[None]) % 2).float().expand(200, 1, -1, -1).contiguous()
    distortion = PairDistortion.sample(200, SIZE, seeded(), CPU)
    blurred = distortion._blurred(checks)
    contrast = blurred.std((1, 2, 3)) / checks.std((1, 2, 3))
    assert (contrast <= 1 + 1e-5).all()
    assert float(contrast.min()) < 0.7  # nearly 90 % of the resolution
    assert float(contrast.max()) > 0.95  # nearly all of it
    torch.testing.assert_close(blurred.mean((1, 2, 3)), torch.full((200,), 0.5), atol=5e-3, rtol=0)
    coarse = disc(200, 40, 50, 20)
    assert float((distortion._blurred(coarse) - coarse).abs().mean()) < 0.005


def test_the_gradient_flows_through_the_map():
    p = torch.rand(2, 2, 24, 24, dtype=torch.float64, generator=seeded(), requires_grad=True)
    distortion = PairDistortion.sample(2, 24, seeded(4), CPU)
    assert torch.autograd.gradcheck(distortion.map, (p,), atol=1e-6)
    distortion.map(p).sum().backward()
    assert p.grad is not None
    assert (p.grad[:, :, 8:16, 8:16] > 0).all()


# Both


def objects(seed, n=5):
    return Augmentation.sample(n, SIZE, seeded(seed), CPU), PairDistortion.sample(n, SIZE, seeded(seed), CPU)


def test_the_same_generator_state_gives_the_same_change_and_another_another():
    image = smooth_image(5)
    for one, two, other in zip(objects(3), objects(3), objects(4), strict=True):
        assert torch.equal(one.image(image), two.image(image))
        assert torch.equal(one.map(image), two.map(image))
        assert not torch.equal(one.image(image), other.image(image))


def test_slices_of_a_batch_change_each_in_their_own_way():
    image = smooth_image(1).expand(5, -1, -1, -1)
    for change in objects(0):
        flat = change.image(image).flatten(1)
        distance = torch.cdist(flat, flat)
        assert int((distance < 1e-3).sum()) == 5  # only each with itself


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_type_and_shape_of_values_are_kept_and_nothing_becomes_nan(dtype):
    image = (smooth_image(5) * 3).to(dtype)
    for change in objects(2):
        for moved in (change.image(image), change.map(image), change.map(image[:, 0])):
            assert moved.dtype == dtype
            assert torch.isfinite(moved).all()
        assert change.map(image[:, 0]).shape == (5, SIZE, SIZE)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_masks_and_numbers_keep_their_type(dtype):
    change, _ = objects(2)
    assert change.nearest(torch.ones(5, SIZE, SIZE, dtype=dtype)).dtype == dtype


def test_odd_and_tiny_sizes_work():
    for size in (1, 2, 17, 33):
        image = torch.rand(3, 1, size, size, generator=seeded())
        augmentation = Augmentation.sample(3, size, seeded(), CPU)
        distortion = PairDistortion.sample(3, size, seeded(), CPU)
        for moved in (augmentation.image(image), distortion.image(image), distortion.map(image)):
            assert moved.shape == image.shape
            assert torch.isfinite(moved).all()


def test_draws_do_not_depend_on_the_device():
    if not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    image = smooth_image(5)
    gpu = torch.device("cuda")
    for kind in (Augmentation, PairDistortion):
        here, there = (kind.sample(5, SIZE, seeded(), device) for device in (CPU, gpu))
        torch.testing.assert_close(there.image(image.to(gpu)).cpu(), here.image(image), atol=1e-3, rtol=0)
