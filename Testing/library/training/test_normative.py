"""Objective normative: normal slices say what is normal at each place, and a network learns what differs from it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_phantoms import alternating, write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.crop_cache import CropSet, record_type
from ClamSegLib.decoding.soft_outlines import OutlineRule
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.objective.normative_targets import targets_of_volume
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.fit_normative import check_normal_slices, fit_normative

SIDE = 48
SMALL = ["--features", "4,8,8", "--image-size", "32", "--batch-pairs", "8", "--organ", "whole", "--device", "cpu"]


def slice_of(rng: np.random.Generator, diseased: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An organ with two normal structures at fixed places that are brighter than any lesion."""
    y, x = np.mgrid[:SIDE, :SIDE]
    organ = (y - 24) ** 2 + (x - 24) ** 2 < 20**2
    image = 20 + 80 * organ + rng.normal(0, 6, (SIDE, SIDE))
    for column in (13, 34):
        image[(y - 24) ** 2 + (x - column) ** 2 < 4**2] += 120
    lesion = np.zeros((SIDE, SIDE), bool)
    if diseased:
        cy, cx = rng.choice([12, 36]) + rng.uniform(-2, 2), 24 + rng.uniform(-6, 6)
        lesion = (y - cy) ** 2 + (x - cx) ** 2 < 4.5**2
        image[lesion] += 70
    return np.clip(image, 0, 255).astype(np.uint8), organ, lesion


def write_folder(root: Path, patients: int = 9, slices: int = 6, normal_at: str = "everywhere") -> Path:
    is_diseased = alternating if normal_at == "everywhere" else lambda _patient, index: index >= 3
    return write_phantoms(root, patients, slices, draw=slice_of, is_diseased=is_diseased)


def train(data: Path, output: Path, *options: str) -> int:
    return main(["train", str(data), "--output", str(output), "--progress", "none", *options])


def config_file(folder: Path, **training: object) -> str:
    path = folder / "training.json"
    path.write_text(json.dumps({"training": training}))
    return str(path)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "phantoms")


