"""Opening scans in the page: uploads, the folder list, damaged and foreign files, and what lies outside."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from page_reader import PageReader
from page_scans import brain, write_brain, write_brain_series
from page_server import PageServer

from ClamSegLib.imaging.read_write import write_volume

DICOM_TITLE = "Doe Secret, FLAIR brain"


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people have them: scans among other things, and a link that leads out."""
    folder = tmp_path_factory.mktemp("all") / "scans"
    folder.mkdir()
    write_brain(folder / "brain größe.nii.gz", slice(24, 28))
    write_brain_series(folder / "brain series")
    (folder / "nothing here").mkdir()
    (folder / "notes.txt").write_text("no scan")
    (folder / ".hidden.nii.gz").write_bytes(b"")
    whole = (folder / "brain größe.nii.gz").read_bytes()
    (folder / "damaged.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "renamed.nii").write_text("Dear colleague, the scan follows by post.")
    outside = write_brain(folder.parent / "secret brain.nii.gz", slice(24, 28))
    (folder / "way out.nii.gz").symlink_to(outside)
    return folder


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], scans: Path) -> PageServer:
    return serve("--root", scans, "--empty", "--upload-limit", "0.002")


@pytest.fixture(autouse=True)
def own_files(reader: PageReader) -> None:
    """Own files are unfolded, the chosen folder is listed, and nothing is open."""
    reader.unfold("Own files")
    while reader.value("scans"):
        number = len(reader.value("scans"))
        reader.tab.locator("#scans button").first.click()
        reader.until("n => window.trame.state.get('scans').length < n", number)
    reader.until("() => !window.trame.state.get('opening')")
    if reader.value("folder_has_parent"):
        reader.click("folder-up")
        reader.holds("folder_has_parent", False)


def entry(reader: PageReader, name: str) -> object:
    """A line of the folder list."""
    return reader.tab.locator(".folder-entry").get_by_text(name, exact=True)


def listed(reader: PageReader) -> list[str]:
    return [str(each["name"]) for each in reader.value("folder_entries")]


def test_the_folder_list_shows_what_can_be_opened_and_goes_down_and_up(reader: PageReader) -> None:
    assert listed(reader) == [
        "brain series", "nothing here", "brain größe.nii.gz", "damaged.nii.gz", "renamed.nii", "way out.nii.gz",
    ]  # fmt: skip
    entry(reader, "brain series").click()
    reader.until("() => window.trame.state.get('folder_words') === 'brain series'")
    reader.click("folder-up")
    reader.until("() => window.trame.state.get('folder_words') === 'scans'")
    assert reader.value("folder_has_parent") is False, "no way above the chosen folder"


def chips(reader: PageReader) -> list[str]:
    """Names of the open scans, as they are seen."""
    return [str(words) for words in reader.tab.locator("#scans .v-chip:visible").all_inner_texts()]


def is_titled(reader: PageReader) -> None:
    """Waits until the DICOM series bears its patient and its description, which come after its picture."""
    reader.until("title => window.trame.state.get('scans').some(scan => scan.title === title)", DICOM_TITLE)
    reader.breathe()


def test_closing_a_scan_takes_its_own_chip_away_and_no_other(reader: PageReader) -> None:
    for name, words in (("brain größe.nii.gz", "brain größe"), ("brain series", "brain series")):
        entry(reader, name).click()
        if words == "brain series":
            reader.until("() => window.trame.state.get('folder_words') === 'brain series'")
            reader.click("open-series")
        reader.shows(words)
    is_titled(reader)
    assert chips(reader) == ["brain größe", DICOM_TITLE]
    reader.tab.locator("#scans button").first.click()
    reader.until("() => window.trame.state.get('scans').length === 1")
    reader.still("Red")
    assert chips(reader) == [DICOM_TITLE]


def test_closing_a_notice_leaves_the_others_to_be_read(reader: PageReader) -> None:
    for name in ("damaged", "renamed"):
        entry(reader, f"{name}.nii.gz" if name == "damaged" else f"{name}.nii").click()
        reader.tab.locator("[data-testid=notice]", has_text=name).wait_for()
    newest = reader.tab.locator("[data-testid=notice]").first
    assert "renamed" in newest.inner_text()
    newest.get_by_role("button").click()
    reader.until("() => window.trame.state.get('notices').length === 1")
    reader.breathe()
    assert reader.tab.locator("[data-testid=notice]:visible", has_text="damaged").count() == 1
    reader.is_told("damaged")


def test_several_notices_leave_a_small_window_to_the_sections(reader: PageReader) -> None:
    reader.tab.set_viewport_size({"width": 1000, "height": 700})
    for name in ("damaged.nii.gz", "renamed.nii", "way out.nii.gz"):
        entry(reader, name).click()
        reader.tab.locator(
            "[data-testid=notice]", has_text=name.split(".")[0] if "way" not in name else "outside"
        ).wait_for()
    assert len(reader.notices()) == 3
    assert reader.tab.locator("#told").bounding_box()["height"] <= 0.22 * 700
    for words in ("outside", "renamed", "damaged"):
        reader.is_told(words)


def test_what_comes_into_a_folder_later_is_listed_too(reader: PageReader, scans: Path) -> None:
    assert "later.nii.gz" not in listed(reader)
    later = write_brain(scans / "later.nii.gz", slice(24, 28))
    try:
        reader.click("folder-again")
        reader.until("() => window.trame.state.get('folder_entries').some(each => each.name === 'later.nii.gz')")
    finally:
        later.unlink()
    reader.click("own-files")
    reader.click("own-files")
    reader.until("() => window.trame.state.get('folder_entries').every(each => each.name !== 'later.nii.gz')")


