"""Files that come and go by HTTP: uploads into a folder of this session, exports on the click of a link.

Both need the key. Nothing is taken beyond the limits, and a broken upload leaves nothing to open.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web

from ClamSegLib.imaging.read_write import PICTURE_ENDINGS, VOLUME_ENDINGS, ending_of
from ClamSegLib.system.errors import ClamSegError
from ClamSegWeb.access import holds_key
from ClamSegWorkflow.case.review_files import KINDS
from ClamSegWorkflow.scene import SceneError

_CHUNK_BYTES = 1 << 20
_MOST_FILES = 5000
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
        self._folder = Path(tempfile.mkdtemp(prefix="clamseg-uploads-"))
        self._received: dict[str, tuple[int, int]] = {}

    def routes(self) -> list[Any]:
        """For the web server."""
        return [
            web.post("/upload/{batch}", self._receive),
            web.post("/upload/{batch}/open", self._open),
            web.get("/export/{kind}", self._export),
        ]

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
        count, size = self._received.get(folder.name, (0, 0))
        if count >= _MOST_FILES:
            raise web.HTTPRequestEntityTooLarge(self._limit_bytes, size, text="Too many files in one upload.")
        folder.mkdir(exist_ok=True)
        # The number keeps files apart that carry the same name in different folders; the ending stays last.
        target = folder / name if not (folder / name).exists() else folder / f"{count:05d}-{name}"
        try:
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
        if scans := _scans_of(files):
            self._page.input.open_paths(scans)
        else:
            self._page.input.open_path(folder, files[0].stem)
        self._page.state.flush()
        return web.Response(text="ok")

    async def _export(self, request: web.Request) -> web.StreamResponse:
        """One kind of export of the result under review."""
        self._admit(request)
        kind = request.match_info["kind"]
        if kind not in KINDS:
            raise web.HTTPNotFound(text="No such export.")
        folder = Path(tempfile.mkdtemp(prefix="clamseg-export-"))
        try:
            path = await self._page.export.write(kind, folder)
            data = path.read_bytes()
        except (SceneError, ClamSegError, OSError) as error:
            self._tell(str(error))
            raise web.HTTPConflict(text=str(error)) from error
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
        return web.Response(
            body=data,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{path.name}"', "Cache-Control": "no-store"},
        )

    def _tell(self, text: str) -> None:
        self._page.failed(text)
        self._page.state.flush()


def _scans_of(files: list[Path]) -> list[Path]:
    """The files of an upload that are scans of their own; none where they are slices of a DICOM series."""
    if len(files) == 1:
        return files
    if all(ending_of(file) in PICTURE_ENDINGS for file in files):
        return files
    return [file for file in files if ending_of(file) in VOLUME_ENDINGS]
