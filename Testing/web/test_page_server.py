"""The page as a process: what it says at its start, what is left at its end, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from page_axe import violations
from page_scans import write_brain
from page_server import REPOSITORY, PageServer, processes

from ClamSegLib.system.process import is_alive
from ClamSegWeb.serving import unless_tab_closed


def call(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The page started with words it refuses."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(folder)}
    command = [sys.executable, "-m", "ClamSegWeb", "--no-browser", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize(
    ("how", "in_background"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_its_end_takes_the_worker_and_every_temporary_file_along(tmp_path: Path, how: int, in_background: bool) -> None:
    scan = str(write_brain(tmp_path / "brain.nii.gz", slice(24, 28)))
    server = PageServer(tmp_path, scan, ignores_ctrl_c=in_background)
    worker = server.worker_pid()
    while not worker:
        worker = server.worker_pid()
    assert list(server.temporary.iterdir())
    assert server.stop(how) == 0
    while is_alive(worker):
        pass
    assert list(server.temporary.iterdir()) == []
    assert server.errors() == ""


def test_the_verb_starts_the_same_page_and_the_key_stands_in_no_list_of_processes(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ClamSegLib", "web", "--no-browser", "--empty", "--root", str(tmp_path)]
    verb = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert verb.stdout is not None
    try:
        said = verb.stdout.readline() + verb.stdout.readline()
        key = re.search(r"http://127\.0\.0\.1:\d+/index\.html\?secret=(\S+)", said)
        assert key
        assert "Press Ctrl-C to stop it" in said
        running = [words for _pid, _parent, words in processes()]
        assert any("ClamSegWeb" in words for words in running)
        assert not [words for words in running if key[1] in words]
    finally:
        verb.send_signal(signal.SIGTERM)
    assert verb.wait(timeout=60) == 0
    verb.stdout.close()


def test_a_tab_that_is_closed_leaves_no_traceback_and_other_errors_are_still_seen() -> None:
    seen: list[str] = []
    loop = SimpleNamespace(default_exception_handler=lambda context: seen.append(context["message"]))
    unless_tab_closed(loop, {"message": "gone", "exception": ConnectionResetError("Cannot write to closing transport")})
    unless_tab_closed(loop, {"message": "bug", "exception": KeyError("x")})
    unless_tab_closed(loop, {"message": "no exception"})
    assert seen == ["bug", "no exception"]


def test_a_page_whose_server_is_gone_says_how_to_start_again_and_that_the_review_is_kept(
    browser: Any, tmp_path: Path
) -> None:
    server = PageServer(tmp_path, "--empty")
    tab = browser.new_page()
    tab.goto(server.address)
    tab.locator("#sections").wait_for()
    server.stop()
    gone = tab.get_by_role("alert").filter(has_text="ClamSeg has ended")
    gone.wait_for()
    assert "python3 run.py web" in gone.inner_text()
    assert "kept on this computer for seven days" in " ".join(gone.inner_text().split())
    assert violations(tab) == []
    tab.close()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_what_a_page_keeps_while_it_runs_is_for_the_users_eyes_only(tmp_path: Path) -> None:
    server = PageServer(tmp_path, str(write_brain(tmp_path / "brain.nii.gz", slice(24, 28))))
    try:
        (folder,) = server.temporary.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
    finally:
        server.stop()


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    server = PageServer(tmp_path, "--empty")
    try:
        told = call(tmp_path, "--port", server.host.rpartition(":")[2])
        assert told.returncode == 2
        assert "choose another --port" in told.stderr
        assert "Traceback" not in told.stderr
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gone.nii"], "does not exist"),
        (["--root", "gone"], "is not a folder"),
        (["--port", "many"], "invalid int value"),
        (["--dance"], "--dance"),
    ],
)
def test_wrong_words_end_with_code_2_and_a_sentence(tmp_path: Path, words: list[str], sentence: str) -> None:
    told = call(tmp_path, *words)
    assert told.returncode == 2
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr
