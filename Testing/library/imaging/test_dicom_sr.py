"""The lesions of a result as DICOM SR: every figure, beside the segment it was taken from, in the study of the scan."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_stacks import NAME, stack
from tiny_model import tiny_model

from ClamSegLib import RESEARCH_ONLY
from ClamSegLib.cli import main
from ClamSegLib.imaging.dicom_sr import ADDED, EDITED, FoundBy, LesionFinding, write_dicom_sr
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

hd = pytest.importorskip("highdicom")
MASS = "SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^"
FOUND_BY = FoundBy("ct-toy", "9.9", ("threshold: 0.5",))
LESIONS = [
    LesionFinding("lesion-mass-1", "Größe 1", MASS, 0.1234, 12.5, 3.25),
    LesionFinding("lesion-mass-3", "mass 3 (edited)", MASS, 1.5, 22.5, 13.25, EDITED),
    LesionFinding("lesion-mass-4", "mass 4 (added)", "", None, None, None, ADDED),
]


def labels(shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.zeros(shape, np.int32)
    numbers[2, 3:5, 3:5], numbers[3:5, 8:12, 7:9], numbers[0, 1, 1] = 1, 2, 3
    return numbers


def written(folder: Path, missing: int | None = None, **values: object) -> tuple[Volume, Path, Path]:
    """A series, the SR of its lesions and the SEG that it measures."""
    stack(folder / "series", **values)
    for path in list((folder / "series").iterdir()):
        if pydicom.dcmread(path).InstanceNumber == missing:
            path.unlink()
    volume = read_volume(folder / "series")
    write_dicom_sr(folder / "x.sr.dcm", folder / "x.seg.dcm", labels(volume.array.shape), LESIONS, volume, FOUND_BY)
    return volume, folder / "x.sr.dcm", folder / "x.seg.dcm"


def groups_of(path: Path) -> list:
    return hd.sr.srread(str(path)).content.get_volumetric_roi_measurement_groups()


def test_every_figure_is_read_back_and_nothing_that_is_not_known_stands_there(tmp_path):
    _volume, report, _segmentation = written(tmp_path)
    groups = groups_of(report)
    assert [group.tracking_identifier for group in groups] == [lesion.id for lesion in LESIONS]
    figures = [{m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()} for group in groups]
    assert figures[0] == {"Volume": (0.1234, "ml"), "Long axis": (12.5, "mm"), "Short axis": (3.25, "mm")}
    assert figures[1] == {"Volume": (1.5, "ml"), "Long axis": (22.5, "mm"), "Short axis": (13.25, "mm")}
    assert figures[2] == {}
    assert [group.finding_type.value for group in groups] == ["4147007", "4147007", "85756007"]
    evaluations = [evaluation for group in groups for evaluation in group.get_qualitative_evaluations()]
    decisions = [e.value.value for e in evaluations if e.name.meaning == "Decision of a reader"]
    assert decisions == ["automatic", "edited", "added"]


def test_the_report_names_the_model_where_it_found_the_lesion_and_says_what_it_is_not_for(tmp_path):
    _volume, report, _segmentation = written(tmp_path)
    told = [
        [item.TextValue for item in group[0].ContentSequence if item.ValueType == "TEXT"] for group in groups_of(report)
    ]
    for words in told[:2]:
        assert words[1:] == ["ClamSeg ct-toy", "9.9", "threshold: 0.5", RESEARCH_ONLY]
    assert told[2] == ["lesion-mass-4"]
    assert RESEARCH_ONLY in pydicom.dcmread(report).SeriesDescription


@pytest.mark.parametrize("missing", [None, 1])
def test_each_lesion_points_at_its_own_segment_and_at_the_slices_that_show_it(tmp_path, missing):
    volume, report, segmentation = written(tmp_path, missing)
    document = hd.seg.segread(str(segmentation))
    uid_of = dict(
        zip(
            [k for k in range(6) if k not in volume.missing_slices],
            [pydicom.dcmread(file).SOPInstanceUID for file in volume.slice_files],
            strict=True,
        )
    )
    for number, (lesion, group) in enumerate(zip(LESIONS, groups_of(report), strict=True), 1):
        described = document.get_segment_description(number)
        assert (described.tracking_id, described.tracking_uid) == (lesion.id, group.tracking_uid)
        assert described.segment_label == lesion.name
        region = group.referenced_segment
        assert region.referenced_sop_instance_uid == document.SOPInstanceUID
        assert region.referenced_segment_numbers == [number]
        shown = np.unique(np.nonzero(labels(volume.array.shape) == number)[0])
        seen = [image.referenced_sop_instance_uid for image in region.source_images_for_segmentation]
        assert seen == [uid_of[k] for k in shown]
        found = document.get_volume(segment_numbers=[number])
        affine = np.asarray(found.affine)
        places = np.argwhere(np.asarray(found.array)[..., 0] > 0) @ affine[:3, :3].T + affine[:3, 3]
        expected = volume.to_lps(np.argwhere(labels(volume.array.shape) == number))
        assert {tuple(np.round(p, 2)) for p in places} == {tuple(np.round(p, 2)) for p in expected}


def test_report_and_segmentation_belong_to_the_study_and_name_every_slice_as_evidence(tmp_path):
    volume, report, segmentation = written(tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen")
    slices = [pydicom.dcmread(file) for file in volume.slice_files]
    own, drawn = pydicom.dcmread(report), pydicom.dcmread(segmentation)
    for document in (own, drawn):
        for name in ("StudyInstanceUID", "PatientID", "PatientName"):
            assert document[name].value == slices[0][name].value
        assert document.SpecificCharacterSet == "ISO_IR 192"
    cited = {
        item.ReferencedSOPInstanceUID
        for study in [*own.CurrentRequestedProcedureEvidenceSequence, *own.get("PertinentOtherEvidenceSequence", [])]
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert cited == {drawn.SOPInstanceUID, *(ds.SOPInstanceUID for ds in slices)}


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="needs dcmtk")
def test_dcmtk_reads_the_report_without_a_complaint(tmp_path):
    _volume, report, _segmentation = written(tmp_path)
    run = subprocess.run(["dsrdump", "+Pc", str(report)], capture_output=True, text=True, encoding="utf-8", check=True)
    complaints = [line for line in run.stderr.splitlines() if "ISO_IR 192" not in line]
    assert complaints == []
    assert '(118565006,SCT,"Volume")="0.1234" (ml,UCUM,"ml")' in run.stdout
    assert '(103339001,SCT,"Long axis")="22.5" (mm,UCUM,"mm")' in run.stdout
    assert run.stdout.count('(121191,DCM,"Referenced Segment")') == 3


def test_no_name_of_a_patient_is_printed_or_stands_in_an_error(tmp_path, recwarn, capfd):
    volume, _report, _segmentation = written(tmp_path, PatientName="Mustermann")
    for path in volume.slice_files:
        ds = pydicom.dcmread(path)
        ds.PatientBirthDate = "Mustermann was born"
        ds.save_as(path)
    recwarn.clear()
    with pytest.raises(InputError) as raised:
        write_dicom_sr(tmp_path / "y", tmp_path / "z", labels(volume.array.shape), LESIONS, volume, FOUND_BY)
    assert "Mustermann" not in str(raised.value) + "".join(str(w.message) for w in recwarn) + "".join(
        capfd.readouterr()
    )


def test_what_cannot_be_reported_is_refused_in_a_sentence(tmp_path):
    stack(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    numbers = labels(volume.array.shape)
    files = (tmp_path / "x.sr.dcm", tmp_path / "x.seg.dcm")
    with pytest.raises(InputError, match="no lesion stands"):
        write_dicom_sr(*files, numbers, [], volume, FOUND_BY)
    with pytest.raises(InputError, match="allowed are automatic, accepted, edited, added"):
        write_dicom_sr(*files, numbers, [replace(LESIONS[0], decision="rejected")], volume, FOUND_BY)
    with pytest.raises(InputError, match="Lesion mass 4 \\(added\\) has no voxel"):
        write_dicom_sr(*files, np.where(numbers == 3, 0, numbers), LESIONS, volume, FOUND_BY)
    with pytest.raises(InputError, match="only for a DICOM series"):
        write_dicom_sr(*files, numbers, LESIONS, Volume(volume.array), FOUND_BY)
    assert not any(file.exists() for file in files)


def segment(folder: Path, scan: Path, model: Path, *more: str) -> int:
    words = [
        "segment",
        str(scan),
        "--model",
        str(model),
        "--output",
        str(folder),
        "--engine",
        "reference",
        "--dicom-sr",
    ]
    return main([*words, "--device", "cpu", "--threshold", "0.001", "--progress", "none", *more])


def test_the_command_line_writes_the_report_beside_the_table_with_the_same_figures(tmp_path):
    stack(tmp_path / "scan")
    model = tiny_model(tmp_path / "tiny", "CT")
    assert segment(tmp_path / "out", tmp_path / "scan", model) == 0
    case = tmp_path / "out" / "scan"
    heads, *rows = [line.split(",") for line in (case / "lesions.csv").read_text().splitlines()]
    assert rows
    for row, group in zip(rows, groups_of(case / "lesions.sr.dcm"), strict=True):
        told = dict(zip(heads, row, strict=True))
        found = {m.name.meaning: m.value for m in group.get_measurements()}
        assert f"{found['Volume']:.3f}" == told["volume_ml"]
        assert f"{found['Long axis']:.1f}" == told["longest_diameter_mm"]
        assert f"{found['Short axis']:.1f}" == told["perpendicular_diameter_mm"]
    assert hd.seg.segread(str(case / "lesions.seg.dcm")).number_of_segments == len(rows)
    assert segment(tmp_path / "out", tmp_path / "scan", model) == 2
    assert segment(tmp_path / "out", tmp_path / "scan", model, "--overwrite") == 0


def test_the_command_line_refuses_what_it_cannot_report_before_it_writes(tmp_path, capsys, monkeypatch):
    stack(tmp_path / "scan")
    model = tiny_model(tmp_path / "tiny", "CT")
    from ClamSegLib.imaging.read_write import write_volume

    volume = read_volume(tmp_path / "scan")
    write_volume(volume.array, volume, tmp_path / "scan.nrrd")
    assert segment(tmp_path / "out", tmp_path / "scan.nrrd", model) == 2
    assert "--dicom-sr needs a DICOM series" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "highdicom", None)
    assert segment(tmp_path / "out", tmp_path / "scan", model) == 2
    told = capsys.readouterr().err
    assert "DICOM SR needs highdicom; install it with pip install 'clamseg[dicom]'." in told
    assert NAME not in told
    assert not (tmp_path / "out" / "scan").exists()
