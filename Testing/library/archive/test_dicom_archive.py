"""Trees of DICOM files: indexed once, chosen by what they are, named without patients, told by no path."""

import csv
import json
import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_stacks import NAME, dataset, save, stack

from ClamSegLib.archive.dicom_index import TAGS, DicomIndex, IndexedSeries
from ClamSegLib.archive.pseudonym import Pseudonyms
from ClamSegLib.archive.series_choice import read_selection
from ClamSegLib.cli import main
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def tree(tmp_path) -> Path:
    """Two patients with thin and thick CT, an MR, a localiser and a lone slice, in folders that bear their names."""
    root = tmp_path / "archive"
    doe, roe = root / "Doe^Secret" / "2026", root / "Roe^Hidden"
    common = {"BodyPartExamined": "CHEST"}
    stack(doe / "thin", 6, "1.5.1", StudyInstanceUID="1.5", SliceThickness=1.25, **common)
    stack(doe / "thick", 5, "1.5.2", StudyInstanceUID="1.5", **common)
    stack(doe / "scout", 3, "1.5.3", StudyInstanceUID="1.5", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    stack(
        roe / "mixed",
        6,
        "1.6.1",
        StudyInstanceUID="1.6",
        PatientID="id-99",
        PatientName="Roe^Hidden",
        SliceThickness=1,
        **common,
    )
    stack(roe / "mixed", 4, "1.6.2", StudyInstanceUID="1.6", PatientID="id-99", PatientName="Roe^Hidden", Modality="MR")
    stack(roe / "one", 1, "1.6.3", StudyInstanceUID="1.6", PatientID="id-99", PatientName="Roe^Hidden")
    return root


def segment(words: list[object], model: Path, output: Path) -> int:
    fixed = ["--model", str(model), "--output", str(output), "--device", "cpu"]
    return main(["segment", *map(str, words), *fixed])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lookup(tmp_path: Path) -> dict[str, str]:
    """Series UID of each case."""
    return {row["case"]: row["series_uid"] for row in rows(tmp_path / "settings" / "archive" / "lookup.csv")}


def states(tmp_path: Path) -> dict[str, str]:
    known = lookup(tmp_path)
    return {known[row["case"]]: row["state"] for row in rows(tmp_path / "out" / "cases.csv")}


def left_out(tmp_path: Path) -> dict[str, str]:
    known = lookup(tmp_path)
    return {known[row["case"]]: row["reason"] for row in rows(tmp_path / "out" / "left-out.csv")}


SELECT = ["--select", "Modality=CT and SliceThickness<=2.5"]


def test_series_are_chosen_and_the_others_listed_with_the_reason(tmp_path, tree, model):
    assert segment([tree, *SELECT], model, tmp_path / "out") == 0
    assert states(tmp_path) == {"1.5.1": "done", "1.6.1": "done"}
    assert left_out(tmp_path) == {
        "1.5.2": "SliceThickness is 5, not <= 2.5",
        "1.5.3": "localizer, no scan",
        "1.6.2": "MR, the model was made for CT",
        "1.6.3": "1 slices, no volume",
    }
    assert len(list((tmp_path / "out").glob("patient-*/study-*/case-*/segmentation.dcm"))) == 2


def test_a_segmentation_of_an_indexed_series_refers_to_its_own_slices(tmp_path, tree, model):
    segment([tree, *SELECT], model, tmp_path / "out")
    names = {uid: name for name, uid in lookup(tmp_path).items()}
    (path,) = (tmp_path / "out").rglob(f"{names['1.6.1']}/segmentation.dcm")
    seg = pydicom.dcmread(path)
    own = {str(pydicom.dcmread(p).SOPInstanceUID) for p in (tree / "Roe^Hidden" / "mixed").glob("*_1.6.1")}
    assert {str(i.ReferencedSOPInstanceUID) for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence} == own
    assert len(own) == 6


def test_no_name_path_or_identifier_of_a_patient_stands_in_output_or_log(tmp_path, tree, model, capfd):
    (tree / "Doe^Secret" / "2026" / "thick" / "Doe^Secret.dcm").write_bytes(b"\0" * 128 + b"DICM damaged")
    second = tree / "Roe^Hidden" / "mixed" / "005_1.6.1"
    broken = pydicom.dcmread(second)
    broken.Columns = 12  # a slice unlike the others: the case is bad, and the reason is told
    broken.save_as(second)
    assert segment([tree, "--select", ""], model, tmp_path / "out") == 2
    told = capfd.readouterr()
    written = "".join(
        f"{path.relative_to(tmp_path / 'out')}\n{path.read_bytes().decode('latin-1')}"
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.suffix != ".dcm"
    )
    assert sorted(states(tmp_path).values()) == ["bad input", "done"]
    for text in (told.out + told.err, written):
        for word in ("Doe", "Roe", "Secret", "Hidden", "id-4711", "id-99", "1.5.1", "1.6.1", "archive/"):
            assert word not in re.sub(r"settings/archive/lookup.csv", "", text), word
    assert left_out(tmp_path)["1.5.2"].startswith("1 files beside its slices cannot be read")
    assert [row["reason"] for row in rows(tmp_path / "out" / "left-out.csv") if row["case"].startswith("file-")] == [
        "cannot be read"
    ]


def test_secret_index_and_table_lie_outside_the_output_for_this_user_only(tmp_path, tree, model):
    segment([tree, *SELECT], model, tmp_path / "out")
    private = tmp_path / "settings" / "archive"
    assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o600}
    assert {path.suffix for path in private.iterdir()} == {".key", ".csv", ".sqlite"}
    for path in private.glob("*.sqlite"):
        content = path.read_bytes()
        assert b"id-4711" not in content, "not even the index holds the patient's identifier"
        assert NAME.encode() not in content.replace(b"Doe^Secret/", b"")


