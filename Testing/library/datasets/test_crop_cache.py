import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from labelled_phantoms import write_phantoms

from ClamSegLib.datasets.cases import UNKNOWN, read_cases
from ClamSegLib.datasets.crop_cache import CropSet, load_crops
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.datasets.superpixels import superpixels
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.metrics import dice
from ClamSegLib.model.config import IntensityConfig, ModelConfig, NetworkConfig, OrganConfig
from ClamSegLib.system.errors import InputError

CONFIG = ModelConfig(
    "m",
    image_size=32,
    network=NetworkConfig(features=(4, 8), kernel_sizes=(3, 3)),
    intensity=IntensityConfig(),
    organ=OrganConfig("body", margin_fraction=0.1),
)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("d") / "phantoms", patients=4, slices=5, eta=True)


def crops_of(data: Path, cache: Path, config: ModelConfig = CONFIG) -> CropSet:
    folder = read_labelled_folder(data)
    return load_crops(folder, list(range(len(folder.rows))), config, cache=cache)


def test_pictures_of_a_patient_form_one_stack_in_the_order_of_their_slices(phantoms):
    folder = read_labelled_folder(phantoms)
    shuffled = list(np.random.default_rng(0).permutation(len(folder.rows)))
    cases = {case.patient_id: case for case in read_cases(folder, shuffled)}
    assert set(cases) == {f"p{k}" for k in range(4)}
    case = cases["p2"]
    assert case.volume.array.shape == (5, 48, 48)
    assert [folder.rows[number].slice_index for _, number in case.slice_rows] == [0, 1, 2, 3, 4]
    assert case.organ_mask.any()
    assert [int(plane.max()) for plane in case.lesion] == [1, 0, 1, 0, 1]


def test_single_pictures_are_cases_of_their_own_and_without_outline_unknown(tmp_path, phantoms):
    (phantoms / "single.csv").write_text("")
    root = tmp_path / "x"
    root.mkdir()
    for k in (0, 1):
        (root / f"{k}.png").write_bytes((phantoms / "images" / f"p0_{k}.png").read_bytes())
    (root / "labels.csv").write_text("image_path,label,patient_id\n0.png,1,a\n1.png,0,a\n")
    first, second = read_cases(read_labelled_folder(root), [0, 1])
    assert (first.lesion == UNKNOWN).all()
    assert (second.lesion == 0).all()
    assert first.positions == (0.5,)


def test_rows_of_a_volume_take_its_canonical_slices_and_the_whole_of_it_as_context(tmp_path):
    array = np.zeros((6, 20, 20), np.int16) + np.arange(6, dtype=np.int16)[:, None, None] * 100
    array[:, 5:15, 5:15] += 50
    downwards = Volume(array, direction=(1, 0, 0, 0, 1, 0, 0, 0, -1.0))  # slice 0 lies highest
    write_volume(array, downwards, tmp_path / "v.nii.gz")
    lesion = np.zeros_like(array, np.uint8)
    lesion[1, 8:10, 8:10] = 1
    write_volume(lesion, downwards, tmp_path / "lesion.nii.gz")
    (tmp_path / "labels.csv").write_text(
        "image_path,label,slice_index,lesion_mask_path\nv.nii.gz,1,4,lesion.nii.gz\nv.nii.gz,0,0,\n"
    )
    (case,) = read_cases(read_labelled_folder(tmp_path), [0, 1])
    assert case.volume.array.shape[0] == 6
    assert case.slice_rows == ((0, 1), (4, 0))
    assert case.volume.array[4, 0, 0] == 100, "canonical slice 4 of a stack stored downwards is its own slice 1"
    assert case.lesion[4].sum() == 4
    assert (case.lesion[2] == UNKNOWN).all()


def test_a_mask_of_another_size_is_refused(tmp_path, phantoms):
    root = tmp_path / "x"
    root.mkdir()
    (root / "a.png").write_bytes((phantoms / "images" / "p0_0.png").read_bytes())
    (root / "b.png").write_bytes((phantoms / "images" / "p0_1.png").read_bytes())
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9), np.uint8)), str(root / "small.png"))
    (root / "labels.csv").write_text("image_path,label,lesion_mask_path\na.png,1,small.png\nb.png,0,\n")
    with pytest.raises(InputError, match="9 x 9"):
        list(read_cases(read_labelled_folder(root), [0, 1]))


def test_crops_hold_what_their_rows_say(phantoms, tmp_path):
    crops = crops_of(phantoms, tmp_path)
    folder = read_labelled_folder(phantoms)
    assert crops.images.shape == (20, 32, 32)
    for place, number in enumerate(crops.row):
        row = folder.rows[number]
        assert crops.label[place] == row.label
        assert crops.patients[crops.patient[place]] == row.patient_id
        assert np.isnan(crops.eta[place]) if row.eta is None else crops.eta[place] == pytest.approx(row.eta)
        assert crops.position[place] == pytest.approx(row.slice_index / 4)
        bright = crops.images[place].astype(float) > 4
        lesion = crops.lesion[place] == 1
        assert lesion.any() == bool(row.label)
        if row.label:
            assert dice(bright & crops.organ[place], lesion) > 0.7, "the outline lies on the spot it was drawn on"
    organ_values = crops.images[crops.organ & (crops.lesion == 0)].astype(float)
    assert abs(np.median(organ_values)) < 0.2, "values are measured from the organ's own median"


def test_the_cache_is_used_until_a_file_or_the_configuration_changes(phantoms, tmp_path):
    crops_of(phantoms, tmp_path)
    first = {p.name for p in tmp_path.iterdir()}
    crops_of(phantoms, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == first
    crops_of(phantoms, tmp_path, replace(CONFIG, image_size=48))
    assert len(list(tmp_path.iterdir())) == 2
    crops_of(phantoms, tmp_path, replace(CONFIG, name="other", threshold=0.3))
    assert len(list(tmp_path.iterdir())) == 2, "a name changes no crop"


def test_a_damaged_cache_is_made_again(phantoms, tmp_path):
    expected = np.array(crops_of(phantoms, tmp_path).images)
    (folder,) = tmp_path.iterdir()
    (folder / "images.npy").write_bytes(b"damaged")
    assert np.array_equal(crops_of(phantoms, tmp_path).images, expected)
    (folder / "patients.json").write_text(json.dumps(["x"])[:-1])
    assert np.array_equal(crops_of(phantoms, tmp_path).images, expected)


def test_an_organ_task_sees_whole_images_and_learns_the_organ(phantoms, tmp_path):
    crops = crops_of(phantoms, tmp_path, replace(CONFIG, task="organ"))
    assert crops.organ.all()
    assert 0.3 < (crops.lesion == 1).mean() < 0.6


def test_superpixels_follow_the_image():
    y, x = np.mgrid[:96, :96]
    disc = (y - 50) ** 2 + (x - 45) ** 2 < 23**2
    image = (disc * 5.0 + np.random.default_rng(0).normal(0, 0.3, disc.shape)).astype(np.float32)
    regions = superpixels(image)
    assert 40 <= len(np.unique(regions)) <= 120
    purity = [max(disc[regions == r].mean(), 1 - disc[regions == r].mean()) for r in np.unique(regions)]
    assert np.average(purity, weights=[(regions == r).sum() for r in np.unique(regions)]) > 0.97
    assert superpixels(np.zeros((64, 64), np.float32)).max() < 255
