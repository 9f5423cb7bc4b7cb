"""Starts the page: python -m ClamSegWeb [FILES], or `clamseg web [FILES]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from ClamSegLib.errors import ClamSegError, InputError
from ClamSegLib.verbs.web import add_arguments
from ClamSegWeb.access import HOST, guard, new_key
from ClamSegWeb.roots import Roots


def main(words: Sequence[str] | None = None) -> int:
    """Serves the page until it is ended; returns the exit code."""
    options = _parser().parse_args(words)
    try:
        files = [_existing(path) for path in options.files]
        roots = Roots([*options.root, *(path if path.is_dir() else path.parent for path in files)])
        for root in roots.folders:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder; give folders to --root.")
        return _serve(options, files, roots)
    except ClamSegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clamseg web", description="ClamSeg as a page in the browser. For research, not for diagnosis."
    )
    add_arguments(parser)
    return parser


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a scan or a folder with a DICOM series.")
    return path.resolve()


def _has_display() -> bool:
    """Whether a browser could show a window here."""
    return (
        os.name == "nt"
        or sys.platform == "darwin"
        or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )


def _serve(options: argparse.Namespace, files: list[Path], roots: Roots) -> int:
    # Imported late: --help and wrong words answer at once, and an import that fails says what to install.
    try:
        from trame.app import get_server
        from trame_client.module import vue3

        from ClamSegWeb.page import Page
        from ClamSegWeb.shell import Shell
        from ClamSegWeb.transfers import Transfers
    except ImportError as error:
        raise InputError(
            f"The page needs packages that are not here ({error.name}); install them with pip install 'clamseg[web]', "
            "or in a checkout run: python3 run.py web"
        ) from error
    key = new_key()
    # trame reads its own command line; the key goes there and not into the list of processes.
    sys.argv = [sys.argv[0], "--authKey", key, "--host", HOST, "--server"]
    os.environ["WSLINK_READY_MSG"] = ""
    os.environ["TRAME_DEFAULT_HOST"] = HOST
    if sys.platform.startswith("linux"):
        # Pictures are drawn off screen; without this VTK asks for an X server first.
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    server = get_server("clamseg", client_type="vue3")
    page_of: list[Page] = []

    def bind(wslink_server: object) -> None:
        app = wslink_server.app  # type: ignore[attr-defined]
        app.middlewares.append(guard())
        transfers = Transfers(page_of[0], key, int(options.upload_limit * 1e9))
        app.add_routes([*Shell(Path(vue3.www), key).routes(), *transfers.routes()])
        server.controller.on_server_exited.add(lambda **_state: transfers.close())

    def ready(**_state: object) -> None:
        address = f"http://{HOST}:{server.port}/index.html?secret={key}"
        print(f"ClamSeg is at {address}\nOnly this computer can open it. Ctrl-C ends it.", flush=True)
        page = page_of[0]
        page.segment.look_at_installation()
        page.training.find_again()
        if files:
            page.input.open_paths(files)
        elif not options.empty:
            page.input.open_first_sample()
        if not options.no_browser and _has_display():
            webbrowser.open(address)

    async def run() -> None:
        page = Page(server, roots, options.corrections.expanduser().resolve())
        page.state.page_key = key
        page_of.append(page)
        server.controller.on_server_bind.add(bind)
        server.controller.on_server_ready.add(ready)
        try:
            await server.start(
                port=options.port, exec_mode="coroutine", open_browser=False, show_connection_info=False, timeout=0
            )
        finally:
            page.close()

    signal.signal(signal.SIGTERM, lambda *_given: sys.exit(0))
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        raise InputError(
            f"The page could not be served on port {options.port} ({error.strerror}); choose another --port."
        ) from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
