from dataclasses import replace

import numpy as np
import pytest
from tiny_model import tiny_model

from ClamSegLib.decoding.slice_smoothing import (
    evidence,
    slices_are_close,
    smooth_across_slices,
)
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.report import report_of
from ClamSegLib.segmentation.segment_volume import segment_volume


def maps(*values: float) -> np.ndarray:
    """Evidence of slices that have one P_L everywhere, (N, 1, 4, 4)."""
    return evidence(np.stack([np.full((1, 4, 4), value, np.float32) for value in values]))


def middle(found: np.ndarray) -> list[float]:
    return [float(map_[0, 2, 2]) for map_ in found]


def test_evidence_is_averaged_with_half_the_weight_on_the_slice_itself():
    found = middle(smooth_across_slices(maps(0.0, 0.9, 0.0, 0.0), 0, 4))
    log = -np.log(1 - 0.9)
    expected = [1 - np.exp(-log / 3), 1 - np.exp(-log / 2), 1 - np.exp(-log / 4), 0.0]
    assert found == pytest.approx(expected, abs=1e-3)


def test_slices_that_all_say_the_same_stay_as_they_are():
    assert middle(smooth_across_slices(maps(0.6, 0.6, 0.6), 0, 3)) == pytest.approx([0.6] * 3, abs=1e-3)


def test_batches_know_the_slices_beside_them():
    kept = evidence(np.random.default_rng(0).random((7, 2, 4, 4)).astype(np.float32))
    whole = smooth_across_slices(kept, 0, 7)
    parts = [smooth_across_slices(kept, start, min(start + 3, 7)) for start in range(0, 7, 3)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_a_certain_pixel_stays_a_probability():
    found = smooth_across_slices(maps(1.0, 1.0), 0, 2)
    assert np.isfinite(found).all()
    assert 0.99 < found.max() <= 1


def volume(slices: int, distance_mm: float = 2.0) -> Volume:
    array = np.random.default_rng(1).integers(0, 200, (slices, 40, 40)).astype(np.int16)
    return Volume(array, spacing_mm=(1.0, 1.0, distance_mm), modality="MR")


def test_far_slices_and_single_pictures_are_judged_by_themselves():
    assert slices_are_close(volume(3))
    assert not slices_are_close(volume(3, 9.0))
    assert not slices_are_close(volume(1))
    assert slices_are_close(replace(volume(3, 9.0), spacing_known=False))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LoadedModel:
    found = load_model(tiny_model(tmp_path_factory.mktemp("neighbours") / "tiny"))
    return replace(found, config=replace(found.config, slice_smoothing=True))


def result_of(model: LoadedModel, scan: Volume, **options: object):
    return segment_volume(scan, model, SegmentOptions(device="cpu", **options))


def test_a_model_that_wants_it_not_and_a_user_who_says_no_give_the_same_maps(model):
    alone = replace(model, config=replace(model.config, slice_smoothing=False))
    by_user = result_of(model, volume(5), slice_smoothing=False)
    assert np.array_equal(by_user.probability, result_of(alone, volume(5)).probability)
    assert not np.array_equal(by_user.probability, result_of(model, volume(5)).probability)


def test_the_batch_size_changes_nothing(model):
    assert np.array_equal(
        result_of(model, volume(7), batch_size=2).probability, result_of(model, volume(7), batch_size=7).probability
    )


def test_engines_give_the_same_smoothed_maps(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CLAMSEG_CACHE", str(tmp_path))
    reference, other = (result_of(model, volume(9), engine=engine) for engine in ("reference", "torch"))
    assert other.engine["engine"] == "torch"
    apart = np.abs(reference.probability.astype(int) - other.probability)
    assert apart.max() <= 1, "one step is rounding"
    assert reference.probability.max() > 10


def test_the_report_says_whether_slices_were_smoothed(model):
    for scan, expected in ((volume(5), True), (volume(1), False), (volume(5, 9.0), False)):
        assert report_of(result_of(model, scan))["slices"]["smoothed"] is expected
