"""What is asked of a scan before the network runs, whoever asks."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import tiny_model

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.organ.find_organ import organ_of
from ClamSegLib.segmentation.inspection import inspect
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume

OPTIONS = SegmentOptions(device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def scan(low: int, high: int, **facts: object) -> Volume:
    return Volume(np.random.default_rng(0).integers(low, high, (5, 40, 44)).astype(np.int16), **facts)


def test_a_ct_that_does_not_say_so_is_told_to_every_caller_with_a_model_for_mri(model):
    told = "The volume looks like CT, model 'tiny' was made for MRI; the result means little."
    assert told in inspect(scan(-1000, 1500), model, OPTIONS).warnings
    assert told in segment_volume(scan(-1000, 1500), model, OPTIONS).warnings
    assert told not in inspect(scan(0, 900), model, OPTIONS).warnings
    assert told not in inspect(scan(-1000, 1500, modality="MR"), model, OPTIONS).warnings


def test_a_scan_of_another_kind_or_sequence_is_told(model):
    flair = replace(model, config=replace(model.config, sequence="FLAIR"), engines={})
    (kind, series) = inspect(scan(0, 900, modality="XR", description="T1 map"), flair, OPTIONS).warnings
    assert kind.startswith("The image is XR, model 'tiny' was made for MR")
    assert series == "Model 'tiny' was made for FLAIR; the series is called 'T1 map'."


def test_what_an_older_model_no_longer_gets_stands_in_the_result(model):
    older = replace(model, warnings=("The model's early_exits are no longer used.",), engines={})
    assert older.warnings[0] in segment_volume(scan(0, 900), older, OPTIONS).warnings


def test_what_was_inspected_is_not_warned_of_twice(model):
    volume = scan(-1000, 1500)
    found = inspect(volume, model, OPTIONS)
    assert segment_volume(volume, model, OPTIONS, inspection=found).warnings == found.warnings


def test_an_organ_model_looks_everywhere_a_drawn_mask_counts_and_an_empty_one_counts_as_none(model):
    volume = scan(0, 900)
    drawn = np.zeros(volume.array.shape, bool)
    organ = replace(model.config, task="organ")
    assert organ_of(volume, organ, given=drawn).mask.all()
    whole = organ_of(volume, model.config, given=drawn)
    assert (whole.method, bool(whole.mask.all())) == ("whole", True)
    drawn[2, 10:30, 10:30] = True
    assert np.array_equal(organ_of(volume, model.config, given=drawn).mask, drawn)


def test_a_model_runs_at_its_default_level_unless_another_is_asked_for(model):
    shallow = replace(model, config=replace(model.config, default_level=1), engines={})
    found = segment_volume(scan(0, 900), shallow, OPTIONS)
    assert found.level == 1
    assert np.array_equal(found.probability, segment_volume(scan(0, 900), model, replace(OPTIONS, level=1)).probability)
    assert segment_volume(scan(0, 900), shallow, replace(OPTIONS, level=2)).level == 2
