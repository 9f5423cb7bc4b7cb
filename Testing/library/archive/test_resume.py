"""A batch that is stopped goes on: finished cases stay, changed ones are done again, somebody's work is never replaced."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.segmentation import batch_of_cases


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take most of the time of small cases."""
    monkeypatch.setattr("ClamSegLib.segmentation.report.drawing_problem", lambda: "not drawn here")


@pytest.fixture
def scans(tmp_path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        write_scan(folder / f"s{number}.nrrd", number)
    return folder


def write_scan(path: Path, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 900, (3, 40, 44)).astype(np.int16)
    write_volume(array, Volume(array, (1.0, 1.5, 4.0)), path)


def segment(words: list[object], model: Path, output: Path) -> int:
    fixed = ["--model", str(model), "--output", str(output), "--device", "cpu", "--progress", "none"]
    return main(["segment", *map(str, words), *fixed])


def times(output: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in output.glob("*/report.json")}


def table(output: Path, name: str = "cases") -> dict[str, dict[str, str]]:
    with (output / f"{name}.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def done_again(output: Path, before: dict[str, int]) -> set[str]:
    return {name for name, at in times(output).items() if before.get(name) != at}


def test_a_case_that_another_run_finished_meanwhile_is_kept(tmp_path, scans, model, capsys, monkeypatch):
    from ClamSegLib.archive import finished_cases

    out = tmp_path / "out"
    assert segment([scans], model, out) == 0
    before = times(out)
    # As both runs saw it when they began: nothing was finished.
    monkeypatch.setattr(finished_cases, "sort_cases", lambda cases, *_: finished_cases.Sorted(to_do=list(cases)))
    (out / "s1" / "lesions.csv").unlink()
    assert segment([scans, "--resume"], model, out) == 2
    assert {name: row["state"] for name, row in table(out).items()} == {"s0": "kept", "s1": "bad input", "s2": "kept"}
    assert times(out) == before
    (line,) = capsys.readouterr().err.splitlines()
    assert "s1 exists already" in line


def test_finished_cases_stay_and_only_what_is_new_is_done(tmp_path, scans, model):
    out = tmp_path / "out"
    assert segment([scans], model, out) == 0
    before = times(out)
    write_scan(scans / "s3.nrrd", 3)
    assert segment([scans, "--resume"], model, out) == 0
    assert done_again(out, before) == {"s3"}
    assert {name: row["state"] for name, row in table(out).items()} == {
        "s0": "kept", "s1": "kept", "s2": "kept", "s3": "done",
    }  # fmt: skip


@pytest.mark.parametrize("change", ["input", "time", "model", "options", "half-written", "empty", "report"])
def test_what_changed_is_done_again(tmp_path, scans, model, change):
    out, options = tmp_path / "out", []
    own = tmp_path / "tiny"
    shutil.copytree(model, own)
    assert segment([scans], own, out) == 0
    before = times(out)
    if change == "input":
        write_scan(scans / "s1.nrrd", 99)
    elif change == "time":
        os.utime(scans / "s1.nrrd")
    elif change == "model":
        config = json.loads((own / "config.json").read_text())
        (own / "config.json").write_text(json.dumps(config | {"threshold": 0.25}))
    elif change == "options":
        options = ["--threshold", "0.3"]
    elif change == "half-written":
        (out / "s1" / "segmentation.seg.nrrd").unlink()
    elif change == "empty":
        (out / "s1" / "probability.nrrd").write_bytes(b"")
    else:  # as after a power cut: the report lost its content, the record tells whose folder it is
        (out / "s1" / "report.json").write_bytes(b"")
    assert segment([scans, "--resume", *options], own, out) == 0
    assert done_again(out, before) == ({"s0", "s1", "s2"} if change in ("model", "options") else {"s1"})
    assert not [p for p in (out / "s1").iterdir() if p.name.endswith(".nrrd") and not p.stat().st_size]


def as_of_a_version_without(folder: Path, *, option: bool, report: bool) -> None:
    """Takes the rule for the smallest mark out of what a case tells of itself."""
    record = json.loads((folder / "record.json").read_text())
    if option:
        del record["options"]["minimum_area_px"]
    if report:
        told = json.loads((folder / "report.json").read_text())
        del told["search"]["smallest_px"]
        text = json.dumps(told).encode()
        (folder / "report.json").write_bytes(text)
        record["files"]["report.json"] = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    (folder / "record.json").write_text(json.dumps(record))


def test_a_picture_made_by_another_rule_for_the_smallest_mark_is_done_again_and_nothing_else_is(tmp_path, scans, model):
    out = tmp_path / "out"
    for name in ("old", "older"):
        Image.fromarray(np.random.default_rng(0).integers(0, 200, (40, 44), np.uint8)).save(scans / f"{name}.png")
    assert segment([scans], model, out) == 0
    for name in ("old", "s0"):  # the rule was there, and records did not name it
        as_of_a_version_without(out / name, option=True, report=False)
    for name in ("older", "s1"):  # there was none
        as_of_a_version_without(out / name, option=True, report=True)
    before = times(out)
    assert segment([scans, "--resume"], model, out) == 0
    assert done_again(out, before) == {"older"}
    before = times(out)
    assert segment([scans, "--resume", "--minimum-area-px", "500"], model, out) == 0
    assert "old" in done_again(out, before)  # it was made by the model's rule, not by this number
    assert segment([scans, "--resume"], model, out) == 0
    record = json.loads((out / "s2" / "record.json").read_text())
    record["options"]["minimum_area_px"] = "9 of the network"  # of a version that took more where a model says nothing
    (out / "s2" / "record.json").write_text(json.dumps(record))
    before = times(out)
    assert segment([scans, "--resume"], model, out) == 0
    assert done_again(out, before) == {"s2"}


def test_a_segmentation_that_somebody_edited_is_never_replaced_without_overwrite(tmp_path, scans, model, capsys):
    out = tmp_path / "out"
    segment([scans], model, out)
    edited = out / "s1" / "segmentation.seg.nrrd"
    edited.write_bytes(edited.read_bytes() + b"a reader's work")
    kept = edited.read_bytes()
    assert segment([scans, "--resume"], model, out) == 0
    write_scan(scans / "s1.nrrd", 99)
    assert segment([scans, "--resume"], model, out) == 2
    assert edited.read_bytes() == kept
    assert "segmentation.seg.nrrd was changed after ClamSeg had written the case" in capsys.readouterr().err
    assert table(out)["s1"]["state"] == "bad input"
    assert segment([scans, "--resume", "--overwrite"], model, out) == 0
    assert edited.read_bytes() != kept


def test_a_result_without_a_record_and_a_folder_of_somebody_else_are_refused(tmp_path, scans, model):
    out = tmp_path / "out"
    segment([scans], model, out)
    (out / "s0" / "record.json").unlink()
    shutil.rmtree(out / "s1")
    (out / "s1").mkdir()
    (out / "s1" / "notes.txt").write_text("mine")
    assert segment([scans, "--resume"], model, out) == 2
    assert [row["state"] for row in table(out).values()] == ["bad input", "bad input", "kept"]
    assert segment([scans, "--resume", "--overwrite"], model, out) == 2
    assert (out / "s1" / "notes.txt").read_text() == "mine"
    assert table(out)["s0"]["state"] == "done"


def test_a_batch_that_is_killed_goes_on_with_resume_and_nothing_is_done_twice(tmp_path, model):
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for number in range(12):
        write_scan(scans / f"s{number:02d}.nrrd", number)
    words = ["segment", str(scans), "--model", str(model), "--output", str(out), "--device", "cpu", "--resume"]
    code = (
        "import sys\nfrom ClamSegLib.segmentation import report\nreport.drawing_problem = lambda: 'not drawn here'\n"
        "from ClamSegLib.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        ends = time.monotonic() + 60
        while len(times(out)) < 4 and time.monotonic() < ends:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    before = times(out)
    assert 4 <= len(before) < 12
    assert main([*words, "--progress", "none"]) == 0
    assert done_again(out, before) == {f"s{n:02d}" for n in range(12)} - set(before)
    rows = table(out)
    assert len(rows) == 12
    assert sum(row["state"] == "kept" for row in rows.values()) == len(before)
    for folder in (out / name for name in rows):
        record = json.loads((folder / "record.json").read_text())
        assert {name: (folder / name).stat().st_size for name in record["files"]} == {
            name: told["bytes"] for name, told in record["files"].items()
        }


# -- tables ------------------------------------------------------------------------------------------------


def test_the_tables_hold_every_case_and_every_lesion_and_what_failed(tmp_path, scans, model):
    out = tmp_path / "out"
    (scans / "s1.nrrd").write_bytes(b"no image")
    assert segment([scans, "--threshold", "0.2"], model, out) == 2
    rows = table(out)
    assert rows["s1"]["state"] == "bad input"
    assert "s1.nrrd" in rows["s1"]["words"]
    report = json.loads((out / "s0" / "report.json").read_text())
    assert int(rows["s0"]["lesions"]) == len(report["lesions"]) > 0
    total = sum(lesion["volume_ml"] for lesion in report["lesions"])
    assert float(rows["s0"]["lesion_ml"]) == pytest.approx(total, abs=0.001)
    assert float(rows["s0"]["seconds"]) > 0
    with (out / "lesions.csv").open(newline="") as file:
        lesions = [row for row in csv.DictReader(file) if row["case"] == "s0"]
    with (out / "s0" / "lesions.csv").open(newline="") as file:
        assert [{k: v for k, v in row.items() if k != "case"} for row in lesions] == list(csv.DictReader(file))
    cases = parquet.read_table(out / "cases.parquet").to_pydict()
    assert cases["case"] == ["s0", "s1", "s2"]
    assert cases["lesions"] == [len(report["lesions"]), None, int(rows["s2"]["lesions"])]
    assert parquet.read_table(out / "lesions.parquet").num_rows == sum(n for n in cases["lesions"] if n)


def test_rows_of_an_earlier_run_into_the_same_output_stay(tmp_path, scans, model):
    out = tmp_path / "out"
    segment([scans / "s0.nrrd", scans / "s1.nrrd"], model, out)
    segment([scans / "s2.nrrd", "--resume"], model, out)
    assert sorted(table(out)) == ["s0", "s1", "s2"]
    assert table(out)["s0"]["state"] == "done"


def test_a_table_of_somebody_else_is_not_replaced_and_nothing_is_begun(tmp_path, scans, model, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "cases.csv").write_text("path\n../scans/s0.nrrd\n")
    assert segment(["--manifest", out / "cases.csv"], model, out) == 2
    assert (out / "cases.csv").read_text() == "path\n../scans/s0.nrrd\n"
    assert "is no table of ClamSeg" in capsys.readouterr().err
    assert not (out / "s0").exists()


def test_without_pyarrow_the_tables_are_csv(tmp_path, scans, model, monkeypatch):
    from ClamSegLib.archive import case_table

    monkeypatch.setattr(case_table.importlib.util, "find_spec", lambda name: None)
    case_table.write_tables(tmp_path, [], lambda name: tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*.*")) == ["cases.csv", "lesions.csv"]


# -- manifest ----------------------------------------------------------------------------------------------


def test_a_manifest_gives_each_case_its_name_model_and_organ(tmp_path, scans, model):
    other = tiny_model(tmp_path / "other")
    organ = np.zeros((3, 40, 44), np.uint8)
    organ[:, 10:30, 12:34] = 1
    write_volume(organ, Volume(organ, (1.0, 1.5, 4.0)), tmp_path / "organ.nrrd")
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "path,name,model,organ\nscans/s0.nrrd,first,,organ.nrrd\nscans/s1.nrrd,,other,\nscans/s2.nrrd,s1,,\n"
    )
    assert segment(["--manifest", manifest], model, tmp_path / "out") == 0
    told = {p.parent.name: json.loads(p.read_text()) for p in (tmp_path / "out").glob("*/report.json")}
    assert {name: (t["input"], t["model"]["name"], t["organ"]["method"]) for name, t in told.items()} == {
        "first": ("s0.nrrd", "tiny", "mask file"),
        "s1-2": ("s1.nrrd", other.name, "whole"),
        "s1": ("s2.nrrd", "tiny", "whole"),
    }
    before = times(tmp_path / "out")
    organ[:, 12:20, 14:20] = 0
    write_volume(organ, Volume(organ, (1.0, 1.5, 4.0)), tmp_path / "organ.nrrd")
    assert segment(["--manifest", manifest, "--resume"], model, tmp_path / "out") == 0
    assert done_again(tmp_path / "out", before) == {"first"}, "another organ mask is another option"


def test_a_model_that_goes_while_the_cases_of_another_run_takes_no_outcome_with_it(tmp_path, scans, model, monkeypatch):
    other, real = tiny_model(tmp_path / "other"), batch_of_cases.segment_volume

    def segmenting(*given):
        if other.is_dir():
            other.rename(tmp_path / "elsewhere")
        return real(*given)

    monkeypatch.setattr(batch_of_cases, "segment_volume", segmenting)
    (tmp_path / "list.csv").write_text("path,model\nscans/s0.nrrd,\nscans/s1.nrrd,other\n")
    segment(["--manifest", tmp_path / "list.csv"], model, tmp_path / "out")
    assert set(table(tmp_path / "out")) == {"s0", "s1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\nx\n", "has the columns name; allowed are path"),
        ("path,colour\nscans/s0.nrrd,red\n", "has the columns path, colour; allowed"),
        ("path\n", "has no rows"),
        ("path\nscans/s0.nrrd\nscans/gone.nrrd\n", "line 3: "),
        ("path,organ\nscans/s0.nrrd,gone.nrrd\n", "files that are not there (line 2: "),
        ("path,name\nscans/s0.nrrd,a\nscans/s1.nrrd,A\n", "The name 'A' stands in lines 2 and 3"),
        ("path,name\nscans/s0.nrrd,../x\n", "'../x', cannot be the name of a folder"),
        ("path,name\nscans/s0.nrrd,.hidden\n", "cannot be the name of a folder"),
        ("path,name\nscans/s0.nrrd,a,b\n", "more cells than the table has columns"),
        ("path,model\nscans/s0.nrrd,wish\n", "There is no model 'wish'"),
        ("path\n\xff\xfe", "is no CSV table in UTF-8"),
    ],
)
def test_a_manifest_with_a_mistake_is_refused_in_one_line_before_anything_is_done(
    tmp_path, scans, model, capsys, text, words
):
    (tmp_path / "list.csv").write_bytes(text.encode("latin-1"))
    assert segment(["--manifest", tmp_path / "list.csv"], model, tmp_path / "out") == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert words in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [[], ["--manifest", "gone.csv"], ["scan.nrrd", "--manifest", "gone.csv"]], ids=["neither", "gone", "both"]
)
def test_inputs_and_manifest_exclude_each_other(tmp_path, model, capsys, words):
    assert segment(words, model, tmp_path / "out") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
