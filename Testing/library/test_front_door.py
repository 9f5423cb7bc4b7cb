"""`import ClamSegLib as cs`: what a researcher's script calls, and what it is told when something is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

import ClamSegLib as cs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny", "MR")


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, (5, 40, 36)).astype(np.int16)


@pytest.fixture
def turned_scan(tmp_path: Path, values: np.ndarray) -> Path:
    """A scan whose slices run from head to feet and whose columns run to the patient's right."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.9, 1.1, 4.0))
    image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, -1))
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(image, str(path))
    return path


def test_importing_the_library_stays_light_and_its_names_are_listed(repository: Path) -> None:
    code = (
        "import sys, time; begun = time.process_time(); import ClamSegLib; spent = time.process_time() - begun\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules, spent < 0.3, 'segment' in dir(ClamSegLib))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False", "True", "True"]
    with pytest.raises(AttributeError, match="segmnet"):
        _ = cs.segmnet


def test_every_promised_name_is_there_and_the_package_says_that_it_is_typed(repository: Path) -> None:
    assert {name for name in cs.__all__ if not hasattr(cs, name)} == set()
    assert (repository / "ClamSegLib" / "py.typed").is_file()


def test_a_file_comes_back_in_its_own_frame(model: Path, turned_scan: Path, values: np.ndarray) -> None:
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.segment_volume import segment_volume

    result = cs.segment(turned_scan, model, threshold=0.4)
    np.testing.assert_array_equal(result.volume.array, values)
    expected = segment_volume(cs.read_volume(turned_scan), load_model(model), SegmentOptions(threshold=0.4))
    for array, canonical in (
        (result.organ, expected.organ.mask),
        (result.lesions, expected.labels),
        (result.probability, expected.probability[0].astype(np.float32) / np.float32(255)),
    ):
        assert array.shape == values.shape
        # Head to feet and left to right are turned around in the canonical frame.
        np.testing.assert_array_equal(array, canonical[::-1, :, ::-1])
    assert result.organ.dtype == bool
    assert result.table == expected.lesions
    assert result.conditions == ("lesion",)
    assert "5 of 5 slices analysed" in result.summary


def test_a_saved_result_has_the_files_of_the_command_line_on_the_grid_of_the_scan(
    model: Path, turned_scan: Path, tmp_path: Path
) -> None:
    result = cs.segment(str(turned_scan), str(model))
    folder = result.save(tmp_path / "case")
    assert {"segmentation.seg.nrrd", "lesions.csv", "report.json", "overlay.png"} <= {p.name for p in folder.iterdir()}
    written = cs.read_volume(folder / "probability.nrrd")
    assert written.direction == result.volume.direction
    assert written.array.shape == result.volume.array.shape
    with pytest.raises(cs.InputError, match="exists"):
        result.save(tmp_path / "case")
    result.save(tmp_path / "case", overwrite=True)
    with pytest.raises(cs.InputError, match="dicom_seg needs a scan read from a DICOM series"):
        result.save(tmp_path / "other", dicom_seg=True)
    assert not (tmp_path / "other").exists()


