"""`clamseg web [FILES]`: the page in the browser; a process of its own, because the library knows no front."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

NAME = "web"
HELP = "open scans, segment and review in a page in the browser, on this computer only"
_NEEDED = ("ClamSegWeb", "trame", "trame_slicer", "slicer")
# How long a page that was told to end may take; it takes its worker and what was uploaded away.
_GRACE_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `web`; the page itself reads them by the same function."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="scans, or folders with a DICOM series")
    parser.add_argument(
        "--root", action="append", type=Path, default=[], metavar="FOLDER",
        help="folder the page may list and open; the folders of FILES are allowed as well; may be repeated",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--empty", action="store_true", help="open no sample at the start")
    parser.add_argument("--upload-limit", type=float, default=4.0, metavar="GB", help="largest upload (default: 4)")
    parser.add_argument(
        "--corrections", type=Path, default=Path.home() / "ClamSeg" / "corrections", metavar="FOLDER",
        help="where corrections are saved (default: ~/ClamSeg/corrections, as in Slicer)",
    )  # fmt: skip


def page_words(arguments: argparse.Namespace) -> list[str]:
    """The words that `add_arguments` reads as these arguments."""
    words = [f"--root={folder}" for folder in arguments.root]
    words += [f"--port={arguments.port}", f"--upload-limit={arguments.upload_limit:g}"]
    words += [f"--corrections={arguments.corrections}"]
    words += [name for name, chosen in (("--no-browser", arguments.no_browser), ("--empty", arguments.empty)) if chosen]
    return [*words, "--", *map(str, arguments.files)]


def run(arguments: argparse.Namespace, reporter: Reporter) -> int:
    """Serves the page until Ctrl-C; the page's own exit code."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"The page needs packages that are not here ({', '.join(missing)}); install them with "
            "pip install 'clamseg[web]', or in a checkout run: python3 run.py web"
        )
    page = importlib.util.find_spec("ClamSegWeb")
    assert page is not None
    assert page.origin is not None
    path = os.pathsep.join(p for p in (str(Path(page.origin).parent.parent), os.environ.get("PYTHONPATH", "")) if p)
    return followed([sys.executable, "-m", "ClamSegWeb", *page_words(arguments)], {**os.environ, "PYTHONPATH": path})


def _descriptor_of(stream: TextIO | None) -> int | None:
    """Where a process that is started may write what it has to say; None where the stream is none of the system's."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


def followed(command: list[str], environment: dict[str, str]) -> int:
    """Runs a process to its end and returns its exit code; whoever ends this process ends that one, in order."""
    # Descriptor 1 of this process is kept from libraries; what the page prints is for the user.
    process = subprocess.Popen(command, env=environment, stdout=_descriptor_of(sys.stdout))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # A terminal tells both of Ctrl-C; whoever told only this process means the other, too.
        try:
            code = process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            code = process.wait()
    return code if code >= 0 else 1
