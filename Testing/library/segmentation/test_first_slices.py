"""A first look at the slices on screen: what the run itself finds there, told before it, and nothing of the run is changed."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import tiny_model, tiny_normative_model

from ClamSegLib.engines.choose import Work, choose_engine, engine_at_hand
from ClamSegLib.imaging.volume import Volume, canonical_orientation
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.segmentation.first_slices import FirstLook, FirstSlices, voxel_of
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume
from ClamSegLib.system.device import choose_device
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

# A stack of sagittal slices from left to right, rows from head to feet: turned and flipped against every canonical plane.
TURNED = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
OPTIONS = SegmentOptions(device="cpu", engine="reference", threshold=0.4, minimum_volume_ml=0.0)


@pytest.fixture
def model(tmp_path) -> LoadedModel:
    return load_model(tiny_model(tmp_path / "tiny"))


def scan(**more) -> Volume:
    """A ball brighter than the noise around it."""
    values = np.random.default_rng(0).integers(0, 300, (24, 40, 44)).astype(np.int16)
    k, j, i = np.ogrid[:24, :40, :44]
    values[(k - 12) ** 2 + (j - 20) ** 2 + (i - 25) ** 2 < 90] += 900
    return Volume(values, direction=TURNED, **more)


def looked_at(volume: Volume, model: LoadedModel, voxel, options=OPTIONS):
    """The run's result, and what was told before its first progress."""
    told: list[FirstSlices] = []

    class Listener(Reporter):
        def progress(self, done, total, stage):
            if stage == "segmenting slices":
                assert told, "the look comes before the slices of the run"

    result = segment_volume(volume, model, options, Listener(), look=FirstLook(voxel, told.append))
    (first,) = told
    return result, first


def as_the_arrays_tell(result) -> np.ndarray:
    """Labels as in labels.npy, in the frame of the input."""
    return result.in_own_frame(np.where(result.labels > 0, result.labels + 1, result.organ.mask))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("voxel", [(12, 20, 25), (0, 0, 0), (23, 39, 43)])
def test_what_is_told_is_what_the_run_finds_in_these_slices_wherever_they_lie(model, plane, voxel):
    model = replace(model, config=replace(model.config, plane=plane))
    volume = scan()
    result, first = looked_at(volume, model, voxel)
    place = tuple(slice(s, s + n) for s, n in zip(first.start, first.labels.shape, strict=True))
    assert all(s.start <= at < s.stop for s, at in zip(place, voxel, strict=True)), "the slice that was asked for"
    assert np.array_equal(first.labels, as_the_arrays_tell(result)[place])
    slices = canonical_orientation(volume, plane).apply(np.ones(volume.array.shape, bool))
    assert first.last - first.first + 1 == first.labels.size // slices[0].size <= 7
    marked = (result.labels[first.first : first.last + 1] > 0).any()
    assert (first.labels > 1).any() == marked
    assert (result.labels > 0).any()


@pytest.mark.parametrize("smooths", [True, False])
def test_the_run_is_the_same_to_the_bit_with_a_look_and_without(tmp_path, smooths):
    model = load_model(tiny_normative_model(tmp_path / "normative", slice_smoothing=smooths))
    volume, options = scan(), replace(OPTIONS, engine="auto")
    without = segment_volume(volume, model, options)
    result, first = looked_at(volume, model, (12, 20, 25), options)
    for name in ("probability", "labels", "components"):
        assert np.array_equal(getattr(result, name), getattr(without, name)), name
    assert (result.lesions, result.warnings, result.engine) == (without.lesions, without.warnings, without.engine)
    assert first.labels.any()


def test_around_the_organ_lies_the_darkest_value_of_the_whole_volume_in_a_few_slices_too(model):
    config = replace(model.config, organ=replace(model.config.organ, keep_background=False))
    volume = scan()
    volume.array[0, 0, 0] = -2000
    mask = np.zeros(volume.array.shape, bool)
    mask[:, 10:30, 12:36] = True
    whole = prepare(volume, mask, config)
    some = replace(whole, volume=replace(volume, array=volume.array[8:15]), mask=mask[8:15])
    assert np.array_equal(some.image(np.arange(7)), whole.image(np.arange(8, 15)))


def test_a_slice_that_the_series_lacks_shows_nothing(model):
    volume = scan(missing_slices=(11, 12))
    _, first = looked_at(volume, replace(model, config=replace(model.config, plane="sagittal")), (12, 20, 25))
    gaps = [k for k in range(len(first.labels)) if not first.labels[k].any()]
    assert [first.start[0] + k for k in gaps] == [11, 12]


def test_a_look_that_runs_out_of_memory_is_not_told_and_the_run_goes_on(model, monkeypatch):
    def full(*_given, **_more):
        raise MemoryError

    expected = segment_volume(scan(), model, OPTIONS).labels
    monkeypatch.setattr("ClamSegLib.segmentation.first_slices.run_network", full)
    told = []
    result = segment_volume(scan(), model, OPTIONS, look=FirstLook((1, 2, 3), told.append))
    assert told == []
    assert np.array_equal(result.labels, expected)


def test_an_engine_that_is_open_serves_the_look_and_none_is_opened_for_it(model):
    volume = scan()
    preparation = prepare(volume, np.ones(volume.array.shape, bool), model.config)
    work = Work(preparation, model, 2, choose_device("cpu"), "torch")
    assert engine_at_hand(work) is None
    assert model.engines == {}
    opened = choose_engine(work)
    assert engine_at_hand(work) is opened
    assert engine_at_hand(replace(work, engine="reference")) is None, "it takes no time to open"


@pytest.mark.parametrize("given", [5, "1 2 3", [1, 2], [1, 2, 3.0], [True, 0, 0], [-1, 0, 0], {"k": 1}])
def test_what_is_no_voxel_is_told_in_one_line(given):
    with pytest.raises(InputError, match="three whole numbers from 0 on") as told:
        voxel_of(given)
    assert "\n" not in str(told.value)
    assert voxel_of([0, 7, 3]) == (0, 7, 3)


def test_a_voxel_outside_of_the_scan_is_refused_with_the_last_one(model):
    with pytest.raises(InputError, match=r"lies outside of the scan, whose last voxel is \[23, 39, 43\]"):
        segment_volume(scan(), model, OPTIONS, look=FirstLook((24, 0, 0), print))