def test_an_array_is_segmented_as_the_same_file_is(model: Path, values: np.ndarray, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.9, 1.1, 4.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nrrd"))
    loaded = cs.load_model(model)
    by_file = cs.segment(tmp_path / "scan.nrrd", loaded)
    by_array = cs.segment(values, loaded, spacing_mm=(0.9, 1.1, 4.0), modality="MR")
    np.testing.assert_array_equal(by_array.probability, by_file.probability)
    assert by_array.table == by_file.table
    bare = cs.segment(values, loaded)
    assert {row.volume_ml for row in bare.table} <= {None}, "without spacing nothing is measured in ml"
    assert cs.segment(values[2], loaded).lesions.shape == (1, 40, 36)


def test_warnings_of_the_run_stand_in_the_result(model: Path, values: np.ndarray) -> None:
    result = cs.segment(values, model, modality="CT", spacing_mm=(1, 1, 3))
    assert any("CT" in warning and "MR" in warning for warning in result.warnings)


def test_a_training_makes_a_model_that_segments(tmp_path: Path) -> None:
    data = write_phantoms(tmp_path / "data")
    made = cs.train(
        data, tmp_path / "model", features=(4, 8, 8), image_size=32, steps=4, batch_pairs=4, organ="whole",
        device="cpu", only=["modality=MR"], name="mine", tensorboard=False, init=None,
    )  # fmt: skip
    assert made == tmp_path / "model"
    card = (made / "card.md").read_text(encoding="utf-8")
    assert "clamseg train" in card
    assert "--features 4,8,8" in card
    assert str(tmp_path) not in card, "folders of this computer stay out of the card"
    picture = cs.read_volume(data / "images" / "p0_0.png")
    assert cs.segment(picture, made).probability.shape == picture.array.shape
    with pytest.raises(cs.InputError, match="exists"):
        cs.train(data, tmp_path / "model")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, _: cs.segment(np.zeros((3, 8, 8)), "mr-flare"), "no model 'mr-flare'; installed are .*mr-flair-glioma"),
        (lambda m, t: cs.segment(t / "gone.nrrd", m), "gone.nrrd does not exist; check the name"),
        (lambda m, t: cs.segment(np.zeros((3, 8, 8)), m, treshold=0.3), "no option 'treshold'; allowed are .*threshold"),
        (lambda m, _: cs.segment(np.zeros((3, 8, 8), complex), m), r"shape \(3, 8, 8\) of complex128"),
        (lambda m, _: cs.segment(np.zeros((2, 3, 8, 8)), m), r"shape \(2, 3, 8, 8\)"),
        (lambda m, _: cs.segment(np.zeros((3, 8, 8)), m, spacing_mm=(1, 1)), "must be three positive numbers"),
        (lambda m, _: cs.segment(np.zeros((3, 8, 8)), m, spacing_mm=(1, 1, -3)), "must be three positive numbers"),
        (lambda m, _: cs.segment(np.zeros((8, 8)), m, spacing_mm=(1, 1, 1)), "picture .* takes no spacing_mm"),
        (lambda m, _: cs.segment(np.zeros((3, 8, 8)), m, modality="PET"), "'PET' is unknown; allowed are CT, MR and XR"),
        (lambda m, t: cs.train(t / "none", t / "out"), "none"),
        (lambda m, t: cs.train(t, t / "out", stepz=3), "no option 'stepz'; allowed are .*steps"),
        (lambda m, t: cs.train(t, t / "out", steps="many"), "argument --steps: invalid int value: 'many'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_sentence(call, sentence: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "scan.nrrd").touch()
    with pytest.raises(cs.InputError, match=sentence):
        call(model, tmp_path)


def test_a_file_keeps_its_own_spacing(model: Path, turned_scan: Path) -> None:
    with pytest.raises(cs.InputError, match="a file or a Volume has its own"):
        cs.segment(turned_scan, model, spacing_mm=(1, 1, 1))


def test_the_example_of_the_documents_runs_and_writes_its_results(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(repository / "docs" / "example.py"), str(tmp_path)]
    told = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(repository)})  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "48 of 48 slices analysed" in told.stdout
    assert (tmp_path / "case" / "segmentation.seg.nrrd").is_file()
    assert (tmp_path / "model" / "card.md").is_file()


def test_the_five_lines_of_the_readme_use_names_that_exist(repository: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.S)
    assert {name for name in re.findall(r"cs\.(\w+)", block) if not hasattr(cs, name)} == set()
    used = set(re.findall(r"result\.(\w+)", block))
    assert {"organ", "lesions", "probability", "table", "warnings", "save"} <= used
    assert {name for name in used if not hasattr(cs.Segmentation, name)} == set()
