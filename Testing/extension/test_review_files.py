"""What a reader takes out of a review: files in the scan's own frame, corrections for the next training."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from run_bench import SHAPE, Bench, mr
from volumes_in_scene import GEOMETRIES, add_volume, linear_transform

from ClamSegLib.datasets.corrections import save_corrections
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.seg_nrrd import read_segmentation
from ClamSegLib.system.errors import OutputError
from ClamSegWorkflow.case.corrections import reviewed_case, scan_of
from ClamSegWorkflow.case.dicom_sources import gather_series
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.report_picture import key_pictures
from ClamSegWorkflow.case.review_files import prepare_review, write_review
from ClamSegWorkflow.case.review_text import size_words, slices_words, statistics_words
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment, segment_mask
from ClamSegWorkflow.scene.volumes import write_in_steps


def reviewed(bench: Bench, frame: str = "oblique") -> Any:
    volume = mr(bench.scene, frame)
    bench.start(volume)
    return bench.finish()


@pytest.mark.parametrize("frame", GEOMETRIES)
def test_an_exported_segmentation_lies_on_the_scan_it_was_made_of(bench: Bench, tmp_path: Path, frame: str) -> None:
    result = reviewed(bench, frame)
    result.volume.SetAndObserveTransformNodeID(linear_transform(bench.scene).GetID())
    result.segmentation.SetAndObserveTransformNodeID(result.volume.GetTransformNodeID())
    result.decide(1, Decision.ACCEPTED)
    path = write_review(result, "segmentation", tmp_path / "Bericht für Ärzte")
    assert path.name == "Bericht für Ärzte.seg.nrrd"
    scan = tmp_path / "scan.nrrd"
    for _ in write_in_steps(scan_of(result).array, result.record.matrix, scan):
        pass
    found = {segment.id: segment for segment in read_segmentation(path, read_volume(scan))}
    assert set(found) == {"organ", "lesion-glioma", "lesion-glioma-1"}
    for segment_id, segment in found.items():
        assert np.array_equal(segment.mask, segment_mask(result.segmentation, segment_id, SHAPE))
    assert found["lesion-glioma-1"].name == "glioma 1 (accepted)"


def test_a_nifti_holds_the_labels_in_the_scans_frame(bench: Bench, tmp_path: Path) -> None:
    result = reviewed(bench)
    path = write_review(result, "nifti", tmp_path / "labels.nii.gz")
    volume = read_volume(path)
    assert set(np.unique(volume.array)) == {1, 2}
    lesion = segment_mask(result.segmentation, "lesion-glioma", SHAPE)
    assert np.array_equal(volume.array == 2, lesion)
    index = np.argwhere(lesion)[0]
    ras = result.record.matrix @ [*index[::-1], 1.0]
    assert np.allclose(volume.to_lps(index), ras[:3] * (-1, -1, 1), atol=1e-4)


def test_the_table_tells_every_lesion_and_what_was_decided(bench: Bench, tmp_path: Path) -> None:
    result = reviewed(bench, "plain")
    result.decide(1, Decision.ACCEPTED)
    result.decide(2, Decision.REJECTED)
    path = write_review(result, "table", tmp_path / "lesions")
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert [(row["id"], row["decision"], row["condition"]) for row in rows] == [
        ("1", "accepted", "glioma"),
        ("2", "rejected", "glioma"),
    ]
    for row, line in zip(rows, result.lesions.rows(), strict=True):
        counted = [int(row[f"{end}_slice"]) for end in ("first", "last")]
        assert slices_words(line) in ("{}\u2013{}".format(*counted), str(counted[0])), "as the panel counts"
        assert [int(row[f"{end}_index"]) for end in ("first", "last")] == [line.first_slice, line.last_slice]
    # the plain frame has voxels of 1 x 1 x 2 mm
    assert float(rows[0]["volume_ml"]) == pytest.approx(2 * 4 * 5 * 2 / 1000, abs=5e-4)
    ras = to_world(result.volume, result.lesions.row(1).centre_ijk)
    assert [float(rows[0][f"centre_{axis}_mm"]) for axis in "lps"] == pytest.approx(
        [-ras[0], -ras[1], ras[2]], abs=0.01
    )


def test_the_report_says_what_it_is_and_escapes_what_users_typed(bench: Bench, tmp_path: Path) -> None:
    volume = add_volume(bench.scene, np.zeros(SHAPE, np.int16), GEOMETRIES["plain"], "a <b> & c")
    bench.start(volume)
    result = bench.finish()
    result.mark(4, "unsure")
    text = write_review(result, "report", tmp_path / "report").read_text(encoding="utf-8")
    assert "For research, not for diagnosis." in text
    assert "a &lt;b&gt; &amp; c" in text
    assert "aligned, 0.000 mm" in text
    assert "5 unsure" in text
    assert result.provenance["weights_sha256"] in text


def test_the_report_names_engine_and_precision_because_another_one_finds_slightly_other_lesions(
    bench: Bench, tmp_path: Path
) -> None:
    text = write_review(reviewed(bench), "report", tmp_path / "report").read_text(encoding="utf-8")
    assert "<tr><th>engine</th><td>openvino, bfloat16, 2 threads</td></tr>" in text


def test_an_exported_segmentation_says_of_each_segment_whether_program_or_reader_drew_it(
    bench: Bench, tmp_path: Path
) -> None:
    result = reviewed(bench)
    result.decide(2, Decision.ACCEPTED)
    for segment_id in (result.begin_edit(1), result.begin_lesion("glioma"), "someone"):
        mask = np.zeros(SHAPE, bool)
        mask[0 if segment_id.endswith("1") else 1, :2, :2] = True
        look = SegmentLook(segment_id, segment_id, (1, 2, 3))
        put_segment(result.segmentation, result.volume, look, mask)
        result.end_edit()
    path = write_review(result, "segmentation", tmp_path / "drawn")
    assert {s.id: s.algorithm_type for s in read_segmentation(path, scan_of(result))} == {
        "organ": "AUTOMATIC",
        "lesion-glioma": "AUTOMATIC",
        "lesion-glioma-1": "SEMIAUTOMATIC",
        "lesion-glioma-2": "AUTOMATIC",
        "lesion-glioma-3": "MANUAL",
        "someone": "MANUAL",
    }


def test_nothing_is_exported_once_the_scan_is_gone_or_moved_away(bench: Bench, tmp_path: Path) -> None:
    result = reviewed(bench)
    result.segmentation.SetAndObserveTransformNodeID(linear_transform(bench.scene).GetID())
    with pytest.raises(SceneError, match="NOT aligned"):
        write_review(result, "segmentation", tmp_path / "x")
    result.segmentation.SetAndObserveTransformNodeID(None)
    bench.scene.RemoveNode(result.volume)
    with pytest.raises(SceneError, match="removed or changed"):
        write_review(result, "segmentation", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_keeps_the_file_that_is_there(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = reviewed(bench)
    path = write_review(result, "table", tmp_path / "lesions")
    before = path.read_bytes()

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ClamSegWorkflow.case.review_files.table_rows", full)
    with pytest.raises(OutputError, match="No space left"):
        write_review(result, "table", path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_decisions_become_corrections_that_a_training_reads(bench: Bench, tmp_path: Path) -> None:
    result = reviewed(bench)
    result.decide(1, Decision.ACCEPTED)
    result.decide(2, Decision.REJECTED)
    saved = save_corrections(tmp_path / "corrections", reviewed_case(result))
    folder = read_labelled_folder(saved.folder)
    diseased = [row for row in folder.rows if row.label]
    assert folder.conditions == ("glioma",)
    assert {row.slice_index for row in diseased} == {6, 7}
    assert {row.slice_index for row in folder.rows if not row.label} == {2, 3}
    assert all(row.correction for row in folder.rows)
    mask = read_volume(diseased[0].lesion_mask_path)
    assert np.array_equal(mask.array > 0, segment_mask(result.segmentation, "lesion-glioma-1", SHAPE))
    image = read_volume(diseased[0].image_path)
    assert np.allclose([*image.origin], [*mask.origin])
    assert np.array_equal(image.array, scan_of(result).array)


def test_an_x_rays_corrections_keep_its_rows_on_top(bench: Bench, tmp_path: Path) -> None:
    grey = np.zeros((1, 30, 26), np.uint8)
    grey[0, 2:9, 3:9] = 230
    bench.worker.probability_of = lambda volume: (volume.array > 100).astype(np.uint8) * 220
    bench.start(add_volume(bench.scene, grey, GEOMETRIES["plain"], "thorax"), config={"modality": "XR"})
    result = bench.finish()
    result.decide(1, Decision.ACCEPTED)
    save_corrections(tmp_path, reviewed_case(result))
    (row,) = _rows(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / row["image_path"]))), grey[0])
    assert np.array_equal(
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / row["lesion_mask_path"]))) > 0, grey[0] > 100
    )


def _rows(root: Path) -> list[dict[str, str]]:
    with (root / "labels.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_dicom_files_are_gathered_for_the_worker_or_refused_in_words(bench: Bench, tmp_path: Path) -> None:
    volume = mr(bench.scene)
    with pytest.raises(SceneError, match="loaded from DICOM"):
        gather_series(bench.scene, volume, lambda _uid: "", tmp_path / "a")
    files = {f"1.2.{n}": tmp_path / f"patient name {n}.dcm" for n in range(3)}
    for uid, file in files.items():
        file.write_bytes(uid.encode())
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    with pytest.raises(SceneError, match="1 of 3 DICOM files"):
        gather_series(bench.scene, volume, lambda uid: str(files[uid]) if uid != "1.2.1" else "", tmp_path / "b")
    folder = gather_series(bench.scene, volume, lambda uid: str(files[uid]), tmp_path / "c")
    assert [file.name for file in sorted(folder.iterdir())] == ["00000.dcm", "00001.dcm", "00002.dcm"]
    assert (folder / "00002.dcm").read_bytes() == b"1.2.2"
    volume.SetAndObserveTransformNodeID(linear_transform(bench.scene).GetID())
    with pytest.raises(SceneError, match="under a transform"):
        gather_series(bench.scene, volume, lambda uid: str(files[uid]), tmp_path / "d")


def test_words_of_the_table_count_slices_from_one_and_say_pixels_without_spacing(bench: Bench) -> None:
    result = reviewed(bench, "plain")
    rows = result.lesions.rows()
    assert slices_words(rows[0]) == "7–8"
    assert size_words(rows[0]) == "0.08 ml, 6 mm"
    assert statistics_words(rows) == "0.13 ml in all; 2 undecided"
    result.decide(1, Decision.ACCEPTED)
    result.decide(2, Decision.REJECTED)
    assert statistics_words(result.lesions.rows()) == "0.08 ml in all; 1 accepted, 1 rejected"
    assert statistics_words([]) == ""


def test_a_legend_lies_beside_the_nifti_and_names_every_value(bench: Bench, tmp_path: Path) -> None:
    result = reviewed(bench)
    result.decide(1, Decision.ACCEPTED)
    path = write_review(result, "nifti", tmp_path / "brain.nii.gz")
    legend = tmp_path / "brain_labels.csv"
    lines = list(csv.DictReader(legend.open(encoding="utf-8")))
    assert [(line["LabelValue"], line["Name"]) for line in lines] == [
        ("1", "brain"),
        ("2", "glioma"),
        ("3", "glioma 1 (accepted)"),
    ]
    assert [lines[1][f"Color_{each}"] for each in "RGB"] == ["213", "94", "0"]
    assert set(np.unique(read_volume(path).array)) - {0} <= {int(line["LabelValue"]) for line in lines}


def test_the_report_shows_what_stands_at_the_place_of_the_lesion(bench: Bench, tmp_path: Path) -> None:
    import base64
    import io
    import re

    from PIL import Image

    result = reviewed(bench, "plain")
    result.decide(1, Decision.ACCEPTED)
    result.decide(2, Decision.REJECTED)
    text = write_review(result, "report", tmp_path / "report").read_text(encoding="utf-8")
    (found,) = re.findall(r"alt='([^']*)' src='data:image/png;base64,([^']*)'", text)
    row = result.lesions.row(1)
    assert row.diameter_slice is not None
    assert found[0] == f"Slice {row.diameter_slice + 1} of 9, lesion 1 (R | L)"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")).astype(int)
    orange = np.argwhere((picture[..., 0] == 213) & (picture[..., 1] == 94))
    assert len(orange) > 20
    rows, columns = SHAPE[1:]
    middle = orange.mean(axis=0) / picture.shape[:2] * (rows, columns)
    i, j, _k = row.centre_ijk
    assert middle == pytest.approx((j + 0.5, i + 0.5), abs=0.6), "the plain frame is drawn as it is stored"
    assert "Searched: brain," in text
    lengths = (
        f"{row.longest_diameter_mm:.1f} \u00d7 {row.perpendicular_diameter_mm:.1f} mm, slice {row.diameter_slice + 1}"
    )
    assert lengths in text


def test_the_diameters_of_a_lesion_are_drawn_in_the_reports_picture_at_their_length(bench: Bench) -> None:
    import io

    from PIL import Image

    result = reviewed(bench, "plain")
    result.decide(2, Decision.REJECTED)
    row = result.lesions.row(1)
    result.volume.GetDisplayNode().SetWindowLevel(1e6, 0)  # all of the scan is grey: only the lines are white
    (picture,) = key_pictures(result)
    array = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))
    white = np.argwhere((array == 255).all(axis=2))
    scale = array.shape[0] / SHAPE[1] / result.record.spacing_mm[1]  # pixels of the picture a mm
    apart = np.linalg.norm(white[:, None] - white, axis=2).max() / scale
    assert apart == pytest.approx(row.longest_diameter_mm, abs=2 / scale)
    i, j, _k = row.centre_ijk
    middle = (white.max(axis=0) + white.min(axis=0)) / 2 / array.shape[:2] * SHAPE[1:]
    assert middle == pytest.approx((j + 0.5, i + 0.5), abs=0.8)


@pytest.mark.parametrize("kind", ["segmentation", "nifti", "report"])
def test_what_was_taken_out_of_the_scene_is_written_as_it_was_whatever_happens_there(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    result = reviewed(bench)
    at_once = write_review(result, kind, tmp_path / "at once").read_bytes()
    write = prepare_review(result, kind)
    result.remove()
    later = threading.Thread(target=write, args=(tmp_path / "later",))
    later.start()
    later.join()
    assert write(tmp_path / "again").read_bytes() == at_once
