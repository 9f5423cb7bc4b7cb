import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.cases import cleaned, read_cases
from ClamSegLib.datasets.check_dataset import examine
from ClamSegLib.datasets.examination import Examination
from ClamSegLib.datasets.labelled_folder import LabelledFolder, read_labelled_folder
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter


def found(root: Path) -> Examination:
    return examine(read_labelled_folder(root, both_classes=False))


def line(examination: Examination, check: str) -> tuple[str, str]:
    (finding,) = [f for f in examination.findings if f.check == check]
    return finding.severity, finding.found


@pytest.fixture
def data(tmp_path) -> Path:
    return write_phantoms(tmp_path / "data")


def change_table(root: Path, old: str, new: str, count: int = -1) -> None:
    path = root / "labels.csv"
    path.write_text(path.read_text().replace(old, new, count))


def test_a_sound_folder_has_no_error_and_its_counts_are_right(data):
    examination = found(data)
    assert not examination.refused
    assert examination.counts == {
        "train": {"lesion": 18, "normal": 18, "patients": 6},
        "dev": {"lesion": 6, "normal": 6, "patients": 2},
    }
    assert line(examination, "duplicates")[0] == "ok"
    assert line(examination, "slice position")[0] == "ok"


def test_an_image_in_two_splits_is_an_error(data):
    shutil.copy(data / "images" / "p0_0.png", data / "images" / "p7_0.png")
    severity, words = line(found(data), "leakage")
    assert severity == "error"
    assert "p0_0.png" in words or "p7_0.png" in words


def test_an_image_with_two_labels_is_an_error(data):
    shutil.copy(data / "images" / "p0_0.png", data / "images" / "p0_1.png")
    assert line(found(data), "contrary labels")[0] == "error"


def test_an_image_stored_twice_is_a_warning(data):
    shutil.copy(data / "images" / "p0_0.png", data / "images" / "p0_2.png")
    assert line(found(data), "duplicates")[0] == "warning"


def test_an_unreadable_image_is_named(data):
    (data / "images" / "p1_3.png").write_bytes(b"no picture")
    severity, words = line(found(data), "unreadable files")
    assert severity == "error"
    assert "p1_3.png" in words


def test_labels_that_follow_the_height_are_warned_of(tmp_path):
    data = write_phantoms(tmp_path / "data", slices=9)
    lines = (data / "labels.csv").read_text().splitlines()
    changed = [lines[0]]
    for text in lines[1:]:
        cells = text.split(",")
        cells[1] = "1" if 3 <= int(cells[4]) <= 5 else "0"  # lesions in the middle only
        cells[7] = ""
        changed.append(",".join(cells))
    (data / "labels.csv").write_text("\n".join(changed))
    severity, words = line(found(data), "slice position")
    assert severity == "warning"
    assert "AUC 1.00" in words


def test_brightness_that_tells_the_classes_apart_is_warned_of(data):
    for row in read_labelled_folder(data).rows:
        if row.label:
            image = sitk.GetArrayFromImage(sitk.ReadImage(str(row.image_path)))
            sitk.WriteImage(
                sitk.GetImageFromArray(np.minimum(image.astype(int) + 60, 255).astype(np.uint8)), str(row.image_path)
            )
    assert line(found(data), "mean brightness")[0] == "warning"


def test_images_of_different_depth_are_warned_of(data):
    path = data / "images" / "p0_0.png"
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.uint16) * 200
    sitk.WriteImage(sitk.GetImageFromArray(image), str(path))
    assert line(found(data), "value types")[0] == "warning"


def test_one_class_only_is_an_error_and_the_verb_ends_with_two(data, capsys):
    change_table(data, ",1,p", ",0,p")
    examination = found(data)
    assert line(examination, "classes")[0] == "error"
    assert main(["check", str(data), "--progress", "none"]) == 2
    assert "error" in capsys.readouterr().out


