"""Every kind of export, downloaded by a click and compared with the scan it belongs to."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from page_reader import PageReader, differs
from page_scans import write_brain_series, write_turned_brain
from page_server import PageServer

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.seg_nrrd import read_segmentation
from ClamSegLib.imaging.volume import Volume


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_brain_series(folder / "brain series")
    for uid in ("1.2.3.78", "1.2.3.79"):
        write_brain_series(folder / "pair", uid, f"{uid} ")
    write_turned_brain(folder / "turned brain.nii.gz")
    return folder


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], scans: Path) -> PageServer:
    return serve(scans / "brain series", scans / "pair", scans / "turned brain.nii.gz")


@pytest.fixture(scope="module")
def turned(browser: object, server: PageServer, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all exports of the oblique scan."""
    return exported(browser, server, "turned brain", tmp_path_factory.mktemp("turned"))


def exported(browser: object, server: PageServer, name: str, folder: Path, *more: str) -> Path:
    """Segments an open scan and downloads its exports; each file is named by its kind."""
    with PageReader(browser, server.address) as reader:
        reader.shows("turned brain")
        reader.choose_scan(name)
        reader.segment(fast=False)
        reader.until("() => window.trame.state.get('lesion_rows').length > 5")
        reader.click("decide-accepted")
        reader.until("() => window.trame.state.get('lesion_rows').some(r => r.state === 'accepted')")
        for kind in ("segmentation", "nifti", "table", "report", *more):
            with reader.tab.expect_download() as download:
                reader.click(f"export-{kind}")
            assert download.value.failure() is None
            assert name.replace(" ", "") in download.value.suggested_filename.replace(" ", "")
            download.value.save_as(folder / f"{kind}{_ending(download.value.suggested_filename)}")
    return folder


def _ending(name: str) -> str:
    return re.search(r"(\.seg\.nrrd|\.nii\.gz|\.\w+)$", name)[0]


def lesions(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_an_oblique_scan_is_seen_in_its_own_slices_like_the_straight_one_with_the_same_voxels(
    reader: PageReader,
) -> None:
    pictures = []
    for name in ("brain series", "turned brain"):
        reader.open_sample("ct-chest", "Chest CT")  # so that the picture is seen to change
        other = reader.still("Red")
        reader.choose_scan(name)
        reader.picture_until("Red", lambda picture: differs(picture, other))  # noqa: B023
        pictures.append(reader.still("Red").mean(axis=2))
    assert "oblique by 17°" in reader.words("scan-facts")
    assert np.corrcoef(*map(np.ravel, pictures))[0, 1] > 0.9


def test_the_segmentation_lies_on_the_grid_of_the_scan_and_holds_what_the_library_finds(
    turned: Path, scans: Path, tmp_path: Path
) -> None:
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.registry import find_model
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.report import write_case
    from ClamSegLib.segmentation.segment_volume import segment_volume

    scan = read_volume(scans / "turned brain.nii.gz")
    result = segment_volume(scan, load_model(find_model("mr-flair-glioma")), SegmentOptions(device="cpu"))
    write_case(result, tmp_path / "case")
    found = lesion_voxels(turned / "segmentation.seg.nrrd", scan)
    assert found.sum() > 500
    np.testing.assert_array_equal(found, lesion_voxels(tmp_path / "case" / "segmentation.seg.nrrd", scan))


def lesion_voxels(path: Path, scan: Volume) -> np.ndarray:
    """Voxels of all lesions, on the grid of the scan; a file on another grid is refused."""
    return np.any([s.mask for s in read_segmentation(path, scan) if s.id.startswith("lesion-")], axis=0)


def test_the_nifti_has_the_frame_of_the_scan_and_the_same_voxels(turned: Path, scans: Path) -> None:
    scan = sitk.ReadImage(str(scans / "turned brain.nii.gz"))
    labels = sitk.ReadImage(str(turned / "nifti.nii.gz"))
    assert labels.GetSize() == scan.GetSize()
    for named in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(labels, named)(), getattr(scan, named)(), atol=1e-4)
    segments = read_segmentation(turned / "segmentation.seg.nrrd", read_volume(scans / "turned brain.nii.gz"))
    expected = np.zeros(scan.GetSize()[::-1], np.uint8)
    for value, segment in enumerate(segments, 1):
        expected[segment.mask] = value
    np.testing.assert_array_equal(sitk.GetArrayFromImage(labels), expected)


def test_the_table_places_each_lesion_where_the_segmentation_has_it(turned: Path, scans: Path) -> None:
    scan = read_volume(scans / "turned brain.nii.gz")
    found = lesion_voxels(turned / "segmentation.seg.nrrd", scan)
    rows = lesions(turned)
    voxel_ml = float(np.prod(scan.spacing_mm)) / 1000
    assert sum(float(row["volume_ml"]) for row in rows) == pytest.approx(found.sum() * voxel_ml, abs=0.02)
    assert [row["decision"] for row in rows].count("accepted") == 1
    places = scan.to_lps(np.argwhere(found))
    for row in rows:
        centre = [float(row[f"centre_{axis}_mm"]) for axis in "lps"]
        nearest_mm = np.linalg.norm(places - centre, axis=1).min()
        assert nearest_mm < 0.5 * float(row["longest_diameter_mm"]) + 1.0


