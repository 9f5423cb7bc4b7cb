"""Files that come and go by HTTP: uploads into a folder of this session, exports on the click of a link.

Both need the key. Nothing is taken beyond the limits, and a broken upload leaves nothing to open.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ClamSegLib.imaging.dicom_signature import is_dicom_file
from ClamSegLib.imaging.read_write import PICTURE_ENDINGS, VOLUME_ENDINGS, ending_of, readable_name
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError
from ClamSegWeb.access import holds_key
from ClamSegWorkflow.case.review_files import KINDS
from ClamSegWorkflow.scene import SceneError

_PREFIX = "clamseg-uploads-"
_CHUNK_BYTES = 1 << 20
_MOST_FILES = 5000
# Bytes of a name; file systems take 255, and a number may be put before it.
_LONGEST_NAME = 200
_MOST_TOLD = 5
# Voxels beside a header file.
_VOXELS = (".raw", ".zraw", ".img", ".gz", ".dat")
_LEFT_BY_SYSTEMS = ("DS_Store", ".DS_Store", "Thumbs.db", "desktop.ini", "DICOMDIR")
_BATCH = re.compile(r"[0-9a-z]{8,32}\Z")


class Transfers:
    """The routes of uploads and exports.

    Args:
        page: the Page.
        key: the key of this start.
        limit_bytes: of one upload, all its files together.
    """

    def __init__(self, page: Any, key: str, limit_bytes: int) -> None:
        self._page, self._key, self._limit_bytes = page, key, limit_bytes
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._received: dict[str, tuple[int, int]] = {}
        page.input.forget = self.forget
        page.kept.take_upload = self.take

    def routes(self) -> list[Any]:
        """For the web server."""
        return [
            web.post("/upload/{batch}", self._receive),
            web.post("/upload/{batch}/open", self._open),
            web.get("/export/{kind}", self._export),
        ]

    def forget(self, source: Path, still_used: list[Path]) -> None:
        """Deletes the upload that a scan came from, where no scan of it is used any more."""
        if self._folder not in source.parents:
            return
        batch = self._folder / source.relative_to(self._folder).parts[0]
        if not any(batch == used or batch in used.parents for used in still_used):
            shutil.rmtree(batch, ignore_errors=True)
            self._received.pop(batch.name, None)

    def take(self, source: Path) -> Path:
        """An upload that an earlier page received becomes one of this page; any other path is returned as it is.

        All files of one upload come along, and the path of one that did is found.
        """
        for parent in source.parents:
            if parent.parent.name.startswith(_PREFIX) and _BATCH.match(parent.name):
                taken = self._folder / source.relative_to(parent.parent)
                if source.exists() and not taken.exists():
                    shutil.move(parent, self._folder / parent.name)
                return taken if taken.exists() else source
        return source

    def _admit(self, request: web.Request) -> None:
        if not holds_key(request, self._key):
            raise web.HTTPForbidden(text="The key is wrong; open the address that ClamSeg printed.")

    def _batch(self, request: web.Request) -> Path:
        batch = request.match_info["batch"]
        if not _BATCH.match(batch):
            raise web.HTTPBadRequest(text="The upload has no proper name.")
        return self._folder / batch

    async def _receive(self, request: web.Request) -> web.Response:
        """One file of an upload."""
        self._admit(request)
        folder = self._batch(request)
        name = Path(request.query.get("name", "").replace("\\", "/")).name
        name = "".join(c for c in name if c.isprintable() and c not in '<>:"|?*').strip(" .")
        if not name:
            raise web.HTTPBadRequest(text="The file has no name.")
        name = _short(name)
        count, size = self._received.get(folder.name, (0, 0))
        if count >= _MOST_FILES:
            self._tell(
                f"More than {_MOST_FILES} files were chosen at once; choose one series, or start again with --root FOLDER."
            )
            raise web.HTTPRequestEntityTooLarge(self._limit_bytes, size, text="Too many files in one upload.")
        try:
            folder.mkdir(exist_ok=True)
            # The number keeps files apart that carry the same name in different folders; the ending stays last.
            target = folder / name if not (folder / name).exists() else folder / f"{count:05d}-{name}"
            with target.open("wb") as file:
                async for data in request.content.iter_chunked(_CHUNK_BYTES):
                    size += len(data)
                    if size > self._limit_bytes:
                        raise web.HTTPRequestEntityTooLarge(self._limit_bytes, size)
                    file.write(data)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._received.pop(folder.name, None)
            if isinstance(error, web.HTTPRequestEntityTooLarge):
                limit_gb = self._limit_bytes / 1e9
                self._tell(
                    f"The upload is larger than {limit_gb:g} GB; start again with --upload-limit, or with the file's path."
                )
            elif isinstance(error, OSError):
                self._tell(f"The upload could not be kept ({error.strerror}); is the disk full?")
                raise web.HTTPInsufficientStorage(text="The disk is full.") from error
            raise
        self._received[folder.name] = (count + 1, size)
        return web.Response(text="ok")

    async def _open(self, request: web.Request) -> web.Response:
        """All files of an upload are there."""
        self._admit(request)
        folder = self._batch(request)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        if not files:
            raise web.HTTPBadRequest(text="Nothing was uploaded.")
        chosen = "".join(c for c in request.query.get("folder", "") if c.isprintable())[:_LONGEST_NAME]
        upload = Upload.of(files)
        if upload.is_series:
            name = chosen or (f"{len(files)} files" if len(files) > 1 else files[0].stem)
            self._page.input.open_path(folder, name)
        else:
            self._page.input.open_paths(upload.scans)
        if upload.others:
            names = ", ".join(readable_name(file.name) for file in upload.others[:_MOST_TOLD])
            more = len(upload.others) - _MOST_TOLD
            rest = f" and {more} more" if more > 0 else ""
            words = "ClamSeg reads no such files; a DICOM series is opened by itself, without other scans."
            self._page.failed(f"Not opened: {names}{rest}. {words}")
        self._page.state.flush()
        return web.Response(text="ok")

    async def _export(self, request: web.Request) -> web.StreamResponse:
        """One kind of export of the result under review."""
        self._admit(request)
        kind = request.match_info["kind"]
        if kind not in KINDS:
            raise web.HTTPNotFound(text="No such export.")
        folder: Path | None = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="clamseg-export-"))
            path = await self._page.export.write(kind, folder)
            data = path.read_bytes()
        except (SceneError, ClamSegError, OSError) as error:
            words = words_of_the_machine(error) or str(error)
            self._tell(words)
            raise web.HTTPConflict(text=words) from error
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        return web.Response(
            body=data,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{path.name}"', "Cache-Control": "no-store"},
        )

    def _tell(self, text: str) -> None:
        self._page.failed(text)
        self._page.state.flush()


@dataclass(frozen=True)
class Upload:
    """What was chosen together.

    Attributes:
        is_series: the files are slices of one DICOM series, perhaps with pictures and notes beside them.
        scans: files that are scans of their own.
        others: files that are not opened.
    """

    is_series: bool
    scans: list[Path]
    others: list[Path]

    @classmethod
    def of(cls, files: list[Path]) -> Upload:
        """Tells the files apart by their endings, and slices by what they hold."""
        scans = [file for file in files if ending_of(file) in VOLUME_ENDINGS]
        if len(files) == 1:
            return cls(False, files, [])
        if not scans and any(is_dicom_file(file) for file in files):
            return cls(True, [], [])
        scans = [file for file in files if ending_of(file) in VOLUME_ENDINGS + PICTURE_ENDINGS]
        others = [f for f in files if f not in scans and f.name not in _LEFT_BY_SYSTEMS and ending_of(f) not in _VOXELS]
        return cls(not scans, scans, others if scans else [])


def _short(name: str) -> str:
    """A name that every file system takes, with its ending."""
    ending = ending_of(Path(name))
    ending = ending if len(ending.encode()) < _LONGEST_NAME // 4 else ""
    stem = name[: len(name) - len(ending)] if ending else name
    while len(stem.encode()) + len(ending.encode()) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + (name[-len(ending) :] if ending else "")
