import numpy as np
import pytest

from ClamSegLib.decoding.refinement import follow_image, peaks, refined, to_probability
from ClamSegLib.model.config_json import from_json, to_json
from ClamSegLib.model.decoding_config import RefinementConfig
from ClamSegLib.system.errors import InputError


def test_the_edge_of_a_blunt_map_moves_onto_the_edge_of_the_image():
    from scipy.ndimage import gaussian_filter

    y, x = np.mgrid[:64, :64]
    disc = (y - 30) ** 2 + (x - 34) ** 2 < 12**2
    image = np.where(disc, 3.0, 0.0).astype(np.float32)
    blunt = gaussian_filter(disc.astype(np.float32), 4)
    sharp = follow_image(blunt, image)
    distance = np.hypot(y - 30, x - 34) - 12
    inside, outside = (distance > -2) & (distance < 0), (distance > 0) & (distance < 2)

    def step(map_: np.ndarray) -> float:
        return float(map_[inside].mean() - map_[outside].mean())

    assert step(sharp) > 1.5 * step(blunt)


def test_on_a_flat_image_the_map_is_only_smoothed():
    rng = np.random.default_rng(4)
    map_ = rng.normal(0, 1, (64, 64)).astype(np.float32)
    smooth = follow_image(map_, np.full((64, 64), 2.0, np.float32))
    assert smooth.mean() == pytest.approx(map_.mean(), abs=0.02)
    assert smooth.std() < 0.3


EVERYWHERE = np.ones((2, 64, 64), bool)


def table(bright: float, limit: float, peak_share: float = 0.0, volume_peak_share: float = 0.0) -> RefinementConfig:
    """Values from -1 to 4, of which those above 1.5 speak for disease."""
    return RefinementConfig(-1.0, 4.0, ((0.0,) * 48 + (bright,) * 48,), (limit,), peak_share, volume_peak_share)


def test_bright_pixels_gain_where_bright_values_speak_for_disease_and_dark_ones_do_not():
    image = np.zeros((1, 1, 64, 64), np.float32)
    image[..., 20:40, 20:40] = 3.0
    flat = np.full((1, 1, 64, 64), 0.3, np.float32)
    found = refined(flat, image, EVERYWHERE[:1], table(2.0, 0.0))
    assert found[0, 0, 30, 30] > 0.8
    assert found[0, 0, 5, 5] == pytest.approx(0.3, abs=0.02)
    assert found.dtype == np.float32


def test_the_limit_is_taken_off_and_the_result_stays_a_probability():
    rng = np.random.default_rng(5)
    probability = rng.random((2, 1, 32, 32)).astype(np.float32)
    probability[0, 0, 0, 0] = 1.0
    image = rng.normal(0, 1, (2, 1, 32, 32)).astype(np.float32)
    loose, strict = (refined(probability, image, EVERYWHERE[:, :32, :32], table(0.0, limit)) for limit in (0.0, 1.0))
    assert np.isfinite(loose).all()
    assert loose.min() >= 0
    assert loose.max() <= 1
    assert (strict <= loose).all()
    assert (strict < loose).any()


def blobs(*heights: float):
    """Log ratios of slices with a cone of the given height each, and their organ: a disc around it."""
    row, column = np.mgrid[:64, :64] - 32
    distance = np.hypot(row, column)
    cone = np.maximum(0, 1 - distance / 16).astype(np.float32)
    return np.stack([h * cone for h in heights])[:, None], np.broadcast_to(distance < 28, (len(heights), 64, 64))


def test_the_strongest_evidence_is_what_a_hundredth_of_the_organ_exceeds():
    ratio, organ = blobs(4.0, 0.0)
    ratio[0, 0, 0, 0] = 50.0  # outside the organ
    found = peaks(ratio, organ)
    assert found.shape == (2, 1)
    assert (ratio[0, 0][organ[0]] > found[0, 0]).mean() == pytest.approx(0.01, abs=0.002)
    assert found[1, 0] == 0
    assert peaks(ratio, np.zeros_like(organ)).max() == 0


def test_an_outline_lies_at_a_share_of_its_own_height_but_never_below_the_limit_of_normal_tissue():
    ratio, organ = blobs(6.0, 3.0, 0.5)
    limit = table(0.0, 1.0 - np.log(2), peak_share=0.5)
    marked = to_probability(ratio, peaks(ratio, organ), limit)[:, 0] > 0.5
    # Half of the height is reached at the same distance, however high the cone.
    assert abs(int(marked[0].sum()) - int(marked[1].sum())) < 12
    assert not marked[2].any()
    one_cut = to_probability(ratio, peaks(ratio, organ), table(0.0, 1.0 - np.log(2)))[:, 0] > 0.5
    assert one_cut[0].sum() > 1.3 * one_cut[1].sum()


def test_marks_that_are_faint_beside_the_rest_of_the_volume_go():
    ratio, organ = blobs(6.0, 1.2)
    shares = table(0.0, 0.5 - np.log(2), peak_share=0.4, volume_peak_share=0.3)
    peak = peaks(ratio, organ)
    alone = to_probability(ratio, peak, shares) > 0.5
    in_volume = to_probability(ratio, peak, shares, peak.max(axis=0)) > 0.5
    assert alone[1].any()
    assert not in_volume[1].any()
    assert np.array_equal(alone[0], in_volume[0])


def test_a_refinement_is_written_and_read_and_a_broken_one_refused():
    whole = table(2.0, 0.5, 0.4, 0.3)
    with pytest.raises(InputError, match="peak_share"):
        table(2.0, 0.5, peak_share=1.0)
    assert from_json(RefinementConfig, to_json(whole)) == whole
    with pytest.raises(InputError, match="96 numbers"):
        RefinementConfig(0.0, 1.0, ((0.0, 1.0),), (0.0,))
    with pytest.raises(InputError, match="low"):
        RefinementConfig(1.0, 1.0, ((0.0,) * 96,), (0.0,))
