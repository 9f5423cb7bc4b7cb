"""What the tests of the page stand on: a real server process, a real browser, and a reader in front of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
for folder in (REPOSITORY, REPOSITORY / "Testing" / "library", REPOSITORY / "Testing" / "web"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from page_server import PageServer  # noqa: E402

import ClamSegWeb  # noqa: E402, F401 - puts the rooms that the page shares on the path

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium itself asks the network for nothing; the sandbox needs rights that root in a container lacks.
_WORDS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CLAMSEG_TEST_BROWSER") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.fail("Chromium is not here; python3 run.py test installs it, or CLAMSEG_TEST_BROWSER names another.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(_WORDS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., PageServer]]:
    """Starts servers with the words given; they end with the file's last test."""
    started: list[PageServer] = []

    def start(*words: object, **variables: str) -> PageServer:
        server = PageServer(tmp_path_factory.mktemp("page"), *map(str, words), **variables)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def reader(browser: Any, server: PageServer) -> Iterator[Any]:
    """A reader who has opened the page; each file has a `server` of its own."""
    from page_reader import PageReader

    with PageReader(browser, server.address) as opened:
        yield opened
