"""The server of the page: made safe before it listens, and ended with all that it made."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from trame.app import get_server
from trame_client.module import vue3

from ClamSegLib.system.errors import InputError
from ClamSegWeb.access import HOST, guard, new_key
from ClamSegWeb.page import Page
from ClamSegWeb.page_folder import kept_in, left_behind, make_page_folder
from ClamSegWeb.roots import Roots
from ClamSegWeb.shell import Shell
from ClamSegWeb.transfers import Transfers


class Serving:
    """One page, from its start to its end.

    Args:
        files: opened at the start, the last one is shown.
        roots: folders the page may list and open.
        corrections: folder for saved corrections.
        upload_limit_bytes: of one upload, all its files together.
        opens_sample: opens a shipped sample where no files are given.
        opens_browser: opens the address in the user's browser where there is a display.
    """

    def __init__(
        self,
        files: list[Path],
        roots: Roots,
        *,
        corrections: Path,
        upload_limit_bytes: int,
        opens_sample: bool,
        opens_browser: bool,
    ) -> None:
        self._files, self._roots, self._corrections = files, roots, corrections
        self._upload_limit_bytes = upload_limit_bytes
        self._opens_sample, self._opens_browser = opens_sample, opens_browser
        self._key = new_key()
        self._page: Any = None
        self._transfers: Any = None

    def run(self, port: int) -> int:
        """Serves until Ctrl-C or SIGTERM; returns the exit code.

        Args:
            port: on 127.0.0.1, 0 for a free one.

        Raises:
            InputError: the port is taken.
        """
        # trame reads its own command line; the key goes there and not into the list of processes.
        sys.argv = [sys.argv[0], f"--authKey={self._key}", "--host", HOST, "--server", "--nosignalhandlers"]
        os.environ["WSLINK_READY_MSG"] = ""
        os.environ["TRAME_DEFAULT_HOST"] = HOST
        if sys.platform.startswith("linux"):
            # Pictures are drawn off screen; without this VTK asks for an X server first.
            os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
        # As Ctrl-C, which asyncio ends in order: first the page with its worker, then the loop. A shell that starts the page in
        # the background has SIGINT ignored, and with it SIGTERM would be.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_given: signal.raise_signal(signal.SIGINT))
        try:
            # Scans lie in temporary files for moments, uploads as long as the page: all of them go with it, unless a review
            # is in no file yet.
            left, folder = left_behind(), make_page_folder()
            tempfile.tempdir = str(folder)
            try:
                asyncio.run(self._serve(port, folder, left))
            finally:
                self._clear(folder)
        except KeyboardInterrupt:
            return 0
        except OSError as error:
            words = f"The page could not be served on port {port} ({error.strerror}); choose another --port."
            raise InputError(words) from error
        return 0

    def _clear(self, folder: Path) -> None:
        """The page is over: its folder goes with it, or the reader is told what it holds."""
        waiting = self._page.input.waiting_for_export() if self._page is not None else 0
        if waiting and kept_in(folder):
            # No name of a scan: this may go to a log.
            print(
                f"Reviews in no file yet: {waiting}. They are kept in {folder} for 7 days; the next start offers them.",
                flush=True,
            )
            return
        shutil.rmtree(folder, ignore_errors=True)

    async def _serve(self, port: int, folder: Path, left: list[Path]) -> None:
        asyncio.get_running_loop().set_exception_handler(unless_tab_closed)
        server = get_server("clamseg", client_type="vue3")
        self._page = Page(server, self._roots, self._corrections, folder, left)
        self._page.state.page_key = self._key
        self._transfers = Transfers(self._page, self._key, self._upload_limit_bytes)
        server.controller.on_server_bind.add(self._bind)
        server.controller.on_server_ready.add(lambda **_state: self._ready(server.port))
        try:
            await server.start(
                port=port, exec_mode="coroutine", open_browser=False, show_connection_info=False, timeout=0
            )
        finally:
            self._page.close()
            await self._page.kept.all_written()
            await self._page.worker.gone()

    def _bind(self, wslink_server: Any) -> None:
        """Before the server listens: strangers are turned away, and our own addresses come first."""
        wslink_server.app.middlewares.append(guard())
        wslink_server.app.add_routes([*Shell(Path(vue3.www), self._key).routes(), *self._transfers.routes()])

    def _ready(self, port: int) -> None:
        address = f"http://{HOST}:{port}/index.html?secret={self._key}"
        print(f"ClamSeg is at {address}\nOnly this computer can open it. Press Ctrl-C to stop it.", flush=True)
        # The scan first: the worker answers in order, and a look at the installation imports torch.
        if self._files:
            self._page.input.open_paths(self._files)
        elif self._opens_sample:
            self._page.input.open_first_sample()
        self._page.segment.look_at_installation()
        self._page.training.find_again()
        # What is not sent before the first browser asks for all, trame later takes for known there and never corrects.
        self._page.state.flush()
        if self._opens_browser and _has_display():
            webbrowser.open(address)


def unless_tab_closed(loop: Any, context: dict[str, Any]) -> None:
    """Errors that nobody waits for go to the terminal, but not that a picture was on its way to a tab just closed."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def _has_display() -> bool:
    """Whether a browser could show a window here."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return os.name == "nt" or sys.platform == "darwin" or bool(shown)