def test_the_report_says_what_was_found_with_what_and_needs_nothing_from_outside(turned: Path) -> None:
    text = (turned / "report.html").read_text(encoding="utf-8")
    assert "not for diagnosis" in text
    assert "mr-flair-glioma" in text
    assert f"{len(lesions(turned))} lesions" in text
    assert not re.search(r"(src|href)\s*=\s*['\"]?(https?:)?//", text)


def test_dicom_seg_and_sr_refer_to_the_series_and_lie_where_the_segmentation_does(
    browser: object, server: PageServer, scans: Path, tmp_path: Path
) -> None:
    import highdicom as hd

    folder = exported(browser, server, "brain series", tmp_path, "dicom", "dicom_sr")
    scan = read_volume(scans / "brain series")
    expected = {
        segment.name: scan.to_lps(np.argwhere(segment.mask))
        for segment in read_segmentation(folder / "segmentation.seg.nrrd", scan)
        if segment.mask.any()
    }
    document = hd.seg.segread(str(folder / "dicom.dcm"))
    assert document.number_of_segments == len(expected)
    for number in document.segment_numbers:
        name = str(document.get_segment_description(number).segment_label)
        found = document.get_volume(segment_numbers=[number])
        places = np.argwhere(np.asarray(found.array)[..., 0] > 0)
        affine = np.asarray(found.affine)
        seen = places @ affine[:3, :3].T + affine[:3, 3]
        assert {tuple(np.round(p, 1)) for p in seen} == {tuple(np.round(p, 1)) for p in expected[name]}
    referenced = {
        item.ReferencedSOPInstanceUID
        for series in document.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    assert len(referenced) == scan.array.shape[0]
    with ZipFile(folder / "dicom_sr.zip") as packed:
        packed.extractall(tmp_path / "sr")
    (report,), (drawn,) = (list((tmp_path / "sr").glob(f"*.{kind}.dcm")) for kind in ("sr", "seg"))
    groups = hd.sr.srread(str(report)).content.get_volumetric_roi_measurement_groups()
    measured = hd.seg.segread(str(drawn))
    assert {group.referenced_segment.referenced_sop_instance_uid for group in groups} == {measured.SOPInstanceUID}
    volumes = [next(m.value for m in group.get_measurements() if m.name.meaning == "Volume") for group in groups]
    assert [f"{ml:.3f}" for ml in volumes] == [row["volume_ml"] for row in lesions(folder)]
    assert measured.number_of_segments == len(groups)


def test_a_dicom_seg_refers_to_the_series_that_was_chosen_where_a_folder_holds_several_of_one_grid(
    reader: PageReader, tmp_path: Path
) -> None:
    reader.choose_scan("pair")
    choices = reader.tab.locator(".series-choice")
    choices.nth(1).wait_for()
    other = "() => window.trame.state.get('series_choices').find(each => !each.chosen)"
    uid = reader.tab.evaluate(other)["uid"]
    reader.reach(".series-choice")
    reader.tab.locator(".series-choice[aria-pressed=false]").click()
    reader.until("uid => window.trame.state.get('series_choices').some(each => each.chosen && each.uid === uid)", uid)
    reader.segment()
    reader.until("() => window.trame.state.get('lesion_rows').length > 0")
    with reader.tab.expect_download() as download:
        reader.click("export-dicom")
    download.value.save_as(tmp_path / "seg.dcm")
    (referenced,) = pydicom.dcmread(tmp_path / "seg.dcm").ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == uid


def test_a_series_that_is_gone_gets_no_dicom_seg_and_the_reader_is_told_why(reader: PageReader, scans: Path) -> None:
    reader.chip("brain series").click()
    reader.shows("brain series")
    if not reader.value("has_result"):
        reader.segment(fast=False)
    away = (scans / "brain series").rename(scans / "away")
    try:
        reader.click("export-dicom")
        reader.is_told("brain series does not exist")
    finally:
        away.rename(scans / "brain series")


def test_a_scan_that_is_no_dicom_gets_no_dicom_seg_and_the_reader_is_told_why(turned: Path, reader: PageReader) -> None:
    reader.chip("turned brain").click()
    reader.shows("turned brain")
    reader.still("Red")
    assert "v-btn--disabled" in str(reader.tab.locator("#export-dicom").get_attribute("class"))
    assert reader.tab.locator("span:has(> #export-dicom)").get_attribute("title") == "for a scan opened from DICOM"
    asked = "fetch('export/dicom?secret=' + window.trame.state.get('page_key')).then(answer => answer.status)"
    assert reader.tab.evaluate(asked) == 409
    reader.is_told("DICOM SEG needs a scan opened from DICOM")
