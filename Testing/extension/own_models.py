"""A user's own models folder with a tiny model in it, for tests of the panel that train."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ClamSegWorkflow.process.training_process import running_trainings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "library"))
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model, tiny_normative_model

__all__ = ["own_models", "tiny_model", "write_phantoms"]


@contextmanager
def own_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, a cache beside it, one thread; what still trains in it at the end is killed."""
    tiny_normative_model(folder / "tiny")
    monkeypatch.setenv("CLAMSEG_MODELS", str(folder))
    monkeypatch.setenv("CLAMSEG_CACHE", str(folder.parent / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        yield folder
    finally:
        for left in running_trainings(folder):
            os.kill(json.loads((left / "run.lock").read_text())["pid"], signal.SIGKILL)
