"""What all suites share: one torch thread, the folder of real images, a fresh cache."""

import importlib.util
import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A background job of a script is told to ignore Ctrl-C, and hands that on to every process it starts; those that the
# tests start are a user's, whom Ctrl-C reaches.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
REPOSITORY = Path(__file__).resolve().parent.parent
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
    """No test reads or writes the user's own cache."""
    os.environ["CLAMSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))
