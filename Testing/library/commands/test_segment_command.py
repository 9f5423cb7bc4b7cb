"""`segment`, `models` and the folder of a case, as a person meets them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume

FILES = {
    "segmentation.seg.nrrd",
    "probability.nrrd",
    "lesions.csv",
    "overlay.png",
    "stages.png",
    "report.json",
    "record.json",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


def scan(path: Path, seed: int = 0) -> Path:
    array = np.random.default_rng(seed).integers(0, 900, (5, 40, 44)).astype(np.int16)
    write_volume(array, Volume(array, (1.0, 1.5, 4.0)), path)
    return path


def segment(inputs: list[Path], model: Path, output: Path, *options: str) -> int:
    words = [
        "segment",
        *map(str, inputs),
        "--model",
        str(model),
        "--output",
        str(output),
        "--device",
        "cpu",
        "--progress",
        "none",
    ]
    return main([*words, *options])


def pixels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_a_case_folder_is_complete_and_consistent(tmp_path, model):
    assert segment([scan(tmp_path / "scan.nii.gz")], model, tmp_path / "out", "--threshold", "0.2") == 0
    folder = tmp_path / "out" / "scan"
    assert {p.name for p in folder.iterdir()} == FILES
    told = report(folder)
    probability = pixels(folder / "probability.nrrd")
    segmentation = pixels(folder / "segmentation.seg.nrrd")
    lesion = segmentation[..., 1] > 0 if segmentation.ndim == 4 else segmentation == 2
    assert np.array_equal(lesion, probability > 0.2 * 255), "the stored map and the mask follow one rule"
    with (folder / "lesions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(told["lesions"])
    assert sum(float(r["volume_ml"]) for r in rows) == pytest.approx(lesion.sum() * 6 / 1000, abs=0.001 * len(rows))
    slices = ("first_index", "last_index", "first_slice", "last_slice")
    assert [[int(r[name]) for name in slices] for r in rows] == [[t[name] for name in slices] for t in told["lesions"]]
    marked = np.flatnonzero(lesion.any(axis=(1, 2)))
    assert min(int(r["first_index"]) for r in rows) == marked[0]
    assert max(int(r["last_index"]) for r in rows) == marked[-1]
    assert all(int(r["first_slice"]) == int(r["first_index"]) + 1 for r in rows)
    assert all(int(r["last_slice"]) == int(r["last_index"]) + 1 for r in rows)
    volumes = [float(r["volume_ml"]) for r in rows]
    assert volumes == sorted(volumes, reverse=True)
    assert told["notice"] == "For research, not for diagnosis."
    assert told["slices"] == {"total": 5, "analysed": 5, "smoothed": False}
    assert told["model"]["weights_sha256"]
    assert told["summary"] in (
        f"{len(rows)} lesions (lesion), 5 of 5 slices analysed",
        "1 lesion (lesion), 5 of 5 slices analysed",
    )


def test_an_empty_result_says_so(tmp_path, model):
    assert segment([scan(tmp_path / "scan.nrrd")], model, tmp_path / "out", "--threshold", "0.99999") == 0
    folder = tmp_path / "out" / "scan"
    assert report(folder)["summary"] == "No lesion found, nothing else was looked for, 5 of 5 slices analysed"
    assert len((folder / "lesions.csv").read_text().splitlines()) == 1
    assert {p.name for p in folder.iterdir()} == FILES


def test_a_smallest_volume_drops_specks(tmp_path, model):
    source = scan(tmp_path / "scan.nrrd")
    segment([source], model, tmp_path / "all", "--threshold", "0.2")
    segment([source], model, tmp_path / "large", "--threshold", "0.2", "--minimum-volume-ml", "0.1")
    every, large = (report(tmp_path / name / "scan")["lesions"] for name in ("all", "large"))
    assert [x["volume_ml"] for x in large] == [x["volume_ml"] for x in every if x["volume_ml"] >= 0.1]
    assert len(large) < len(every)


def test_cases_of_equal_names_get_folders_of_their_own(tmp_path, model):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    assert (
        segment([scan(tmp_path / "x" / "scan.nrrd"), scan(tmp_path / "y" / "scan.nrrd", 1)], model, tmp_path / "out")
        == 0
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["scan", "scan-2"]


def test_numbered_names_do_not_meet_names_that_end_in_numbers(tmp_path, model):
    inputs = [scan(tmp_path / "a.nrrd"), scan(tmp_path / "a-2.nrrd", 1), scan(tmp_path / "A.nii.gz", 2)]
    assert segment(inputs, model, tmp_path / "out", "--overwrite") == 0
    folders = sorted(p for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert [report(folder)["input"] for folder in folders] == ["A.nii.gz", "a.nrrd", "a-2.nrrd"]
    assert len({folder.name.lower() for folder in folders}) == 3, "also on a disk that knows no capitals"


@pytest.mark.parametrize(("name", "becomes"), [(".nii.gz", "scan"), ("...nii.gz", "scan"), ("link.nii.gz", "link")])
def test_a_case_is_called_as_its_file_and_never_by_nothing(tmp_path, model, name, becomes):
    scan(tmp_path / "blob-f3a9.nii.gz")
    (tmp_path / name).symlink_to(tmp_path / "blob-f3a9.nii.gz")
    kept = tmp_path / "out" / "earlier" / "report.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert segment([tmp_path / name], model, tmp_path / "out", "--overwrite") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(["earlier", becomes])
    assert kept.is_file()


def test_a_name_as_long_as_the_disk_allows_gets_its_folder(tmp_path, model):
    source = scan(tmp_path / ("ä" * 120 + "x.nii.gz"))
    assert segment([source], model, tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["ä" * 120 + "x"]


def test_letters_that_the_font_lacks_are_no_warning(tmp_path, model, recwarn):
    assert segment([scan(tmp_path / "頭部.nii.gz")], model, tmp_path / "out") == 0
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_failed_case_is_named_where_nothing_else_is_said(tmp_path, model, capsys):
    array = np.full((5, 40, 44), 7, np.int16)
    write_volume(array, Volume(array), tmp_path / "flat.nii.gz")
    assert segment([tmp_path / "flat.nii.gz", scan(tmp_path / "a.nrrd")], model, tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("error: flat: The image has the same value (7) everywhere")


def test_an_empty_result_says_what_was_too_small(tmp_path, model):
    assert segment([scan(tmp_path / "a.nrrd")], model, tmp_path / "out", "--minimum-volume-ml", "99") == 0
    words = "No lesion of 99 ml or more found, nothing else was looked for, 5 of 5 slices analysed"
    assert report(tmp_path / "out" / "a")["summary"] == words


def test_a_window_of_small_values_keeps_its_digits(tmp_path, model):
    array = np.random.default_rng(0).integers(300, 900, (5, 40, 44)).astype(np.float32)
    for name, factor in (("whole", 1.0), ("millionth", 1e-6)):
        values = array * np.float32(factor)
        write_volume(values, Volume(values), tmp_path / f"{name}.nrrd")
    assert segment([tmp_path / "whole.nrrd", tmp_path / "millionth.nrrd"], model, tmp_path / "out") == 0
    whole, small = (report(tmp_path / "out" / name)["window"] for name in ("whole", "millionth"))
    assert small == pytest.approx([1e-6 * value for value in whole], rel=1e-4)


@pytest.mark.parametrize("step_mm", [0.001, 150.0])
def test_a_spacing_in_another_unit_is_said(tmp_path, model, step_mm):
    array = np.random.default_rng(0).integers(0, 900, (5, 40, 44)).astype(np.int16)
    write_volume(array, Volume(array, (step_mm,) * 3), tmp_path / "a.mha")
    assert segment([tmp_path / "a.mha"], model, tmp_path / "out") == 0
    (told,) = report(tmp_path / "out" / "a")["warnings"]
    assert "another unit" in told


def test_a_ct_without_a_header_is_no_mr_and_that_is_said(tmp_path, model):
    array = np.random.default_rng(0).integers(-1000, 900, (5, 40, 44)).astype(np.int16)
    write_volume(array, Volume(array), tmp_path / "a.nrrd")
    assert segment([tmp_path / "a.nrrd"], model, tmp_path / "out") == 0
    (told,) = report(tmp_path / "out" / "a")["warnings"]
    assert told == "The volume looks like CT, model 'tiny' was made for MRI; the result means little."


def test_a_mask_among_the_scans_of_a_folder_is_told_apart(tmp_path, model):
    (tmp_path / "scans").mkdir()
    scan(tmp_path / "scans" / "scan.nrrd")
    mask = np.zeros((5, 40, 44), np.uint8)
    mask[2:4, 10:20, 10:20] = 1
    write_volume(mask, Volume(mask), tmp_path / "scans" / "scan-lesion.nrrd")
    assert segment([tmp_path / "scans"], model, tmp_path / "out") == 0
    assert report(tmp_path / "out" / "scan")["warnings"] == []
    (told,) = report(tmp_path / "out" / "scan-lesion")["warnings"]
    assert told == "The image has only 2 different values, as a mask has; name the scan itself."


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--threads", "-2", "--threads -2 must be"),
        ("--level", "²", "argument --level: invalid int value: '²'"),
        ("--level", "auto", "argument --level: invalid int value: 'auto'"),
        ("--level", "0", "level 0 must be 1 to the model's depth"),
        ("--level", "9", "Level 9"),
        ("--organ", "spleen_by_wishing", "spleen_by_wishing"),
        ("--device", "cuda:99", "Device 'cuda:99'"),
        ("--device", "abacus", "Device 'abacus' is unknown"),
        ("--model", "no-such-model", "no-such-model"),
        ("--threshold", "-0.1", "threshold -0.1 must lie between 0 and 1"),
        ("--threshold", "1", "threshold 1.0 must lie between 0 and 1"),
        ("--batch-size", "0", "batch size 0 must be at least 1"),
        ("--minimum-volume-ml", "-1", "minimum volume -1 ml must be 0 or a larger number"),
        ("--minimum-area-px", "-1", "minimum area -1 pixels must be 0 or a larger number"),
        ("--minimum-volume-ml", "nan", "minimum_volume_ml must be a finite number"),
        ("--engine", "onnx", "engine 'onnx' is unknown; allowed are auto, reference, torch, openvino, mnn"),
    ],
)
def test_a_number_that_cannot_be_is_refused(tmp_path, model, capsys, option, value, words):
    assert segment([scan(tmp_path / "a.nrrd")], model, tmp_path / "out", f"{option}={value}") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_scans_stands_for_all_of_them(tmp_path, model):
    folder = tmp_path / "scans"
    folder.mkdir()
    scan(folder / "a.nii.gz")
    scan(folder / "b.nrrd", 1)
    assert segment([folder], model, tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["a", "b"]


def test_the_same_scan_gives_the_same_files(tmp_path, model):
    source = scan(tmp_path / "scan.nrrd")
    for name in ("one", "two"):
        segment([source], model, tmp_path / name)
    for name in FILES - {"report.json", "record.json", "overlay.png", "stages.png"}:
        assert (tmp_path / "one" / "scan" / name).read_bytes() == (tmp_path / "two" / "scan" / name).read_bytes()


def test_a_level_runs_the_shallow_part_only(tmp_path, model):
    source = scan(tmp_path / "scan.nrrd")
    for level in ("1", "2"):
        assert segment([source], model, tmp_path / level, "--level", level) == 0
    maps = {level: pixels(tmp_path / level / "scan" / "probability.nrrd") for level in ("1", "2")}
    assert not np.array_equal(maps["1"], maps["2"])
    assert report(tmp_path / "1" / "scan")["model"]["level"] == 1
    assert segment([source], model, tmp_path / "3", "--level", "3") == 2


def test_an_organ_mask_bounds_the_lesions(tmp_path, model):
    source = scan(tmp_path / "scan.nrrd")
    organ = np.zeros((5, 40, 44), np.uint8)
    organ[1:4, 10:30, 12:34] = 1
    write_volume(organ, Volume(organ, (1.0, 1.5, 4.0)), tmp_path / "organ.nrrd")
    assert (
        segment([source], model, tmp_path / "out", "--organ", str(tmp_path / "organ.nrrd"), "--threshold", "0.05") == 0
    )
    folder = tmp_path / "out" / "scan"
    assert (pixels(folder / "probability.nrrd")[organ == 0] == 0).all()
    assert pixels(folder / "probability.nrrd").max() > 0
    assert report(folder)["organ"]["method"] == "mask file"


def test_pictures_are_large_enough_to_be_read(tmp_path, model):
    segment([scan(tmp_path / "scan.nrrd")], model, tmp_path / "out")
    for name in ("overlay.png", "stages.png"):
        picture = pixels(tmp_path / "out" / "scan" / name)
        assert min(picture.shape[:2]) >= 400
        assert picture[..., :3].std() > 10, "not an empty page"


def test_memory_that_runs_out_means_smaller_batches_said_aloud(tmp_path, model, monkeypatch):
    from ClamSegLib.engines import torch_folded as engine_torch
    from ClamSegLib.imaging.read_write import read_volume
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.segmentation import segment_volume as inference
    from ClamSegLib.system.errors import OutOfMemoryError

    volume = read_volume(scan(tmp_path / "scan.nrrd"))
    expected = inference.segment_volume(
        volume, load_model(model), inference.SegmentOptions(device="cpu", engine="reference", batch_size=1)
    )
    real, largest = engine_torch.decode, []

    def small_machine(logits, config):
        largest.append(len(logits[0][0]))
        if largest[-1] > 1:
            raise MemoryError
        return real(logits, config)

    heard = []

    class Listener(inference.Reporter):
        def warning(self, message):
            heard.append(message)

    monkeypatch.setattr(engine_torch, "decode", small_machine)
    result = inference.segment_volume(
        volume, load_model(model), inference.SegmentOptions(device="cpu", engine="reference"), Listener()
    )
    assert np.array_equal(result.probability, expected.probability)
    assert [w for w in heard if "going on with 1 slice" in w]

    def no_memory(logits, config):
        raise MemoryError

    monkeypatch.setattr(engine_torch, "decode", no_memory)
    with pytest.raises(OutOfMemoryError, match="one slice"):
        inference.segment_volume(volume, load_model(model), inference.SegmentOptions(device="cpu", engine="reference"))


def test_json_progress_counts_every_slice(tmp_path, model, capsys):
    words = [
        "segment",
        str(scan(tmp_path / "s.nrrd")),
        "--model",
        str(model),
        "--output",
        str(tmp_path / "o"),
        "--progress",
        "json",
    ]
    assert main(words) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e for e in events if e["event"] == "progress" and e["stage"] == "segmenting slices"][-1]["done"] == 5
    assert events[-2]["event"] == "done"
    assert "slices analysed" in events[-2]["summary"]


def test_models_lists_what_is_installed_and_what_is_damaged(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path))
    tiny_model(tmp_path / "mine")
    broken = tiny_model(tmp_path / "broken")
    (broken / "config.json").write_text('{"name": "x", "format_version": 99}')
    assert main(["models", "--json"]) == 0
    entries = {m["name"]: m for m in json.loads(capsys.readouterr().out)["models"]}
    assert entries["mine"]["conditions"] == ["lesion"]
    assert entries["mine"]["problem"] == ""
    assert "update ClamSeg" in entries["broken"]["problem"]
    assert main(["models"]) == 0
    assert "damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    "verb", ["segment", "train", "evaluate", "check", "models", "export", "compare", "demo", "benchmark", "worker"]
)
def test_every_verb_explains_itself(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert "For research, not for diagnosis" in " ".join(capsys.readouterr().out.split())


def test_a_failure_nobody_foresaw_is_one_line(tmp_path, model, monkeypatch, capsys):
    from ClamSegLib.engines import torch_folded as engine_torch

    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(engine_torch, "decode", broken)
    assert segment([scan(tmp_path / "scan.nrrd")], model, tmp_path / "out", "--engine", "reference") == 1
    captured = capsys.readouterr()
    assert "Internal error (ZeroDivisionError: surprise)" in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "out" / "scan").exists()


def test_a_body_that_served_because_no_lungs_were_found_is_not_called_lungs(tmp_path: Path) -> None:
    """A mask is passed on without its report: its name, its code and the pictures must not claim an organ."""
    depth = np.full((6, 64, 64), -1000, np.int16)
    depth[:, 12:52, 10:54] = 40
    path = tmp_path / "abdomen.nii.gz"
    write_volume(depth, Volume(depth, (5.0, 5.0, 5.0)), path)
    model = tiny_model(tmp_path / "ct", "CT")
    assert segment([path], model, tmp_path / "out", "--organ", "lungs_ct") == 0
    told = report(tmp_path / "out" / "abdomen")
    assert told["organ"]["fell_back"]
    assert told["organ"]["name"] == "searched: body"
    assert told["organ"]["terminology"] == ""
    image = sitk.ReadImage(str(tmp_path / "out" / "abdomen" / "segmentation.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "searched: body"
    assert "Tissue" in image.GetMetaData("Segment0_Tags")
    assert "Lung" not in image.GetMetaData("Segment0_Tags")
