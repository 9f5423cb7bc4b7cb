"""What all suites share: one torch thread, the folder of real images, a fresh cache."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from selection import mark_slow_tests

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A background job of a script is told to ignore Ctrl-C, and hands that on to every process it starts; those that the
# tests start are a user's, whom Ctrl-C reaches.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
REPOSITORY = Path(__file__).resolve().parent.parent
_BEGAN_S = time.time()
READER = "ClamSegLib.imaging.reader_child"
_readers: list[subprocess.Popen[bytes]] = []
# The page's tests run with the page's own Python, which run.py makes; that of the other suites lacks its packages.
collect_ignore = [] if importlib.util.find_spec("trame_slicer") else ["web"]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real data sets; a user's machine has none of it, so tests that need it skip in words."""
    folder = Path(os.environ.get("CLAMSEG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real images are not on this machine (set CLAMSEG_TEST_DATA to their folder)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's own cache and settings; licences count as confirmed but where a test says no."""
    os.environ["CLAMSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["CLAMSEG_SETTINGS"] = str(tmp_path_factory.mktemp("settings"))
    os.environ["CLAMSEG_ACCEPT_LICENCE"] = "CC-BY-NC-SA-4.0"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says where failures may be none: processes that tests start take the library as it is then, half-changed perhaps."""
    changed = [path for path in (REPOSITORY / "ClamSegLib").rglob("*.py") if path.stat().st_mtime > _BEGAN_S]
    if changed:
        words = f"{len(changed)} files of ClamSegLib were changed while the tests ran, e.g. {changed[0].name}; run them again."
        terminalreporter.write_line(words, yellow=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not slow"` is the fast selection."""
    mark_slow_tests(items)


@pytest.fixture(autouse=True)
def no_process_in_a_fast_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds the fast selection to its promise where the text of a test does not show that it starts a process."""
    if request.node.get_closest_marker("slow") or "slow" not in request.config.option.markexpr:
        return

    start = subprocess.Popen.__init__

    def start_only_the_reader(process: subprocess.Popen[bytes], words: object, *rest: object, **named: object) -> None:
        # The process that reads files is started once and serves all tests after that, so no test waits for it.
        if not (isinstance(words, list) and READER in words) or any(one.poll() is None for one in _readers):
            pytest.fail(f"a fast test starts a process ({words}); mark it with @pytest.mark.slow")
        start(process, words, *rest, **named)  # type: ignore[call-overload]
        _readers.append(process)

    monkeypatch.setattr(subprocess.Popen, "__init__", start_only_the_reader)