@pytest.fixture(scope="module")
def model(phantoms, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("model") / "unlike"
    options = config_file(output.parent, validate_every=60)
    words = ["--objective", "normative", "--steps", "120", "--config", options, *SMALL]
    assert train(phantoms, output, *words) == 0
    return output


def test_a_lesion_stands_out_although_a_normal_structure_is_brighter(phantoms, model, tmp_path):
    report = tmp_path / "figures"
    arguments = ["evaluate", str(phantoms), "--model", str(model), "--split", "dev", "--output", str(report)]
    assert main([*arguments, "--baselines", "--progress", "none"]) == 0
    rows = {row["name"]: row for row in json.loads((report / "metrics.json").read_text())["table"]}
    assert rows["intensity threshold"]["pixel_ap"] < 0.4, "the normal structures are brighter"
    assert rows["normative map, no network"]["pixel_ap"] > 0.8
    assert rows["unlike"]["pixel_ap"] > 0.8
    assert rows["unlike"]["dice"]["value"] > 0.6, "the cut was found without masks"
    assert rows["unlike"]["false_positive_area"]["value"] < 0.05


def test_the_model_folder_holds_the_map_and_is_refused_without_it(model, tmp_path):
    import shutil

    config = load_model(model).config
    assert config.network.in_channels == 3
    assert len(config.calibration) == 1
    assert config.volume_evidence is not None
    assert len(config.volume_evidence.calibration) == 1
    assert config.odds_normal == ()
    assert (model / "normative.safetensors").stat().st_size < 1_000_000
    copied = Path(shutil.copytree(model, tmp_path / "copy"))
    with (copied / "normative.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="SHA-256"):
        load_model(copied)
    (copied / "normative.safetensors").unlink()
    with pytest.raises(InputError, match=r"no normative\.safetensors"):
        load_model(copied)
    values = json.loads((model / "config.json").read_text())
    values["normative"]["size"] = 32
    shutil.copy(model / "normative.safetensors", copied)
    (copied / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="does not hold the normative map"):
        load_model(copied)


def test_a_fine_tuned_model_keeps_the_map_of_its_start(phantoms, model, tmp_path):
    output = tmp_path / "mine"
    assert train(phantoms, output, "--init", str(model), "--steps", "4", "--batch-pairs", "4", "--device", "cpu") == 0
    tuned, start = load_model(output), load_model(model)
    assert tuned.normative is not None
    assert start.normative is not None
    assert np.array_equal(tuned.normative.mean, start.normative.mean)
    assert tuned.config.normative == start.config.normative


def test_a_start_without_a_map_is_fine_tuned_with_what_needs_none(phantoms, tmp_path, capsys):
    start, mine = tmp_path / "start", tmp_path / "mine"
    assert train(phantoms, start, "--objective", "paper", "--steps", "2", *SMALL) == 0
    words = ["--init", str(start), "--steps", "2", "--batch-pairs", "4", "--device", "cpu"]
    assert train(phantoms, mine, *words) == 2
    assert (
        "has no normative map, which objective normative needs; choose another one, train from scratch"
        in capsys.readouterr().err
    )
    assert not mine.exists()
    for needs_none in (["--objective", "paper"], ["--supervision", "masks"]):
        assert train(phantoms, tmp_path / needs_none[1], *words, *needs_none) == 0
        assert load_model(tmp_path / needs_none[1]).config.network.in_channels == 1


def test_without_normal_slices_at_the_height_of_disease_nothing_is_written(tmp_path, capsys):
    data = write_folder(tmp_path / "data", patients=6, slices=6, normal_at="the lower half")
    assert train(data, tmp_path / "out", "--objective", "normative", "--steps", "2", *SMALL) == 2
    assert "normal slices are missing at 60% to 100%" in "".join(capsys.readouterr())
    assert not (tmp_path / "out").exists()


def crops_of(label: list[int], patient: list[int], position: list[float]) -> CropSet:
    rng, n = np.random.default_rng(0), len(label)
    records = np.zeros(n, record_type(32))
    records["image"], records["organ"], records["mask"] = rng.normal(0, 1, (n, 32, 32)), True, 255
    for k in np.flatnonzero(label):
        records["image"][k, 8:14, 8:14] += 6
    return CropSet(
        records,
        np.array(label),
        np.full(n, np.nan, np.float32),
        np.array(position, np.float32),
        np.array(patient),
        np.zeros(n, bool),
        np.arange(n),
        tuple(map(str, range(max(patient) + 1))),
    )


def test_too_few_normal_slices_are_counted_in_the_refusal():
    crops = crops_of([0] * 5 + [1] * 5, [0] * 5 + [1] * 5, [0.5] * 10)
    with pytest.raises(InputError, match=r"5 normal slice\(s\) of 1 patient\(s\); at least 8 of 2"):
        check_normal_slices(crops, np.arange(10))


def test_normal_slices_are_told_nothing_and_conditions_only_their_own_slices():
    label = [0, 0, 1, 0, 2, 0, 0, 1, 0, 2, 0, 0]
    crops = crops_of(label, [0] * 6 + [1] * 6, list(np.linspace(0, 1, 6)) * 2)
    config = ModelConfig(
        "x", image_size=32, network=NetworkConfig((4, 8), (3, 3), in_channels=3), normative=NormativeConfig(nodes=5)
    )
    fitted = fit_normative(crops, (np.arange(12), np.arange(12)), config, Reporter())
    told = fitted.crops.told
    assert told is not None
    diseased = np.array(label) > 0
    assert not told[~diseased].any()
    assert (told[diseased][:, 9:13, 9:13] > 128).mean() > 0.9
    assert (told[diseased][:, 20:, 20:] > 128).mean() < 0.02


def test_a_diseased_slice_that_stands_out_less_than_normal_ones_is_not_taught_where_its_lesion_lies():
    crops = crops_of([0, 0, 0, 1, 0, 1] * 2, [0] * 6 + [1] * 6, list(np.linspace(0.45, 0.55, 6)) * 2)
    crops.records["image"][3] = crops.records["image"][0]  # as if the lesion could not be seen
    normative = NormativeConfig(nodes=5, strong_share=0.8)
    config = ModelConfig("x", image_size=32, network=NetworkConfig((4, 8), (3, 3), in_channels=3), normative=normative)
    fitted = fit_normative(crops, (np.arange(12), np.arange(12)), config, Reporter())
    assert fitted.crops.eta[3] == 0
    assert np.isnan(fitted.crops.eta[[5, 9, 11]]).all()
    assert np.isnan(fitted.crops.eta[crops.label == 0]).all()


def test_a_smaller_peak_share_keeps_a_small_lesion_beside_large_weak_tissue():
    x = np.zeros((1, 64, 64), np.float32)
    x[0, 10:12, 10:12], x[0, 30:50, 30:50] = 8, 3.5
    organ, told = np.ones((1, 64, 64), bool), np.ones(1, bool)
    small, large = (
        targets_of_volume(x, x, organ, told, 1.0, OutlineRule.of(NormativeConfig(slice_share=0.5, peak_share=share)))
        for share in (0.0005, 0.05)
    )
    assert small[0, 10:12, 10:12].min() > 0.5
    assert small[0, 30:50, 30:50].max() < 0.5
    assert large[0, 32:48, 32:48].min() > 0.5


def test_a_readers_outline_stands_above_what_the_map_tells():
    from ClamSegLib.objective.batches import CropSource
    from ClamSegLib.objective.training_config import TrainingConfig

    crops = crops_of([0, 1, 1], [0, 1, 1], [0.5, 0.4, 0.6])
    crops.records["mask"][1] = 0
    crops.records["mask"][1, 2:5, 2:5] = 1
    told = np.zeros((3, 32, 32), np.uint8)
    told[1:, 20:25, 20:25] = 204
    differences = np.zeros((3, 2, 32, 32), np.float16)
    crops = replace(crops, correction=np.array([False, True, False]), told=told, differences=differences)
    source = CropSource(crops, np.arange(3), TrainingConfig(objective="normative"), 2, torch.device("cpu"))
    slices = source.gather(torch.arange(3))
    assert slices.image.shape == (3, 3, 32, 32)
    assert slices.target[0, 1].max() == 0
    assert torch.equal(slices.target[1, 1] > 0.5, torch.from_numpy(crops.records["mask"][1] == 1))
    assert slices.target[2, 1, 20:25, 20:25].min() == pytest.approx(0.8)
    assert slices.target[2, 1].sum() == pytest.approx(0.8 * 25)
    assert torch.allclose(slices.target.sum(1), torch.ones(3, 32, 32))


def test_head_ct_has_its_own_window_organ_step_and_normal_tissue(phantoms):
    from ClamSegLib.datasets.labelled_folder import read_labelled_folder
    from ClamSegLib.training.setup import new_model_config

    folder = read_labelled_folder(phantoms)
    head = new_model_config(folder, "x", "CT", {"body_part": "head"}, "lesion", None, "normative")
    assert (head.intensity.low, head.intensity.high) == (-20.0, 100.0)
    assert head.organ.method == "brain_ct"
    assert head.normative is not None
    assert head.normative.standardised == "slice"
    chest = new_model_config(folder, "x", "CT", {}, "lesion", None, "paper")
    assert chest.organ.method == "lungs_ct"
    assert chest.normative is None
    assert chest.network.in_channels == 1


@pytest.mark.parametrize("standardised", ["volume", "slice"])
def test_windowed_ct_reaches_the_network_in_spreads_of_its_organ(standardised):
    from ClamSegLib.imaging.volume import Volume
    from ClamSegLib.model.config import IntensityConfig, OrganConfig
    from ClamSegLib.organ.crop_and_normalise import prepare

    rng = np.random.default_rng(0)
    array = rng.normal(-700, 40, (3, 48, 48)) + np.array([0, 30, 60])[:, None, None]
    array[0, 0, :2] = -1000, 300
    organ = np.zeros(array.shape, bool)
    organ[:, 4:44, 4:44] = True
    config = ModelConfig(
        "x",
        modality="CT",
        image_size=32,
        network=NetworkConfig((4, 8), (3, 3), in_channels=3),
        intensity=IntensityConfig("window_hu", -1000.0, 400.0),
        organ=OrganConfig("whole", margin_mm=0),
        normative=NormativeConfig(standardised=standardised),
    )
    preparation = prepare(Volume(array, (1.0, 1.0, 2.0), modality="CT"), organ, config)
    image = preparation.image(np.arange(3))
    middles = [float(np.median(one)) for one in image]
    if standardised == "slice":
        assert np.allclose(middles, 0, atol=0.05)
    else:
        assert middles[0] < -0.3 < 0.3 < middles[2], "the heights of the whole volume stay apart"
    assert list(preparation.heights) == [0, 0.5, 1]


def test_a_network_taught_with_masks_sees_the_map_too_and_is_cut_by_their_area(phantoms, tmp_path):
    output = tmp_path / "masks"
    assert train(phantoms, output, "--supervision", "masks", "--steps", "40", *SMALL) == 0
    config = load_model(output).config
    assert config.network.in_channels == 3
    assert len(config.calibration) == 1
    assert config.volume_evidence is not None
    assert config.threshold == 0.5
