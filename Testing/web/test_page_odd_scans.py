"""Scans that lack something: pictures without millimetres, series without spacing or slices, names that are no text."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from page_reader import ORGAN, PageReader, count
from page_scans import brain, write_brain, write_brain_series
from page_server import PageServer
from PIL import Image
from test_page_runs import choose_model
from tiny_model import tiny_model

from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import to_sitk
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.registry import find_model
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    folder = tmp_path_factory.mktemp("odd")
    tiny_model(folder / "models" / "tiny-ct", "CT")
    pixels = brain().array[4].astype(float)
    Image.fromarray((255 * pixels / pixels.max()).astype(np.uint8)).save(folder / "slice.png")
    series = write_brain_series(folder / "series")
    headers = {path: pydicom.dcmread(path) for path in series.iterdir()}
    for path, header in headers.items():
        if header.InstanceNumber == 4:
            path.unlink()
            continue
        del header.PixelSpacing
        header.save_as(path)
    one = brain(slice(28, 29))
    SimpleITK.WriteImage(to_sitk(one.array, one)[:, :, 0], str(folder / "flat.nrrd"))
    large = dataclasses.replace(brain(), spacing_mm=(20.0, 20.0, 20.0))
    write_volume(large.array, large, folder / "large.nrrd")
    scans = [folder / name for name in ("flat.nrrd", "large.nrrd", "slice.png", "series")]
    return serve(*scans, CLAMSEG_MODELS=str(folder / "models"))


def choose_scan(reader: PageReader, name: str) -> None:
    """Shows one of the scans of the start, when all are open."""
    reader.until("() => window.trame.state.get('scans').some(scan => scan.name === 'series')")
    reader.choose_scan(name)


def segment(reader: PageReader, ends: str) -> None:
    """Segments all the same; a slice or two are ready before the button has become Cancel."""
    reader.click("segment-button")
    reader.until("() => window.trame.state.get('question')")
    reader.click("question-yes")
    reader.says("summary", ends)
    reader.idle()


def test_a_picture_is_measured_in_pixels_whatever_its_model(reader: PageReader) -> None:
    choose_scan(reader, "slice")
    choose_model(reader, "mr-flair-glioma")
    segment(reader, "1 of 1 slices analysed")
    sizes = [row["size"] for row in reader.value("lesion_rows")]
    assert sizes
    assert all(size.endswith(" px") for size in sizes)
    assert "ml" not in reader.words("statistics")


def test_a_single_slice_with_millimetres_is_seen_the_right_way_up_by_its_model(reader: PageReader) -> None:
    choose_scan(reader, "flat")
    choose_model(reader, "mr-flair-glioma")
    segment(reader, "1 of 1 slices analysed")
    found = [row["size"] for row in reader.value("lesion_rows")]
    model = load_model(find_model("mr-flair-glioma"))
    expected = segment_volume(brain(slice(28, 29)), model, SegmentOptions()).lesions
    assert [float(size.split()[0]) for size in found] == pytest.approx([x.volume_ml for x in expected], rel=0.06)


def test_a_mask_of_the_readers_own_takes_the_place_of_a_doubtful_organ(reader: PageReader, tmp_path: Path) -> None:
    choose_scan(reader, "large")
    volume = dataclasses.replace(brain(), spacing_mm=(20.0, 20.0, 20.0))
    mask = (volume.array > 0).astype(np.uint8)
    mask[:, :, : mask.shape[2] // 2] = 0
    write_volume(mask, volume, tmp_path / "half.nii.gz")
    reader.unfold("Own files")
    reader.tab.locator("#upload-files").set_input_files(tmp_path / "half.nii.gz")
    reader.shows("half")
    reader.choose_scan("large")
    choose_model(reader, "mr-flair-glioma")
    assert [step["title"] for step in reader.value("organ_steps")][-1:] == ["mask: half"]
    reader.reach("#organ-step")
    reader.tab.locator(".v-select:has(#organ-step)").click()
    reader.tab.locator(".v-overlay--active .v-list-item", has_text="mask: half").click()
    reader.until("() => window.trame.state.get('organ_step').startsWith('mask')")
    reader.click("segment-button")
    reader.until("() => window.trame.state.get('question') || window.trame.state.get('has_result')")
    assert reader.value("question") is None, "a mask that the reader gave is not doubted"
    reader.says("summary", "8 of 8 slices analysed")
    reader.idle()
    told = reader.value("result_warnings")
    assert not [words for words in told if "doubtful" in words or "organ mask is poor" in words]
    organ = reader.picture_until("Red", lambda picture: count(picture, ORGAN) > 300)
    left, right = organ[:, : organ.shape[1] // 2], organ[:, organ.shape[1] // 2 :]
    assert min(count(left, ORGAN), count(right, ORGAN)) < 0.1 * max(count(left, ORGAN), count(right, ORGAN))
    reader.chip("half").locator("button").click()
    reader.until("() => !window.trame.state.get('scans').some(scan => scan.name === 'half')")
    reader.holds("organ_step", "auto")


def test_a_doubt_that_was_accepted_is_said_once(reader: PageReader) -> None:
    choose_scan(reader, "large")
    choose_model(reader, "mr-flair-glioma")
    segment(reader, "8 of 8 slices analysed")
    told = reader.value("result_warnings")
    assert len([words for words in told if "doubtful" in words]) == 1
    assert len([words for words in told if "another unit" in words]) == 1


def test_a_windowed_picture_of_a_ct_is_taken_for_what_it_is(reader: PageReader) -> None:
    choose_scan(reader, "slice")
    choose_model(reader, "tiny-ct")
    segment(reader, "1 of 1 slices analysed")
    assert reader.notices() == []


def test_what_is_known_of_a_series_only_in_part_stays_in_its_result_and_report(
    reader: PageReader, tmp_path: Path
) -> None:
    choose_scan(reader, "series")
    choose_model(reader, "mr-flair-glioma")
    reader.click("segment-button")
    reader.says("summary", "7 of 8 slices analysed (slice 4 is missing from the series)")
    assert all(row["size"].endswith(" px") for row in reader.value("lesion_rows"))
    told = " ".join(reader.value("result_warnings"))
    assert "is missing" in told
    assert "does not tell its pixel spacing" in told
    with reader.tab.expect_download() as download:
        reader.click("export-report")
    download.value.save_as(tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "is missing" in report
    assert "does not tell its pixel spacing" in report


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps any bytes as a name")
def test_a_name_that_is_no_text_hides_no_other_file(
    browser: object, serve: Callable[..., PageServer], tmp_path: Path
) -> None:
    good = write_brain(tmp_path / "good.nii.gz", slice(24, 28))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/Kr\xfcger.nii.gz")).write_bytes(good.read_bytes())
    with PageReader(browser, serve("--empty", "--root", tmp_path).address) as reader:
        reader.unfold("Own files")
        names = reader.tab.locator(".folder-entry")
        assert sorted(names.all_inner_texts()) == ["Kr?ger.nii.gz", "good.nii.gz"]
        names.get_by_text("Kr?ger.nii.gz").click()
        reader.is_told("Kr?ger.nii.gz has a name with bytes that are no letters; rename it.")
        names.get_by_text("good.nii.gz").click()
        reader.shows("good")


def test_a_list_that_is_cut_says_so(browser: object, serve: Callable[..., PageServer], tmp_path: Path) -> None:
    for number in range(503):
        (tmp_path / f"{number:03d}.png").touch()
    with PageReader(browser, serve("--empty", "--root", tmp_path).address) as reader:
        reader.unfold("Own files")
        reader.says("folder-rest", "3 more are not listed")


def test_scans_chosen_together_are_opened_each_for_itself(
    browser: object, serve: Callable[..., PageServer], tmp_path: Path
) -> None:
    plain = write_brain(tmp_path / "plain.nii.gz", slice(24, 28))
    write_brain(tmp_path / "apart.mhd", slice(24, 29))
    (pixels,) = set(tmp_path.glob("apart.*")) - {tmp_path / "apart.mhd"}
    with PageReader(browser, serve("--empty").address) as reader:
        reader.unfold("Own files")
        reader.tab.locator("#upload-files").set_input_files([plain, tmp_path / "apart.mhd", pixels])
        reader.until("() => window.trame.state.get('scans').length === 2")
        assert sorted(scan["name"] for scan in reader.value("scans")) == ["apart", "plain"]
        assert reader.notices() == []