def test_a_file_of_the_folder_list_opens_with_its_name_and_pictures(reader: PageReader) -> None:
    entry(reader, "brain größe.nii.gz").click()
    reader.shows("brain größe")
    assert "MRI" in reader.words("scan-facts")
    assert "4 slices" in reader.words("scan-facts")
    reader.picture_until("Red", lambda picture: (picture.max(axis=2) > 60).mean() > 0.05)


def test_a_folder_opens_as_a_dicom_series(reader: PageReader) -> None:
    entry(reader, "brain series").click()
    reader.until("() => window.trame.state.get('folder_words') === 'brain series'")
    reader.click("open-series")
    reader.shows("brain series")
    assert reader.words("scan-facts") == "MRI, head, FLAIR, 8 slices"


@pytest.mark.parametrize(
    ("name", "words"), [("damaged.nii.gz", "damaged"), ("renamed.nii", "renamed.nii"), ("way out.nii.gz", "outside")]
)
def test_a_file_that_cannot_be_opened_is_told_in_a_sentence_and_the_next_one_opens(
    reader: PageReader, name: str, words: str
) -> None:
    entry(reader, name).click()
    reader.is_told(words)
    assert reader.value("scans") == []
    entry(reader, "brain größe.nii.gz").click()
    reader.shows("brain größe")
    assert reader.notices() == []


def test_a_click_under_way_while_an_opened_section_comes_into_sight_is_not_lost(reader: PageReader) -> None:
    reader.tab.set_viewport_size({"width": 1280, "height": 480})
    reader.click("own-files")
    reader.middle("#own-files")
    # Opened and pressed in one turn of the browser: on a slow machine a mouse would come too late.
    before, pressed = reader.tab.evaluate(
        """async () => {
          const title = document.getElementById('own-files'), top = () => title.getBoundingClientRect().top;
          const before = top();
          title.click();
          document.body.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}));
          await new Promise(done => setTimeout(done, 900));
          return [before, top()];
        }"""
    )
    assert pressed == before, "nothing moves under the pressed button"
    reader.tab.evaluate("() => document.body.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}))")
    reader.until("before => document.getElementById('own-files').getBoundingClientRect().top < before - 1", before)


def test_a_folder_without_a_series_is_told(reader: PageReader) -> None:
    entry(reader, "nothing here").click()
    reader.until("() => window.trame.state.get('folder_words') === 'nothing here'")
    reader.click("open-series")
    reader.is_told("nothing here")
    assert reader.value("scans") == []


def test_a_file_is_uploaded_and_opened(reader: PageReader, scans: Path) -> None:
    reader.tab.locator("#upload-files").set_input_files(scans / "brain größe.nii.gz")
    reader.shows("brain größe")
    assert "4 slices" in reader.words("scan-facts")


def test_a_folder_is_uploaded_and_opened_as_a_series(reader: PageReader, scans: Path) -> None:
    reader.tab.locator("#upload-folder").set_input_files(scans / "brain series")
    reader.until("() => window.trame.state.get('scans').length === 1")
    assert reader.words("scan-facts") == "MRI, head, FLAIR, 8 slices"
    is_titled(reader)
    assert reader.words("scan-name") == DICOM_TITLE


def test_an_upload_that_is_no_scan_is_told(reader: PageReader, scans: Path) -> None:
    reader.tab.locator("#upload-files").set_input_files(scans / "renamed.nii")
    reader.is_told("renamed.nii")
    assert reader.value("scans") == []


def test_an_upload_beyond_the_limit_is_told_and_nothing_of_it_is_kept(
    reader: PageReader, server: PageServer, tmp_path: Path
) -> None:
    large = tmp_path / "large.nii"
    large.write_bytes(os.urandom(3_000_000))
    reader.tab.locator("#upload-files").set_input_files(large)
    reader.is_told("larger than 0.002 GB")
    assert not list(server.temporary.rglob("large*"))
    assert reader.value("scans") == []


@pytest.fixture
def large(scans: Path) -> Iterator[Path]:
    """A folder with a scan whose reading takes its time."""
    folder = scans / "large"
    folder.mkdir()
    array = np.zeros((150, 512, 512), np.int16)
    write_volume(array, dataclasses.replace(brain(), array=array), folder / "slow.nii.gz")
    yield folder
    shutil.rmtree(folder)


def test_a_scan_that_is_chosen_while_another_is_read_stays_before_the_reader(reader: PageReader, large: Path) -> None:
    entry(reader, "brain größe.nii.gz").click()
    reader.shows("brain größe")
    reader.click("sample-xray-chest")
    reader.shows("Chest X-ray")
    entry(reader, "brain series").click()
    reader.until("() => window.trame.state.get('folder_words') === 'brain series'")
    reader.click("folder-up")  # lists anew
    entry(reader, large.name).click()
    entry(reader, "slow.nii.gz").click()
    reader.until("() => window.trame.state.get('opening')")
    reader.tab.locator("#scans .v-chip", has_text="brain größe").click()
    reader.until("() => window.trame.state.get('scans').length === 3")
    assert "brain größe" in reader.words("scan-name")


def test_opening_the_same_file_again_shows_what_is_open(reader: PageReader) -> None:
    entry(reader, "brain größe.nii.gz").click()
    reader.shows("brain größe")
    reader.click("sample-xray-chest")
    reader.shows("Chest X-ray")
    entry(reader, "brain größe.nii.gz").click()
    reader.shows("brain größe")
    assert len(reader.value("scans")) == 2
