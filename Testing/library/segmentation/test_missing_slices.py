"""A series that lacks a slice: told in the summary, nothing marked there, every other slice in its place."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_stacks import dataset, save, stack
from tiny_model import tiny_model, tiny_normative_model

from ClamSegLib.cli import main
from ClamSegLib.commands.worker import Worker
from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.seg_nrrd import read_segmentation
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.segmentation.missing_slices import bridged, emptied, lacking_words


def lacking(folder: Path, number: int) -> Path:
    """A series of six slices without that one."""
    stack(folder, 6)
    next(p for p in folder.iterdir() if pydicom.dcmread(p).InstanceNumber == number).unlink()
    return folder


def segmented(folder: Path, scan: Path, model: Path, *more: str) -> tuple[int, dict[str, object]]:
    words = ["segment", str(scan), "--model", str(model), "--output", str(folder / "out"), "--engine", "reference"]
    code = main([*words, "--device", "cpu", "--threshold", "0.001", "--progress", "none", *more])
    report = folder / "out" / scan.name / "report.json"
    return code, json.loads(report.read_text()) if report.is_file() else {}


@pytest.mark.parametrize("smooths", [False, True])
def test_a_missing_slice_is_in_the_summary_and_nothing_is_marked_there(tmp_path, smooths):
    model = (tiny_normative_model if smooths else tiny_model)(tmp_path / "tiny", "CT")
    scan = lacking(tmp_path / "scan", 2)
    code, report = segmented(tmp_path, scan, model, *(["--slice-smoothing"] if smooths else []))
    assert code == 0
    assert "5 of 6 slices analysed (slice 3 is missing from the series)" in str(report["summary"])
    assert (report["slices"]["total"], report["slices"]["analysed"]) == (6, 5)
    assert "1 of 6 slices of the series is missing" in str(report["warnings"])
    assert report["geometry"]["spacing_mm_xyz"][2] == 5.0
    probability = read_volume(tmp_path / "out" / "scan" / "probability.nrrd").array
    masks = read_segmentation(tmp_path / "out" / "scan" / "segmentation.seg.nrrd", read_volume(scan))
    assert [bool(plane.any()) for plane in probability] == [True, True, False, True, True, True]
    assert [segment.id for segment in masks] == ["organ", "lesion-lesion"]
    assert not any(segment.mask[2].any() for segment in masks)
    assert masks[0].mask[[0, 1, 3, 4, 5]].all()


def test_a_damaged_slice_is_refused_and_costs_its_case_alone(tmp_path, capsys):
    model = tiny_model(tmp_path / "tiny", "CT")
    stack(tmp_path / "cases" / "whole", 6)
    stack(tmp_path / "cases" / "hurt", 6)
    hurt = next(p for p in (tmp_path / "cases" / "hurt").iterdir() if pydicom.dcmread(p).InstanceNumber == 3)
    hurt.write_bytes(hurt.read_bytes()[:400])
    assert segmented(tmp_path, tmp_path / "cases", model)[0] == 2
    assert f"{hurt.name}; slices may be missing" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir() if p.is_dir()] == ["whole"]


def test_uneven_steps_are_in_the_summary(tmp_path):
    for k, height in enumerate((0, 5, 10, 18, 26)):
        pixels = np.random.default_rng(k).integers(0, 2000, (20, 24)).astype(np.uint16)
        save(tmp_path / "scan", f"{k}", dataset(pixels, "1.2", k, ImagePositionPatient=[0, 0, height]))
    _, report = segmented(tmp_path, tmp_path / "scan", tiny_model(tmp_path / "tiny", "CT"))
    assert "places along the stack are off by up to" in str(report["summary"])


def test_the_network_sees_the_nearest_slice_in_place_of_a_missing_one():
    array = np.arange(5)[:, None, None] * np.ones((1, 3, 4), int)
    volume = Volume(array, missing_slices=(1, 4))
    assert bridged(volume, "axial").array[:, 0, 0].tolist() == [0, 0, 2, 3, 3]


def test_slices_along_another_axis_leave_lines_empty_and_are_said_so():
    sagittal = (
        0.0,
        0.0,
        1.0,
        1.0,
        0.0,
        0.0,
        0.0,
        -1.0,
        0.0,
    )  # columns to posterior, rows to the feet, slices to the left
    volume = Volume(np.ones((5, 3, 4), int), direction=sagittal, missing_slices=(1,))
    marked = emptied(np.ones((2, 3, 4, 5), np.uint8), volume, "axial")
    assert np.argwhere(~marked.any(axis=(0, 1, 2))).ravel().tolist() == [1]
    assert lacking_words(volume, "axial") == (0, "1 slice of the series missing, which is a line in each of these")
    assert lacking_words(volume, "sagittal") == (1, "slice 2 is missing from the series")


def test_what_a_front_knows_of_a_file_that_it_wrote_is_in_the_summary_too(tmp_path):
    model = tiny_model(tmp_path / "tiny", "CT")
    scan = read_volume(lacking(tmp_path / "scan", 2))
    write_volume(scan.array, scan, tmp_path / "scan.nrrd")
    options = {"device": "cpu", "engine": "reference", "threshold": 0.001}
    request = {"command": "segment", "input": str(tmp_path / "scan.nrrd"), "model": str(model), "options": options}
    told = {"missing_slices": [2], "stack_doubt": "places are off"}
    wrong = [
        {"missing_slices": [6]},
        {"missing_slices": 3},
        {"missing_slices": [0, 1, 2, 3, 4, 5]},
        {"stack_doubt": ["x"]},
    ]
    lines = [{**request, "output": str(tmp_path / f"out{k}"), **more} for k, more in enumerate([told, *wrong, {}])]
    answers = io.StringIO()
    Worker(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), answers).run()
    ends = [e for e in map(json.loads, answers.getvalue().splitlines()) if e["event"] in ("done", "error")]
    assert "5 of 6 slices analysed (slice 3 is missing from the series; places are off)" in ends[0]["summary"]
    assert [end["event"] for end in ends] == ["done", *["error"] * 4, "done"]
    assert all(end["code"] == 2 for end in ends[1:5])
    assert "6 of 6 slices analysed" in ends[5]["summary"]


def test_a_volume_with_all_its_slices_is_handed_on_as_it_is():
    array = np.zeros((2, 3, 4), np.uint8)
    volume = Volume(array)
    assert emptied(array, volume, "axial") is array
    assert lacking_words(volume, "axial") == (0, "")
