import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.check_dataset import Examination, examine
from ClamSegLib.datasets.labelled_folder import read_labelled_folder


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
