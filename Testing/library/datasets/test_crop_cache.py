import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_stacks import stack
from labelled_phantoms import write_phantoms
from PIL import Image

from ClamSegLib.datasets.cases import UNKNOWN, read_cases
from ClamSegLib.datasets.crop_cache import CropSet, load_crops
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.imaging import reader_process
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.metrics import dice
from ClamSegLib.model.config import IntensityConfig, ModelConfig, NetworkConfig, OrganConfig
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

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


class Heard(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def test_doubts_about_organs_name_the_first_images_and_count_the_rest(tmp_path):
    for number in range(6):
        path = tmp_path / "data" / ("normal" if number % 2 else "lesion") / f"p{number}" / "0.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (64, 64), np.uint8)).save(path)
    config = replace(CONFIG, modality="CT", organ=OrganConfig("brain_ct", margin_fraction=0.1))
    heard, folder = Heard(), read_labelled_folder(tmp_path / "data")
    load_crops(folder, list(range(6)), config, cache=tmp_path / "cache", reporter=heard)
    assert len({line.split(":")[0] for line in heard.warnings[:-1]}) == 3
    assert heard.warnings[0].startswith(f"{folder.rows[0].relative_path}: Organ step: ")
    assert heard.warnings[-1].startswith("3 further of 6 images or scans were warned of likewise, among them ")


DYING = """
import os, sys
from ClamSegLib.imaging import reader_child
whole = reader_child.read_volume
reader_child.read_volume = lambda path, **options: os.abort() if path.parent.name == "lesion" else whole(path, **options)
sys.exit(reader_child.main(sys.argv[1:]))
"""


def test_a_file_that_ends_its_reader_is_refused_by_its_name_and_the_training_lives_on_to_say_so(
    phantoms, tmp_path, monkeypatch
):
    reader = reader_process.ScanReader((sys.executable, "-P", "-c", DYING))
    monkeypatch.setattr(reader_process._Shared, "reader", reader)
    with pytest.raises(InputError, match=r"lesion/.*png ended the process that reads files \(SIGABRT\)"):
        crops_of(phantoms, tmp_path / "cache")
    reader.stop()


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
    records = crops.records[np.arange(20)]
    lesions = crops.lesion(np.arange(20), records["mask"])
    assert records["image"].shape == (20, 32, 32)
    for place, number in enumerate(crops.row):
        row = folder.rows[number]
        assert crops.label[place] == row.label
        assert crops.patients[crops.patient[place]] == row.patient_id
        assert np.isnan(crops.eta[place]) if row.eta is None else crops.eta[place] == pytest.approx(row.eta)
        assert crops.position[place] == pytest.approx(row.slice_index / 4)
        bright = records["image"][place].astype(float) > 4
        lesion = lesions[place] == 1
        assert lesion.any() == bool(row.label)
        if row.label:
            assert dice(bright & records["organ"][place], lesion) > 0.7, "the outline lies on the spot it was drawn on"
    organ_values = records["image"][records["organ"] & (lesions == 0)].astype(float)
    assert abs(np.median(organ_values)) < 0.2, "values are measured from the organ's own median"


def changed_rows(data: Path, cache: Path, change) -> tuple[int, CropSet]:
    """How many cached files are new once `change` has been applied to the rows, and the crops."""
    folder = read_labelled_folder(data)
    load_crops(folder, list(range(len(folder.rows))), CONFIG, cache=cache)
    before = set(cache.rglob("*.npy"))
    rows = tuple(change(list(folder.rows)))
    crops = load_crops(replace(folder, rows=rows), list(range(len(rows))), CONFIG, cache=cache)
    return len(set(cache.rglob("*.npy")) - before), crops


def test_a_new_label_eta_or_correction_makes_no_crop_anew(phantoms, tmp_path):
    def change(rows):
        rows[0] = replace(rows[0], eta=0.25, correction=True)
        rows[1] = replace(rows[1], label=1, class_name="1")
        return rows

    made, crops = changed_rows(phantoms, tmp_path, change)
    assert made == 0
    assert crops.eta[0] == 0.25
    assert crops.correction[0]
    assert crops.label[1] == 1
    mask = crops.records[np.array([1])]["mask"]
    assert (crops.lesion(np.array([1]), mask) == UNKNOWN).all(), "diseased now, and nobody drew where"


def test_a_new_mask_or_a_new_row_makes_only_its_own_case_anew(phantoms, tmp_path):
    def mask(rows):
        return [replace(rows[0], lesion_mask_path=rows[2].lesion_mask_path), *rows[1:]]

    def row(rows):
        return [*rows, replace(rows[0], patient_id="new", slice_index=None)]

    assert changed_rows(phantoms, tmp_path / "mask", mask)[0] == 1
    made, crops = changed_rows(phantoms, tmp_path / "row", row)
    assert made == 1
    assert len(crops.label) == 21
    assert crops.patients[-1] == "new"


def test_crops_too_large_for_memory_are_read_slice_by_slice_and_are_the_same(phantoms, tmp_path, monkeypatch):
    from ClamSegLib.datasets import crop_cache

    whole = crops_of(phantoms, tmp_path)
    monkeypatch.setattr(crop_cache, "LARGEST_IN_MEMORY_BYTES", 0)
    read = crops_of(phantoms, tmp_path)
    assert isinstance(read.records, crop_cache.CachedRecords)
    some = np.array([17, 0, 5, 5])
    assert np.array_equal(whole.records[some], read.records[some])
    assert np.array_equal(whole.position, read.position)


def test_another_size_makes_other_crops_and_another_name_does_not(phantoms, tmp_path):
    crops_of(phantoms, tmp_path)
    first = set(tmp_path.rglob("*.npy"))
    crops_of(phantoms, tmp_path, replace(CONFIG, name="other", threshold=0.3))
    assert set(tmp_path.rglob("*.npy")) == first
    assert crops_of(phantoms, tmp_path, replace(CONFIG, image_size=48)).side == 48


def test_a_damaged_cache_is_made_again(phantoms, tmp_path):
    expected = np.array(crops_of(phantoms, tmp_path).records)
    damaged = sorted(tmp_path.rglob("*.npy"))
    damaged[0].write_bytes(b"damaged")
    damaged[1].write_bytes(damaged[1].read_bytes()[:-40])
    assert np.array_equal(crops_of(phantoms, tmp_path).records, expected)


def test_a_row_of_a_whole_volume_gives_all_of_its_slices(tmp_path):
    from ClamSegLib.objective.training_config import TrainingConfig
    from ClamSegLib.system.progress import Reporter
    from ClamSegLib.training.setup import prepare_training

    rng = np.random.default_rng(0)
    for name in ("normal", "sick"):
        for patient in range(3):
            (tmp_path / name / f"{name}{patient}").mkdir(parents=True)
            array = rng.integers(0, 200, (5, 40, 40)).astype(np.int16)
            write_volume(array, Volume(array), tmp_path / name / f"{name}{patient}" / "scan.nii.gz")
    folder = read_labelled_folder(tmp_path)
    setup = prepare_training(folder, replace(CONFIG, organ=OrganConfig("whole")), TrainingConfig(), Reporter())
    assert len(setup.split[0]) + len(setup.split[1]) == 6 * 5
    assert setup.counts["training_slices"] == 4 * 5


def test_an_organ_task_sees_whole_images_and_learns_the_organ(phantoms, tmp_path):
    crops = crops_of(phantoms, tmp_path, replace(CONFIG, task="organ"))
    records = crops.records[np.arange(20)]
    assert records["organ"].all()
    assert 0.3 < (crops.lesion(np.arange(20), records["mask"]) == 1).mean() < 0.6


def test_crops_that_an_earlier_version_made_of_a_series_with_a_gap_are_not_used(tmp_path, monkeypatch):
    from ClamSegLib.datasets import crop_cache

    for label, patient in (("normal", "one"), ("sick", "two")):
        stack(tmp_path / "data" / label / patient)
    monkeypatch.setattr(crop_cache, "_identity", str)  # the files are those of then
    now = crop_cache._VERSION
    monkeypatch.setattr(crop_cache, "_VERSION", 5)
    config = replace(CONFIG, organ=OrganConfig("whole"))
    crops_of(tmp_path / "data", tmp_path / "cache", config)
    next(p for p in (tmp_path / "data" / "sick" / "two").iterdir() if pydicom.dcmread(p).InstanceNumber == 3).unlink()
    crops_of(tmp_path / "data", tmp_path / "cache", config)  # as it was: the cache is believed
    monkeypatch.setattr(crop_cache, "_VERSION", now)
    with pytest.raises(InputError, match="lacks 1 of its 6 slices"):
        crops_of(tmp_path / "data", tmp_path / "cache", config)