def test_a_resumed_run_keeps_names_and_finished_series_and_does_a_grown_one_again(tmp_path, tree, model):
    segment([tree, *SELECT], model, tmp_path / "out")
    rng = np.random.default_rng(1)
    more = dataset(
        rng.integers(0, 2000, (20, 24)).astype(np.uint16), "1.6.1", 6, StudyInstanceUID="1.6", PatientID="id-99"
    )
    more.SliceThickness, more.BodyPartExamined = 1, "CHEST"
    save(tree / "Roe^Hidden" / "mixed", "zz", more)
    assert segment([tree, *SELECT, "--resume"], model, tmp_path / "out") == 0
    assert states(tmp_path) == {"1.5.1": "kept", "1.6.1": "done"}
    told = {row["case"]: row["n_slices"] for row in rows(tmp_path / "out" / "cases.csv")}
    assert told[{uid: name for name, uid in lookup(tmp_path).items()}["1.6.1"]] == "7"


def test_another_secret_gives_other_names_and_one_that_others_can_read_is_refused(tmp_path, tree, model, capsys):
    names = [Pseudonyms(tmp_path / f"{n}.key").of("case", "1.5.1") for n in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    (tmp_path / "1.key").chmod(0o644)
    assert segment([tree, *SELECT, "--secret", tmp_path / "1.key"], model, tmp_path / "out") == 2
    assert "can be read by others; run: chmod 600" in capsys.readouterr().err
    assert segment([tree, *SELECT, "--secret", tmp_path / "out" / "s.key"], model, tmp_path / "out") == 2
    assert "would lie in the output" in capsys.readouterr().err
    (tmp_path / "2.key").write_text("short")
    assert segment([tree, *SELECT, "--secret", tmp_path / "2.key"], model, tmp_path / "out") == 2
    assert "holds no secret" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_source_is_written_to_with_beside_only_and_what_lies_there_is_never_a_scan(tmp_path, tree, model):
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*") if path.is_file()}
    segment([tree, *SELECT], model, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*") if path.is_file()} == before
    assert segment([tree, *SELECT, "--resume", "--beside"], model, tmp_path / "out") == 0
    (put,) = [p for p in (tree / "Doe^Secret").rglob("clamseg-*") if p.is_file()]
    assert put.parent == tree / "Doe^Secret" / "2026" / "thin"
    assert pydicom.dcmread(put).Modality == "SEG"
    assert states(tmp_path) == {"1.5.1": "kept", "1.6.1": "kept"}
    segment([tree, *SELECT, "--resume", "--beside"], model, tmp_path / "out")
    assert states(tmp_path) == {"1.5.1": "kept", "1.6.1": "kept"}
    assert "a SEG object, no scan" in left_out(tmp_path).values()
    other = dataset(np.zeros((20, 24), np.uint16), "1.5.9", 1, StudyInstanceUID="1.5", Manufacturer="ClamSeg")
    save(put.parent, put.name, other)
    theirs = put.read_bytes()
    assert segment([tree, *SELECT, "--resume", "--beside"], model, tmp_path / "out") == 2
    assert put.read_bytes() == theirs, "what is no segmentation of ClamSeg is never replaced"
    shutil.rmtree(tmp_path / "out")
    assert segment([tree, *SELECT, "--resume", "--beside"], model, tmp_path / "out") == 2
    assert set(states(tmp_path).values()) == {"done", "bad input"}, (
        "finished and not delivered is not finished by another run"
    )


def test_the_index_reads_a_file_again_only_when_it_changed_and_forgets_what_is_gone(tmp_path, tree, monkeypatch):
    from ClamSegLib.archive import dicom_index

    read: list[str] = []
    real = dicom_index.read_header
    monkeypatch.setattr(dicom_index, "read_header", lambda path, more: read.append(path.name) or real(path, more))
    index = DicomIndex(tree, Pseudonyms(tmp_path / "s.key"))
    index.update(Reporter())
    assert len(read) == 25
    read.clear()
    (tree / "Roe^Hidden" / "one" / "000_1.6.3").unlink()
    os.utime(tree / "Doe^Secret" / "2026" / "thin" / "000_1.5.1")
    index.update(Reporter())
    assert read == ["000_1.5.1"]
    assert sorted(series.series_uid for series in index.series()) == ["1.5.1", "1.5.2", "1.5.3", "1.6.1", "1.6.2"]


def indexed(tree: Path, tmp_path: Path) -> DicomIndex:
    index = DicomIndex(tree, Pseudonyms(tmp_path / "s.key"))
    index.update(Reporter())
    return index


def test_a_damaged_index_is_refused_because_it_may_lack_slices(tmp_path, tree):
    index = indexed(tree, tmp_path)
    whole = index.path.read_bytes()
    page = whole.index(b"000_1.5.1") // 4096 * 4096
    count = int.from_bytes(whole[page + 3 : page + 5], "big")
    fewer = whole[: page + 3] + (count - 1).to_bytes(2, "big") + whole[page + 5 :]  # a row is gone, and SQLite reads on
    for content in (b"\0" * 4096 + whole[4096:], whole[:9000], fewer):
        index.path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be used \(.*\); remove it, and it is made anew"):
            index.update(Reporter())
    index.path.unlink()
    assert len(indexed(tree, tmp_path).series()) == 6


def test_an_index_of_another_version_is_made_anew_under_numbers_that_no_run_has_asked_for(tmp_path, tree):
    index = indexed(tree, tmp_path)
    before = {series.number for series in index.series()}
    with closing(sqlite3.connect(index.path)) as file:
        file.execute("PRAGMA user_version = 0")
        file.execute("ALTER TABLE files DROP COLUMN odd_kind")
        file.commit()
    after = {series.number for series in indexed(tree, tmp_path).series()}
    assert len(after) == len(before)
    assert not after & before


def test_the_number_of_a_series_that_is_gone_is_not_given_to_another_one(tmp_path, tree):
    index = indexed(tree, tmp_path)
    last = max(index.series(), key=lambda series: series.number)
    for path in IndexedSeries(index.path, last.number).paths():
        path.unlink()
    index.update(Reporter())
    stack(tree / "new", 4, "1.7.1", StudyInstanceUID="1.7")
    index.update(Reporter())
    assert last.number not in {series.number for series in index.series()}
    assert IndexedSeries(index.path, last.number).paths() == []


def test_the_number_of_a_series_that_was_gone_before_the_version_changed_is_not_given_again(tmp_path, tree):
    index = indexed(tree, tmp_path)
    last = max(index.series(), key=lambda series: series.number)
    for path in IndexedSeries(index.path, last.number).paths():
        path.unlink()
    index.update(Reporter())
    with closing(sqlite3.connect(index.path)) as file:
        file.execute("PRAGMA user_version = 0")
        file.commit()
    assert min(series.number for series in indexed(tree, tmp_path).series()) > last.number


def test_a_dicomdir_names_the_files_of_its_disc(tmp_path, model):
    from pydicom.fileset import FileSet
    from pydicom.uid import generate_uid

    source, disc = tmp_path / "source", tmp_path / "disc"
    stack(
        source,
        5,
        "1.7.1",
        StudyInstanceUID="1.7",
        StudyDate="20260101",
        StudyTime="120000",
        StudyID="1",
        SeriesNumber=1,
    )
    stack(
        source,
        4,
        "1.7.2",
        StudyInstanceUID="1.7",
        StudyDate="20260101",
        StudyTime="120000",
        StudyID="1",
        SeriesNumber=2,
    )
    files = FileSet()
    for path in sorted(source.glob("*_1.7.1")):
        instance = pydicom.dcmread(path)
        instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        files.add(instance)
    files.write(disc)
    stack(disc / "stray", 4, "1.7.2", StudyInstanceUID="1.7")
    assert segment([disc / "DICOMDIR"], model, tmp_path / "out") == 0
    assert states(tmp_path) == {"1.7.1": "done"}
    next(p for p in disc.rglob("*") if p.is_file() and p.name != "DICOMDIR" and "stray" not in str(p)).unlink()
    assert segment([disc / "DICOMDIR", "--resume"], model, tmp_path / "out") == 2


def test_a_uid_that_stands_for_two_series_is_left_out(tmp_path, model):
    stack(tmp_path / "tree" / "a", 5, "1.8.1", StudyInstanceUID="1.8")
    stack(tmp_path / "tree" / "b", 5, "1.8.1", StudyInstanceUID="1.9", PatientID="another")
    assert segment([tmp_path / "tree", "--select", ""], model, tmp_path / "out") == 0
    assert left_out(tmp_path) == {"1.8.1": "its UID is that of another series as well"}
    assert rows(tmp_path / "out" / "cases.csv") == []


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", True),
        ("Modality=CT", True),
        ("Modality==CT", True),
        ("modality=ct and NumberOfSlices>=100", True),
        ("SliceThickness<1", False),
        ("SliceThickness < 1 or Rows = 512", True),
        ("Modality=MR or SliceThickness<=2.5 and Rows<512", False),
        ("SeriesDescription='Thorax *'", True),
        ("SeriesDescription!='Thorax *'", False),
        ("ImageType=PRIMARY", True),
        ("StudyDate>=20260101 and StudyDate<20270101", True),
        ("ConvolutionKernel=B30f", False),
    ],
)
def test_conditions_choose_by_number_word_and_date(text, chosen):
    tags = {"Modality": "CT", "SliceThickness": 1.25, "Rows": 512.0, "NumberOfSlices": 240, "StudyDate": "20260507"}
    tags |= {"SeriesDescription": "Thorax 1.25 B30f", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL"}
    assert (read_selection(text, TAGS).failure(tags) == "") is chosen


def test_a_folder_that_cannot_be_entered_is_told_and_no_series_beside_it_taken(tmp_path, tree, model, monkeypatch):
    """As another user: the superuser, as whom tests may run, enters everything."""
    walk = os.walk
    closed = tree / "Doe^Secret" / "2026" / "thin" / "more"
    closed.mkdir()

    def walking(root, onerror=None):
        for here, folders, names in walk(root):
            if Path(here) == closed:
                onerror(PermissionError(13, "Permission denied", str(closed)))
            else:
                yield here, folders, names

    monkeypatch.setattr("ClamSegLib.archive.dicom_index.os.walk", walking)
    assert segment([tree, *SELECT], model, tmp_path / "out") == 0
    assert states(tmp_path) == {"1.6.1": "done"}
    assert left_out(tmp_path)["1.5.1"].startswith("1 files beside its slices cannot be read")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Modality", "cannot be read from 'Modality' on"),
        ("PatientName=Doe", "cannot ask for PatientName; it can for BodyPartExamined"),
        ("SliceThickness<=thin", "compares SliceThickness with 'thin'; a number belongs there"),
        ("Modality=CT SliceThickness<2", "lacks 'and' or 'or' before 'SliceThickness<2'"),
        ("Modality=CT and", "cannot be read at its end, where a condition belongs"),
    ],
)
def test_conditions_that_cannot_be_read_are_refused(text, words):
    with pytest.raises(InputError, match=re.escape(words)):
        read_selection(text, TAGS)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x", "--beside"], "--beside is for trees"),
        (["x", "--store"], "--store stores in the PACS"),
        (["x", "--select", "", "--series", "2"], "--series chooses within one DICOM folder"),
        (["--manifest", "x", "--select", ""], "--select chooses among the series"),
        (["gone", "--select", ""], "is no folder that can be read"),
        ([Path(__file__).parent, "--select", ""], "holds no DICOM images"),
        (["--dicomweb", "pacs.example"], "is no address of a DICOMweb archive"),
        (["--dicomweb", "http://127.0.0.1:9/dicom-web"], "does not answer"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(tmp_path, model, capsys, words, told):
    assert segment(words, model, tmp_path / "out") in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()


def test_what_a_run_was_asked_for_stands_in_its_record_without_the_place_of_its_input(tmp_path, tree, model):
    segment([tree, *SELECT], model, tmp_path / "out")
    for path in (tmp_path / "out").rglob("record.json"):
        record = json.loads(path.read_text())
        assert record["options"]["dicom_seg"] is True
        assert set(record["input"]) == {"files", "bytes", "changed_ns", "listing_sha256", "headers_sha256"}