def test_the_verb_speaks_json(data, capsys):
    assert main(["check", str(data), "--json", "--progress", "none"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["refused"] is False
    assert {f["severity"] for f in told["findings"]} <= {"ok", "warning"}


def test_the_bias_of_a_real_set_is_seen(real_data):
    """In the glioma set normal slices lie at the ends of the head, as its README says."""
    assert line(found(real_data / "open_ms_flair"), "slice position")[0] == "warning"


def masks(root: Path) -> Path:
    """Eight pictures with a mask each, and their table."""
    y, x = np.mgrid[:40, :40]
    lines = ["image_path,label,patient_id,lesion_mask_path"]
    for k in range(8):
        spot = (y - 15 - k) ** 2 + (x - 20) ** 2 < 40
        picture = np.random.default_rng(k).normal(90, 8, y.shape) + 60 * spot * (k % 2)
        sitk.WriteImage(sitk.GetImageFromArray(picture.astype(np.uint8)), str(root / f"i{k}.png"))
        sitk.WriteImage(sitk.GetImageFromArray((spot * (k % 2) * 255).astype(np.uint8)), str(root / f"m{k}.png"))
        lines.append(f"i{k}.png,{k % 2},p{k},m{k}.png")
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def spoil_size(root: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((20, 20), 255, np.uint8)), str(root / "m1.png"))


def spoil_file(root: Path) -> None:
    (root / "m1.png").write_bytes(b"no picture")


def spoil_image(root: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((40, 40), 9, np.uint8)), str(root / "i1.png"))


def all_cleaned(folder: LabelledFolder) -> list[Volume]:
    """The images and masks as a training reads them."""
    return [cleaned(folder, case, Reporter()) for case in read_cases(folder, range(8))]


@pytest.mark.parametrize("spoil", [spoil_size, spoil_file, spoil_image])
def test_check_refuses_what_a_training_refuses_and_in_its_words(tmp_path, spoil):
    spoil(masks(tmp_path))
    folder = read_labelled_folder(tmp_path)
    with pytest.raises(InputError) as refusal:
        all_cleaned(folder)
    examination = examine(folder)
    assert examination.refused
    assert any(str(refusal.value)[:120] in finding.found for finding in examination.findings)


def test_check_passes_what_a_training_takes(tmp_path):
    folder = read_labelled_folder(masks(tmp_path))
    assert len(all_cleaned(folder)) == 8
    assert not examine(folder).refused


def test_a_mask_in_another_place_than_its_volume_is_an_error_for_both(tmp_path):
    array = np.random.default_rng(0).normal(100, 9, (4, 40, 40)).astype(np.float32)
    scan = sitk.GetImageFromArray(array)
    outline = sitk.GetImageFromArray((array > 110).astype(np.uint8))
    for name, image in (("a.nii.gz", scan), ("b.nii.gz", scan + 1.0), ("right.nii.gz", outline)):
        sitk.WriteImage(image, str(tmp_path / name))
    rows = "image_path,label,lesion_mask_path\na.nii.gz,1,{}\nb.nii.gz,0,\n"
    (tmp_path / "labels.csv").write_text(rows.format("right.nii.gz"), encoding="utf-8")
    assert not examine(read_labelled_folder(tmp_path)).refused
    outline.SetOrigin((30.0, 0.0, 0.0))
    sitk.WriteImage(outline, str(tmp_path / "shifted.nii.gz"))
    (tmp_path / "labels.csv").write_text(rows.format("shifted.nii.gz"), encoding="utf-8")
    folder = read_labelled_folder(tmp_path)
    assert "origin" in line(examine(folder), "masks")[1]
    with pytest.raises(InputError, match="origin"):
        list(read_cases(folder, range(2)))


def test_masks_that_leave_open_what_is_inside_are_warned_of(tmp_path):
    root = masks(tmp_path)
    soft = np.linspace(0, 255, 1600).reshape(40, 40).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(soft), str(root / "m1.png"))
    assert line(found(root), "values of masks")[0] == "warning"
    (case,) = read_cases(read_labelled_folder(root), [1])
    assert np.array_equal(case.lesion[0] > 0, soft >= 127.5)


def test_what_the_files_and_names_leave_open_is_said(tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 99, (4, 40, 40)).astype(np.int16))
    for name in ("a", "b"):
        sitk.WriteImage(image + (name == "b"), str(tmp_path / f"{name}.nii"))
        data = bytearray((tmp_path / f"{name}.nii").read_bytes())
        data[252:256] = bytes(4)
        (tmp_path / f"{name}.nii").write_bytes(bytes(data))
    (tmp_path / "labels.csv").write_text("image_path,label\na.nii,0\nb.nii,1\n", encoding="utf-8")
    examination = found(tmp_path)
    assert "sform_code" in line(examination, "what the files leave open")[1]
    assert "no patient_id" in line(examination, "names")[1]
