"""The network's log odds and the normative map of the whole volume, weighed together."""

import numpy as np
import pytest

from ClamSegLib.decoding.slice_smoothing import OUTSIDE
from ClamSegLib.decoding.volume_evidence import probability_of, raw_log_odds, weigh_together
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.decoding_config import NormativeConfig, VolumeEvidenceConfig
from ClamSegLib.system.errors import InputError

SIDE, NORMAL = 64, NormativeConfig(normal_limit=1.5)
LESION, SCALP = (slice(20, 30), slice(20, 30)), (slice(50, 58), slice(30, 50))


def volume(slices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """h, normative map, organ and image: the map deviates at two places, the network finds lesion at one only."""
    organ = np.zeros((slices, SIDE, SIDE), bool)
    organ[:, 4:60, 4:60] = True
    a, x = np.zeros((slices, SIDE, SIDE), np.float32), np.zeros((slices, SIDE, SIDE), np.float32)
    h = np.full((slices, 1, SIDE, SIDE), -5, np.float16)
    for rows, columns in (LESION, SCALP):
        a[:, rows, columns], x[:, rows, columns] = 6, 5
    h[:, 0, 22:28, 22:28] = 1
    h[~organ[:, None]] = OUTSIDE
    return h, a, organ, x


def weighed(h: np.ndarray, a: np.ndarray, organ: np.ndarray, x: np.ndarray, **settings: float) -> np.ndarray:
    f = h.copy()
    weigh_together(f, a, organ, x.__getitem__, NORMAL, VolumeEvidenceConfig(**settings))
    return f.astype(np.float32)


@pytest.mark.parametrize("slices", [1, 5])
def test_the_map_draws_the_outline_of_what_the_network_finds(slices):
    h, a, organ, x = volume(slices)
    gain = (weighed(h, a, organ, x, weight=0.5) - h)[:, 0]
    assert gain[:, 21:29, 21:29].min() > 1, "also at the rim, where the network was unsure"
    assert gain[:, 54, 40].max() < -1.5, "the network supports nothing there"
    assert gain[:, 40, 10].max() < -1.5, "normal tissue"
    assert not gain[~organ].any()


def test_every_part_counts_where_no_share_is_asked():
    h, a, organ, x = volume(3)
    assert (weighed(h, a, organ, x, parts_share=0.0) - h)[:, 0, 54, 40].min() > 1


def test_a_hole_of_a_lesion_belongs_to_it():
    h, a, organ, x = volume(3)
    a[:, 24:26, 24:26], x[:, 24:26, 24:26] = -2, -2
    assert (weighed(h, a, organ, x) - h)[:, 0, 25, 25].min() > 0


def test_only_slices_with_a_supported_part_are_looked_at_again():
    h, a, organ, x = volume(5)
    a[:2], h[:2, :, 4:60, 4:60] = 0, -5
    asked = []

    def image(k: int) -> np.ndarray:
        asked.append(k)
        return x[k]

    weigh_together(h, a, organ, image, NORMAL, VolumeEvidenceConfig())
    assert asked == [2, 3, 4]


def test_a_volume_without_any_deviation_stays_free_of_lesion():
    h, a, organ, x = volume(3)
    f = weighed(h, np.zeros_like(a), organ, x)
    assert np.isfinite(f).all()
    assert (f[:, 0][organ] < h[:, 0][organ]).all()


def test_each_condition_keeps_the_parts_that_its_own_log_odds_support():
    h, a, organ, x = volume(2)
    other = np.full_like(h, -5)
    other[:, 0, 52:56, 34:46] = 1
    gain = weighed(np.concatenate([h, other], axis=1), a, organ, x) - np.concatenate([h, other], axis=1)
    assert gain[:, 0, 25, 25].min() > 1
    assert gain[:, 0, 54, 40].max() < 0
    assert gain[:, 1, 54, 40].min() > 1
    assert gain[:, 1, 25, 25].max() < 0


def test_log_odds_come_back_from_probabilities_and_one_half_lies_at_the_shift():
    organ = np.ones((1, 2, 2), bool)
    organ[0, 0, 0] = False
    odds = np.array([[[[9.0, -3.0], [0.5, 2.0]]]], np.float32)
    raw = raw_log_odds(1.5 * (odds - 0.25), organ, ((0.25, 1.5),))
    assert np.allclose(raw[0, 0], [[OUTSIDE, -3.0], [0.5, 2.0]], atol=1e-2)
    found = probability_of(raw, VolumeEvidenceConfig(calibration=((0.5, 2.0),)))
    assert found[0, 0, 1, 0] == pytest.approx(0.5, abs=1e-3)


def test_a_configuration_without_map_or_calibration_cannot_ask_the_volume():
    three = NetworkConfig((4, 8), (3, 3), in_channels=3)
    with pytest.raises(InputError, match="needs a normative map"):
        ModelConfig("x", calibration=((0.0, 1.0),), volume_evidence=VolumeEvidenceConfig())
    with pytest.raises(InputError, match="beside those of calibration"):
        ModelConfig("x", network=three, normative=NormativeConfig(), volume_evidence=VolumeEvidenceConfig())
