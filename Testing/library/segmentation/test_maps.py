"""Maps of a case whose outlines depend on the strongest evidence of slice and volume."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_model import tiny_model, tiny_normative_model

from ClamSegLib.decoding.refinement import peaks, sharpened, to_probability
from ClamSegLib.decoding.slice_smoothing import log_odds_inside
from ClamSegLib.decoding.volume_evidence import probability_of, raw_log_odds, weigh_together
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.decoding_config import RefinementConfig, VolumeEvidenceConfig
from ClamSegLib.model.twin import decode
from ClamSegLib.segmentation.maps import CaseMaps, paste_steps
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.report import _which_is_strongest
from ClamSegLib.segmentation.segment_volume import segment_volume
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter

SHARES = RefinementConfig(-4.0, 8.0, (tuple(np.linspace(-2.0, 12.0, 96)),), (0.3,), 0.4, 0.8)


@pytest.fixture
def model(tmp_path) -> LoadedModel:
    plain = load_model(tiny_model(tmp_path / "tiny"))
    return replace(plain, config=replace(plain.config, refinement=SHARES), engines={})


@pytest.fixture(scope="module")
def scan(repository):
    return read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")


def segmented(model, scan, **options):
    return segment_volume(scan, model, SegmentOptions(device="cpu", **options))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_every_slice_is_cut_by_its_own_height_and_that_of_the_whole_volume(model, scan, batch_size):
    result = segmented(model, scan, batch_size=batch_size)
    everything = np.arange(result.n_slices)
    image = result.preparation.network_input(everything)
    with torch.inference_mode():
        found = decode(model.twin(torch.from_numpy(image)), model.config)[0].numpy()
    ratio = sharpened(found, image, SHARES)
    peak = peaks(ratio, result.preparation.organ_input(everything))
    expected = np.zeros_like(result.probability)
    maps = to_probability(ratio, peak, SHARES, peak.max(axis=0))
    paste_steps(result.preparation, maps, everything, expected)
    # Evidence is kept in half precision, which may move a step of 1/255.
    assert np.abs(result.probability.astype(int) - expected).max() <= 1
    assert result.probability.max() > 100
    of_slices = np.zeros_like(expected)
    paste_steps(result.preparation, to_probability(ratio, peak, SHARES), everything, of_slices)
    assert (of_slices > result.probability.astype(int) + 1).any(), "the volume's height raises the cut somewhere"


def test_a_case_with_a_slice_that_no_engine_saw_gives_nothing_out(model, scan):
    preparation = segmented(model, scan).preparation
    maps = CaseMaps.empty_for(preparation, Reporter(), smooths=False)
    maps.analysed[1:] = True
    with pytest.raises(ClamSegError, match="slices were analysed"):
        maps.finish(8)
    assert not maps.probability.any()


@pytest.mark.parametrize("batch_size", [2, 64])
def test_a_volume_that_is_weighed_as_a_whole_is_the_same_in_any_batches(tmp_path, scan, batch_size):
    plain = load_model(tiny_normative_model(tmp_path / "tiny"))
    weighed = VolumeEvidenceConfig(calibration=((-1.0, 0.8),))
    model = replace(plain, config=replace(plain.config, volume_evidence=weighed), engines={})
    result = segmented(model, scan, batch_size=batch_size, engine="reference")
    assert model.config.normative is not None
    preparation, everything = result.preparation, np.arange(result.n_slices)
    image, organ = preparation.network_input(everything), preparation.organ_input(everything)
    with torch.inference_mode():
        found = decode(model.twin(torch.from_numpy(image)), model.config)[0].numpy()
    kept = log_odds_inside(found, organ, model.config.calibration).astype(np.float32)
    f = raw_log_odds(kept, organ, model.config.calibration)
    unlike, x = preparation.evidence(everything), preparation.image(everything)
    weigh_together(f, unlike.astype(np.float16), organ, x.__getitem__, model.config.normative, weighed)
    expected = np.zeros_like(result.probability)
    paste_steps(preparation, probability_of(f, weighed), everything, expected)
    assert np.abs(result.probability.astype(int) - expected).max() <= 1
    alone = segmented(plain, scan, batch_size=batch_size, engine="reference")
    assert np.abs(result.probability.astype(int) - alone.probability).max() > 20


def test_a_front_is_told_the_first_of_the_strongest_conditions_and_none_where_none_has_any():
    probability = np.random.default_rng(0).integers(0, 4, (3, 5, 40, 30), np.uint8)
    turned = SimpleNamespace(probability=probability, in_own_frame=lambda array: array.transpose(2, 0, 1)[:, :, ::-1])
    told = np.stack(list(_which_is_strongest(turned)))
    expected = np.where(probability.any(axis=0), probability.argmax(axis=0) + 1, 0)
    assert np.array_equal(told, turned.in_own_frame(expected))
