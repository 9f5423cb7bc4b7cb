"""What the tests of the extension stand on: the real MRML scene of slicer-core, and the modules on the path."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for folder in (REPOSITORY, REPOSITORY / "ClamSeg", REPOSITORY / "Testing"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh scene with the logics that a segmentation needs."""
    import slicer
    from slicer_stand_in.scenes import fresh_scene

    fresh, logic = fresh_scene()
    slicer.mrmlScene = fresh
    yield fresh
    fresh.Clear(True)
    logic.SetMRMLScene(None)


def _build(scene: Any, worker: Any) -> Iterator[Any]:
    from slicer_stand_in import slicer_modules

    slicer_modules.install()
    from slicer_stand_in import dialogs, driver, settings

    settings.forget_settings()
    dialogs.DIALOGS.reset()
    driver.problems()
    # The window loads the packages anew, as Slicer does; the other tests keep those they imported.
    imported = {name: kept for name, kept in sys.modules.items() if driver.loaded_anew(name)}
    module = driver.load_module()
    built = driver.Window(module, worker)
    built.scene, built.worker = scene, built.logic.worker
    yield built
    built.close()
    for name in [name for name in sys.modules if driver.loaded_anew(name)]:
        del sys.modules[name]
    sys.modules.update(imported)
    for name, kept in imported.items():  # and each is again what its package gives under its name
        package, _, own = name.rpartition(".")
        if package in sys.modules:
            setattr(sys.modules[package], own, kept)
    problems = driver.problems()
    assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def no_models_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only shipped models, and those that a test makes."""
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path / "models of the user"))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the user's models, with one in it."""
    from own_models import own_models

    with own_models(tmp_path / "Eigene Modelle", monkeypatch) as folder:
        yield folder


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled folder to train on."""
    from own_models import write_phantoms

    return write_phantoms(tmp_path_factory.mktemp("data") / "Bilder für Übung")


@pytest.fixture
def bench(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run without a window, whose files lie in the test's folder."""
    from run_bench import Bench

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Bench(scene)


@pytest.fixture
def window(scene: Any) -> Iterator[Any]:
    """The module's window with a worker in the test's hand; see slicer_stand_in."""
    from fakes import FakeWorker

    yield from _build(scene, FakeWorker())


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Python is started as in Slicer, where sys.executable is a launcher; on POSIX, where a script can be one."""
    from slicer_stand_in.launcher import Launcher

    made = Launcher(tmp_path)
    if os.name != "nt":
        monkeypatch.setattr(sys, "executable", str(made.path))
    return made


@pytest.fixture
def real_window(scene: Any, launcher: Any) -> Iterator[Any]:
    """The module's window with the real worker process, behind a launcher as in Slicer."""
    yield from _build(scene, None)
