"""What a reader decided is saved as a labelled folder, and the next training takes it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.check_dataset import examine
from ClamSegLib.datasets.corrections import ReviewedCase, save_corrections
from ClamSegLib.datasets.labelled_folder import add_corrections, read_labelled_folder, without_outlines
from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

SHAPE = (6, 20, 24)
# slice 0 at the head: canonical slices count from the feet, so own slice k is canonical 5 - k
UPSIDE_DOWN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def scan(seed: int = 0) -> Volume:
    array = np.random.default_rng(seed).integers(0, 900, SHAPE).astype(np.int16)
    return Volume(array, (0.8, 0.8, 3.0), (3.0, 4.0, 5.0), UPSIDE_DOWN)


def mask(*slices: int) -> np.ndarray:
    made = np.zeros(SHAPE, bool)
    for k in slices:
        made[k, 5:9, 6:12] = True
    return made


def table(root: Path) -> list[dict[str, str]]:
    with (root / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_slice_someone_looked_at_becomes_a_row_and_no_other(tmp_path):
    marks = {3: "normal", 0: "diseased", 1: "unsure"}
    case = ReviewedCase(
        scan(), {"glioma": mask(0, 1)}, rejected=mask(3), organ=np.ones(SHAPE, bool), slice_labels=marks
    )
    saved = save_corrections(tmp_path / "corrections", case)
    assert saved.rows == 6
    rows = {int(row["slice_index"]): row for row in table(saved.folder)}
    told = {k: (r["label"], r["eta"], bool(r["lesion_mask_path"]), r["correction"]) for k, r in rows.items()}
    assert told == {
        0: ("glioma", "1", False, ""),
        1: ("glioma", "0.5", False, ""),
        2: ("normal", "", False, "1"),
        3: ("normal", "", False, "1"),
        4: ("glioma", "1", True, "1"),
        5: ("glioma", "1", True, "1"),
    }
    assert {row["n_slices"] for row in rows.values()} == {"6"}


def test_slices_nobody_looked_at_are_left_out(tmp_path):
    saved = save_corrections(tmp_path, ReviewedCase(scan(), {"glioma": mask(2)}))
    assert [row["slice_index"] for row in table(tmp_path)] == ["3"]
    assert saved.rows == 1


def test_image_and_masks_keep_their_place_and_name_no_patient(tmp_path):
    image = scan()
    save_corrections(tmp_path, ReviewedCase(image, {"glioma": mask(2)}, model="mr-flair-lesion"))
    row = table(tmp_path)[0]
    again = read_volume(tmp_path / row["image_path"])
    assert np.array_equal(again.array, image.array)
    assert np.allclose([*again.origin, *again.direction], [*image.origin, *image.direction])
    assert np.array_equal(read_volume(tmp_path / row["lesion_mask_path"]).array > 0, mask(2))
    assert row["patient_id"] == Path(row["image_path"]).stem
    assert len(row["patient_id"]) == 12
    assert row["model"] == "mr-flair-lesion"


def test_a_case_saved_again_replaces_its_rows_and_keeps_the_others(tmp_path):
    save_corrections(tmp_path, ReviewedCase(scan(), {"glioma": mask(1, 2, 3)}))
    save_corrections(tmp_path, ReviewedCase(scan(1), {"glioma": mask(4)}))
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()
    text = [text[0] + ",reader", *(line + ",me" for line in text[1:])]
    (tmp_path / "labels.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
    save_corrections(tmp_path, ReviewedCase(scan(), {"glioma": mask(1)}))
    rows = table(tmp_path)
    assert len(rows) == 2
    assert sorted(row["reader"] for row in rows) == ["", "me"]


def test_a_contradiction_is_refused_and_leaves_nothing(tmp_path):
    case = ReviewedCase(scan(), {"glioma": mask(2)}, slice_labels={3: "normal"})
    with pytest.raises(InputError, match="Slice 4 is labelled normal but has a lesion"):
        save_corrections(tmp_path / "c", case)
    with pytest.raises(InputError, match="Nothing was decided"):
        save_corrections(tmp_path / "c", ReviewedCase(scan(), {"glioma": mask()}))
    with pytest.raises(InputError, match="allowed are normal, diseased, unsure"):
        save_corrections(tmp_path / "c", ReviewedCase(scan(), {"glioma": mask()}, slice_labels={1: "odd"}))
    assert not (tmp_path / "c").exists()


def test_an_x_ray_is_one_row(tmp_path):
    picture = Volume(np.arange(600, dtype=np.uint8).reshape(1, 20, 30), spacing_known=False, is_picture=True)
    outline = np.zeros((1, 20, 30), bool)
    outline[0, 4:9, 6:9] = True
    save_corrections(tmp_path, ReviewedCase(picture, {"pneumonia": outline}))
    row = table(tmp_path)[0]
    assert (row["slice_index"], row["label"]) == ("", "pneumonia")
    assert np.array_equal(read_volume(tmp_path / row["image_path"]).array, picture.array)
    assert np.array_equal(read_volume(tmp_path / row["lesion_mask_path"]).array > 0, outline)


def test_the_doctor_and_the_dataset_read_what_was_saved(tmp_path):
    marks = dict.fromkeys(range(3), "normal")
    for seed in range(2):
        save_corrections(tmp_path, ReviewedCase(scan(seed), {"glioma": mask(0, 1)}, slice_labels=marks))
    folder = read_labelled_folder(tmp_path)
    assert folder.conditions == ("glioma",)
    assert [row.correction for row in folder.rows] == [True] * 10
    assert sum(row.lesion_mask_path is not None for row in folder.rows) == 4
    assert not examine(folder).refused
    assert not any(row.correction for row in without_outlines(folder).rows)


def test_corrections_join_the_images_of_the_next_training(tmp_path):
    data = write_phantoms(tmp_path / "data")
    picture = read_volume(data / "images" / "p0_0.png")
    outline = np.zeros(picture.array.shape, bool)
    outline[0, 10:20, 12:22] = True
    saved = save_corrections(tmp_path / "corrections", ReviewedCase(picture, {"pneumonia": outline}))
    folder = read_labelled_folder(data)
    joined = add_corrections(folder, saved.folder)
    assert len(joined.rows) == len(folder.rows) + 1
    assert joined.rows[-1].correction
    assert joined.rows[-1].class_name == folder.conditions[0]
    with pytest.raises(InputError, match="holds no corrections"):
        add_corrections(folder, tmp_path)
    words = ["train", str(data), "--output", str(tmp_path / "model"), "--features", "4,8", "--image-size", "32"]
    words += ["--steps", "2", "--batch-pairs", "4", "--progress", "none", "--modality", "XR"]
    assert main([*words, "--corrections", str(saved.folder), "--organ", "whole"]) == 0
    run = json.loads((tmp_path / "model" / "run.json").read_text(encoding="utf-8"))
    assert run


def _without_bytes(path, image):
    path.write_bytes(b"")


def _of_another_size(path, image):
    write_volume(np.ones((6, 30, 24), np.uint8), Volume(np.ones((6, 30, 24), np.uint8), image.spacing_mm), path)


def _elsewhere(path, image):
    moved = replace(image, array=np.ones(SHAPE, np.uint8), origin=(90.0, 4.0, 5.0))
    write_volume(moved.array, moved, path)


@pytest.mark.parametrize("harm", [_without_bytes, _of_another_size, _elsewhere])
def test_check_refuses_masks_of_corrections_that_a_training_refuses(tmp_path, capsys, harm):
    data = write_phantoms(tmp_path / "data", patients=4, slices=4)
    condition = read_labelled_folder(data).conditions[0]
    image = scan()
    save_corrections(tmp_path / "c", ReviewedCase(image, {condition: mask(0)}, slice_labels={3: "normal"}))
    (drawn,) = (tmp_path / "c" / "masks").iterdir()
    harm(drawn, image)
    words = [str(data), "--corrections", str(tmp_path / "c")]
    assert main(["check", *words]) == 2
    assert f"1; first: {drawn.name}: " in capsys.readouterr().out
    small = ["--features", "4,8,8", "--image-size", "32", "--steps", "2", "--device", "cpu", "--progress", "none"]
    assert main(["train", *words, "--output", str(tmp_path / "out"), *small]) == 2
    assert drawn.name in capsys.readouterr().err
