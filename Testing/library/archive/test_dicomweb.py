"""A real Orthanc on this machine: series asked for, fetched, segmented, and the segmentation found again in it."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pydicom
import pytest
from dicom_stacks import stack
from pydicom.uid import generate_uid

from ClamSegLib.archive.dicomweb import Pacs, PacsError
from ClamSegLib.cli import main

PLUGINS = Path("/usr/share/orthanc/plugins")
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
SECONDS = 60

pytestmark = [
    pytest.mark.usefixtures("own_place"),
    pytest.mark.skipif(
        ORTHANC is None or not (PLUGINS / "libOrthancDicomWeb.so").exists(),
        reason="needs Orthanc with DICOMweb: apt-get install orthanc orthanc-dicomweb",
    ),
]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of an Orthanc that listens on this machine only, with its files in a folder of the test."""
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    settings = {
        "Name": "test", "HttpServerEnabled": True, "HttpPort": port, "RemoteAccessAllowed": False, "DicomServerEnabled": False,
        "AuthenticationEnabled": False, "HttpDescribeErrors": False, "HttpsCACertificates": "",
        "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"), "OverwriteInstances": False,
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = (folder / "log").open("w")
    process = subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)
    root, ends = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{root}/system", timeout=5).read()
            break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < ends, (folder / "log").read_text()
            time.sleep(0.1)
    yield root
    process.send_signal(signal.SIGTERM)
    process.wait(SECONDS)
    log.close()


def send(server: str, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            request = urllib.request.Request(f"{server}/instances", path.read_bytes(), method="POST")
            urllib.request.urlopen(request, timeout=SECONDS).read()


@pytest.fixture(scope="module")
def study(server, tmp_path_factory) -> str:
    """A study of two CT series (107 and 4 slices) and an MR in the archive."""
    folder, uid = tmp_path_factory.mktemp("study"), generate_uid()[:50].rstrip(".")
    common = {"StudyInstanceUID": uid, "StudyDate": "20260507", "PatientID": "id-web", "BodyPartExamined": "CHEST"}
    stack(folder / "a", 107, f"{uid}.1", SliceThickness=1.25, **common)
    stack(folder / "b", 4, f"{uid}.2", SliceThickness=5, **common)
    stack(folder / "c", 5, f"{uid}.3", Modality="MR", **common)
    send(server, folder)
    return uid


def segment(server: str, model: Path, output: Path, *more: str) -> int:
    fixed = ["--dicomweb", f"{server}/dicom-web", "--model", str(model), "--output", str(output), "--device", "cpu"]
    return main(["segment", *fixed, *more])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def segmentations(server: str, study: str) -> list[str]:
    """UIDs of the segmentations of a study, as the archive tells them."""
    found = Pacs(f"{server}/dicom-web")._client.search_for_instances(study, search_filters={"Modality": "SEG"})
    return sorted(told["00080018"]["Value"][0] for told in found)


def test_a_series_is_asked_for_fetched_segmented_and_its_segmentation_found_again(
    tmp_path, server, study, model, capsys
):
    select = ["--select", f"StudyInstanceUID={study} and SliceThickness<=2.5"]
    out = tmp_path / "out"
    assert segment(server, model, out, *select, "--store") == 0
    (row,) = rows(out / "cases.csv")
    assert (row["state"], row["n_slices"]) == ("done", "107"), "also what comes on a second page"
    (stored,) = segmentations(server, study)
    (seg,) = out.rglob("segmentation.dcm")
    assert str(pydicom.dcmread(seg).SOPInstanceUID) == stored
    assert sorted(line["reason"] for line in rows(out / "left-out.csv")) == [
        "MR, the model was made for CT", "SliceThickness is 5, not <= 2.5",
    ]  # fmt: skip
    report = seg.with_name("report.json")
    before = report.stat().st_mtime_ns
    assert segment(server, model, out, *select, "--store", "--resume") == 0
    assert report.stat().st_mtime_ns == before
    assert segmentations(server, study) == [stored], "what was stored is not stored again"
    seg.with_name("stored.json").unlink()  # as if it had been killed before it was noted
    assert segment(server, model, out, *select, "--store", "--resume") == 0
    assert segmentations(server, study) == [stored]
    said = capsys.readouterr()
    written = "".join(p.read_text() for p in out.rglob("*") if p.suffix in (".csv", ".json"))
    for word in ("Doe", "Secret", "id-web"):
        assert word not in said.out + said.err + written


def test_fewer_slices_than_the_archive_holds_are_no_scan(tmp_path, server, study, model, monkeypatch):
    from dicomweb_client.api import DICOMwebClient

    whole = DICOMwebClient.retrieve_series
    monkeypatch.setattr(DICOMwebClient, "retrieve_series", lambda *given, **named: whole(*given, **named)[:-1])
    select = ["--select", f"StudyInstanceUID={study} and SliceThickness=5"]
    assert segment(server, model, tmp_path / "out", *select) == 1
    (row,) = rows(tmp_path / "out" / "cases.csv")
    assert row["words"] == (
        "The PACS names 4 instances of the series and gave 3 of them; ask for it again, or export it there."
    )
    assert not list((tmp_path / "out").rglob("report.json"))


def test_the_archive_is_asked_for_the_studies_of_the_dates_only(server, study, tmp_path):
    from ClamSegLib.archive.dicom_index import TAGS
    from ClamSegLib.archive.pseudonym import Pseudonyms
    from ClamSegLib.archive.series_choice import read_selection
    from ClamSegLib.system.progress import Reporter

    names = Pseudonyms(tmp_path / "s.key")
    for text, count in (
        ("StudyDate>=20260501 and StudyDate<20260601", 3),
        ("StudyDate=20260507 and Modality=MR", 3),
        ("StudyDate>20260507", 3),  # asked for with its bound, and decided here
        ("StudyDate<=20200101", 0),
        ("Modality=US", 0),
    ):
        found = Pacs(f"{server}/dicom-web").series(read_selection(text, TAGS), names, Reporter())
        chosen = [s for s in found if str(s.tags["StudyInstanceUID"]) == study and s.tags["Modality"] != "SEG"]
        assert len(chosen) == count, text


def test_what_is_no_dicomweb_archive_and_a_study_that_is_gone_are_one_line(tmp_path, server, model, capsys):
    assert segment(server + "/nowhere", model, tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "refused a request (it holds no such study or series)" in line
    with pytest.raises(PacsError, match="refused a request"):
        Pacs(f"{server}/dicom-web").fetch("1.2.3.4.5", "1.2.3.4.5.6", tmp_path / "x")


def test_a_lone_killed_room_is_taken_away_by_the_next_run(tmp_path, monkeypatch):
    """Slices of a patient that a killed run had fetched do not stay in the temporary folder."""
    from ClamSegLib.archive.private_room import private_room

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as gone:
        pass
    (tmp_path / f"clamseg-archive-{gone.pid}-abc" / "case-1").mkdir(parents=True)
    (tmp_path / f"clamseg-archive-{os.getpid()}-living").mkdir()
    with private_room() as room:
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
            [room.name, f"clamseg-archive-{os.getpid()}-living"]
        )
