import numpy as np
import pytest

from ClamSegLib.training.value_evidence import ValueEvidence


def slices(rng: np.random.Generator, n: int, bright_share: float) -> np.ndarray:
    """(n,32,32): values around 0, the given share of them around 3."""
    image = rng.normal(0, 0.5, (n, 32, 32))
    bright = rng.random(image.shape) < bright_share
    return np.where(bright, rng.normal(3, 0.3, image.shape), image).astype(np.float32)


def evidence(normal: np.ndarray, diseased: np.ndarray, **changes: np.ndarray) -> ValueEvidence:
    images = np.concatenate([normal, diseased])
    given = {
        "organ": np.ones(images.shape, bool),
        "label": np.r_[np.zeros(len(normal), int), np.ones(len(diseased), int)],
        "position": np.full(len(images), 0.5, np.float32),
        **changes,
    }
    return ValueEvidence(lambda index: (images[index], given["organ"][index]), given["label"], given["position"], 1)


def at(found: ValueEvidence, value: float) -> float:
    """The log ratio of one value."""
    bins = found.table.shape[1]
    return float(found.table[0, int(np.clip((value - found.low) / (found.high - found.low) * bins, 0, bins - 1))])


def test_values_that_diseased_slices_show_more_often_speak_for_disease_by_the_log_of_the_ratio():
    rng = np.random.default_rng(0)
    found = evidence(slices(rng, 60, 0.02), slices(rng, 60, 0.08))
    assert at(found, 3.0) == pytest.approx(np.log(0.08 / 0.02), abs=0.35)
    assert at(found, 0.0) == pytest.approx(np.log(0.92 / 0.98), abs=0.1)


def test_values_outside_the_organ_are_no_evidence():
    rng = np.random.default_rng(1)
    normal, diseased = slices(rng, 30, 0.05), slices(rng, 30, 0.05)
    diseased[:, :16] = 6.0  # bright, but outside
    organ = np.ones((60, 32, 32), bool)
    organ[:, :16] = False
    assert abs(at(evidence(normal, diseased, organ=organ), 3.0)) < 0.4


def test_bright_normal_slices_at_other_heights_do_not_hide_what_the_same_height_shows():
    rng = np.random.default_rng(2)
    normal = np.concatenate([slices(rng, 40, 0.01), slices(rng, 40, 0.3)])
    diseased = slices(rng, 40, 0.08)
    heights = np.r_[np.full(40, 0.5), np.full(40, 0.95), np.full(40, 0.5)].astype(np.float32)
    matched = at(evidence(normal, diseased, position=heights), 3.0)
    blind = at(evidence(normal, diseased), 3.0)
    assert matched > 1.5
    assert blind < 0


def test_a_condition_nobody_shows_has_no_evidence():
    rng = np.random.default_rng(3)
    images = slices(rng, 20, 0.1)
    label = np.r_[np.zeros(10, int), np.ones(10, int)]
    everywhere = np.ones(images.shape, bool)
    read = lambda index: (images[index], everywhere[index])  # noqa: E731
    found = ValueEvidence(read, label, np.full(20, 0.5, np.float32), 2)
    assert not found.table[1].any()
