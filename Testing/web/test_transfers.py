"""Uploads and exports over HTTP: kept whole or not at all, under harmless names, within the limit."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from asyncio_apart import run_apart

from ClamSegWeb import transfers
from ClamSegWeb.opened_scan import told_by_name
from ClamSegWeb.transfers import Transfers
from ClamSegWorkflow.scene import SceneError

KEY = "right-key"
BATCH = "abcdefgh1234"
DICOM = bytes(128) + b"DICM" + bytes(8)
HEADERS = {"X-ClamSeg-Key": KEY}


class FakePage:
    """A page that writes down what it is asked and tells."""

    def __init__(self) -> None:
        self.opened: list[tuple[Path, str]] = []
        self.told: list[str] = []
        self.input = SimpleNamespace(
            open_path=lambda path, name="": self.opened.append((path, name)),
            open_paths=lambda paths: self.opened.extend((path, "") for path in paths),
        )
        self.export = SimpleNamespace(write=self._write)
        self.state = SimpleNamespace(flush=lambda: None)
        self.kept = SimpleNamespace(take_upload=None)
        self.problem = ""
        self.folder: Path | None = None

    async def _write(self, kind: str, folder: Path) -> Path:
        self.folder = folder
        if self.problem:
            raise SceneError(self.problem)
        (folder / f"brain.{kind}").write_text("whole")
        return folder / f"brain.{kind}"

    def failed(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePage:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return FakePage()


def served(page: FakePage, talk: Callable[[Any], Awaitable[None]], limit_bytes: int = 1000) -> None:
    """Talks with a server that has these routes."""

    async def run() -> None:
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(Transfers(page, KEY, limit_bytes).routes())
        async with TestClient(TestServer(app)) as client:
            await talk(client)

    run_apart(run())


async def send(client: Any, name: str, data: bytes, batch: str = BATCH) -> int:
    answer = await client.post(f"/upload/{batch}", params={"name": name}, data=data, headers=HEADERS)
    return int(answer.status)


def kept(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_one_file_is_opened_as_a_file_and_several_as_a_folder(page: FakePage, tmp_path: Path) -> None:
    async def talk(client: Any) -> None:
        assert await send(client, "brain größe.nii.gz", b"one") == 200
        assert (await client.post(f"/upload/{BATCH}/open", headers=HEADERS)).status == 200
        for k in range(3):
            assert await send(client, f"{k}.dcm", b"s", "series000000") == 200
        assert (await client.post("/upload/series000000/open", headers=HEADERS)).status == 200

    served(page, talk)
    (file, _), (folder, name) = page.opened
    assert file.name == "brain größe.nii.gz"
    assert file.read_bytes() == b"one"
    assert (folder.name, name) == ("series000000", "3 files")


def test_a_series_of_a_folder_bears_the_folders_name(page: FakePage) -> None:
    async def talk(client: Any) -> None:
        for k in range(2):
            assert await send(client, f"{k}.dcm", DICOM) == 200
        params = {"folder": "CT\n Thorax größe"}
        assert (await client.post(f"/upload/{BATCH}/open", params=params, headers=HEADERS)).status == 200

    served(page, talk, 2000)
    assert [name for _folder, name in page.opened] == ["CT Thorax größe"]


def test_everything_chosen_together_is_opened_or_named(page: FakePage) -> None:
    async def talk(client: Any) -> None:
        files = {
            "FLAIR.nii.gz": b"v",
            "X-ray.png": b"p",
            "notes.txt": b"t",
            "slice": DICOM,
            "a.mhd": b"h",
            "a.raw": b"r",
        }
        for name, data in {**files, ".DS_Store": b"x"}.items():
            assert await send(client, name, data) == 200
        assert (await client.post(f"/upload/{BATCH}/open", headers=HEADERS)).status == 200

    served(page, talk)
    assert [path.name for path, _name in page.opened] == ["FLAIR.nii.gz", "X-ray.png", "a.mhd"]
    assert len(page.told) == 1
    assert page.told[0].startswith("Not opened: notes.txt, slice. ")


def test_pictures_and_notes_beside_slices_leave_the_series_whole(page: FakePage) -> None:
    async def talk(client: Any) -> None:
        for name, data in {"1": DICOM, "2": DICOM, "preview.png": b"p", "notes.txt": b"t"}.items():
            assert await send(client, name, data) == 200
        assert (await client.post(f"/upload/{BATCH}/open", headers=HEADERS)).status == 200

    served(page, talk)
    assert [(path.name, name) for path, name in page.opened] == [(BATCH, "4 files")]
    assert page.told == []


@pytest.mark.parametrize("name", ["x" * 300 + ".nii.gz", "ä" * 250 + ".dcm", "y" * 600])
def test_a_name_that_is_too_long_for_the_disk_is_shortened_and_keeps_its_ending(
    page: FakePage, tmp_path: Path, name: str
) -> None:
    async def talk(client: Any) -> None:
        assert await send(client, name, b"x") == 200

    served(page, talk)
    (found,) = kept(tmp_path)
    assert 100 < len(found.encode()) <= 200
    assert found.endswith(name.partition(".")[2])


def test_an_upload_is_deleted_with_the_last_scan_of_it(page: FakePage, tmp_path: Path) -> None:
    async def talk(client: Any) -> None:
        for name in ("a.nii", "b.nii"):
            assert await send(client, name, b"x") == 200
        assert await send(client, "c.nii", b"x", "another00000") == 200
        assert (await client.post(f"/upload/{BATCH}/open", headers=HEADERS)).status == 200

    served(page, talk)
    a, b = (path for path, _name in page.opened)
    page.input.forget(a, [b])
    assert set(kept(tmp_path)) == {"a.nii", "b.nii", "c.nii"}
    page.input.forget(b, [])
    assert set(kept(tmp_path)) == {"c.nii"}
    own = tmp_path / "own.nii"
    own.write_bytes(b"mine")
    page.input.forget(own, [])
    assert own.exists(), "files of the reader stay"


def test_files_of_one_name_are_kept_apart(page: FakePage, tmp_path: Path) -> None:
    async def talk(client: Any) -> None:
        assert await send(client, "a/IM1.dcm", b"first") == 200
        assert await send(client, "b/IM1.dcm", b"second") == 200

    served(page, talk)
    assert sorted(kept(tmp_path).values()) == [b"first", b"second"]
    assert all(name.endswith("IM1.dcm") for name in kept(tmp_path))


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("../../evil.nii", "evil.nii"), ("C:\\scans\\a.nii", "a.nii"), ("a\x00b\n.nii", "ab.nii"), ('<a>"|?*.nii', "a.nii"),
        ("/etc/passwd", "passwd"), (" .a.nii. ", "a.nii"),
    ],
)  # fmt: skip
def test_a_name_leads_nowhere_and_holds_nothing_odd(page: FakePage, tmp_path: Path, name: str, becomes: str) -> None:
    async def talk(client: Any) -> None:
        assert await send(client, name, b"x") == 200

    served(page, talk)
    assert set(kept(tmp_path)) == {becomes}


@pytest.mark.parametrize("name", ["", "..", "...", "/", "\x01"])
def test_a_file_without_a_name_is_refused(page: FakePage, tmp_path: Path, name: str) -> None:
    async def talk(client: Any) -> None:
        assert await send(client, name, b"x") == 400

    served(page, talk)
    assert kept(tmp_path) == {}


def test_all_files_of_an_upload_count_towards_the_limit_and_beyond_it_nothing_stays(
    page: FakePage, tmp_path: Path
) -> None:
    async def talk(client: Any) -> None:
        assert await send(client, "a.dcm", b"x" * 600) == 200
        assert await send(client, "b.dcm", b"x" * 600) == 413
        assert await send(client, "c.dcm", b"x" * 600) == 200, "the next upload begins anew"

    served(page, talk)
    assert set(kept(tmp_path)) == {"c.dcm"}
    assert "larger than 1e-06 GB" in page.told[0]
    assert "--upload-limit" in page.told[0]


def test_too_many_files_are_refused(page: FakePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_MOST_FILES", 2)

    async def talk(client: Any) -> None:
        assert [await send(client, f"{k}.dcm", b"x") for k in range(3)] == [200, 200, 413]

    served(page, talk)


def test_an_upload_that_breaks_off_leaves_nothing(page: FakePage, tmp_path: Path) -> None:
    async def talk(client: Any) -> None:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        lines = [f"POST /upload/{BATCH}?name=a.nii HTTP/1.1", "Host: x", f"X-ClamSeg-Key: {KEY}", "Content-Length: 900"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + b"half")
        await writer.drain()
        while not kept(tmp_path):
            await asyncio.sleep(0.01)
        writer.close()
        while kept(tmp_path):
            await asyncio.sleep(0.01)
        assert (await client.post(f"/upload/{BATCH}/open", headers=HEADERS)).status == 400
        del reader

    served(page, talk)
    assert page.opened == []


def test_a_disk_without_room_for_a_folder_is_told_of_uploads_and_exports(
    page: FakePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(client: Any) -> None:
        def full(*given: object, **named: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(given[:1]))

        with monkeypatch.context() as during:
            during.setattr(Path, "mkdir", full)
            during.setattr("tempfile.mkdtemp", full)
            assert await send(client, "a.nii", b"x") == 507
            assert (await client.get("/export/nifti", headers=HEADERS)).status == 409
        assert await send(client, "a.nii", b"x") == 200

    served(page, talk)
    assert "is the disk full?" in page.told[0]
    assert "No space left" in page.told[1]
    assert list(kept(tmp_path).values()) == [b"x"]


def test_without_the_key_nothing_is_taken_opened_or_given(page: FakePage, tmp_path: Path) -> None:
    async def talk(client: Any) -> None:
        for method, path in (
            ("post", f"/upload/{BATCH}?name=a.nii"),
            ("post", f"/upload/{BATCH}/open"),
            ("get", "/export/nifti"),
        ):
            assert (await getattr(client, method)(path)).status == 403
            assert (await getattr(client, method)(path, headers={"X-ClamSeg-Key": "wrong"})).status == 403

    served(page, talk)
    assert kept(tmp_path) == {}
    assert page.opened == []


def test_an_export_comes_whole_with_its_name_and_leaves_nothing_behind(page: FakePage, tmp_path: Path) -> None:
    async def talk(client: Any) -> None:
        answer = await client.get("/export/nifti", headers=HEADERS)
        assert await answer.read() == b"whole"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="brain.nifti"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await client.get("/export/everything", headers=HEADERS)).status == 404

    served(page, talk)
    assert page.folder is not None
    assert not page.folder.exists()
    assert kept(tmp_path) == {}


def test_an_export_that_fails_is_told_in_the_page(page: FakePage) -> None:
    page.problem = "There is no result to export; segment a scan first."

    async def talk(client: Any) -> None:
        answer = await client.get("/export/nifti", headers=HEADERS)
        assert answer.status == 409
        assert await answer.text() == page.problem

    served(page, talk)
    assert page.told == [page.problem]
    assert page.folder is not None
    assert not page.folder.exists()


def test_a_refused_upload_is_told_by_the_names_the_reader_knows(tmp_path: Path) -> None:
    folder, file = tmp_path / "tabxr7ttcj4h", tmp_path / "abcdefgh1234" / "brain.nii"
    folder.mkdir()
    for words in (f"{folder}/small.dcm is a multi-frame image.", "tabxr7ttcj4h/small.dcm is a multi-frame image."):
        assert told_by_name(words, folder, "Thorax") == "Thorax/small.dcm is a multi-frame image."
    assert told_by_name(f"{file} is damaged.", file, "brain") == "brain.nii is damaged."


def test_an_upload_of_an_earlier_page_is_taken_over_whole_and_other_paths_stay(page: FakePage, tmp_path: Path) -> None:
    transfers = Transfers(page, KEY, 1000)
    old = tmp_path / "clamseg-page-old" / "clamseg-uploads-x" / BATCH
    old.mkdir(parents=True)
    (old / "scan.nii").write_text("voxels")
    taken = transfers.take(old / "scan.nii")
    assert taken.read_text() == "voxels"
    assert tmp_path / "clamseg-page-old" not in taken.parents
    assert not old.exists()
    assert transfers.take(taken) == taken
    elsewhere = tmp_path / "own" / "scan.nii"
    assert transfers.take(elsewhere) == elsewhere
