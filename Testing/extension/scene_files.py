"""A scene saved into a bundle and loaded again, by Slicer's own readers and writers."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any


def save_scene(scene: Any, path: str) -> bool:
    """Writes the bundle (.mrb)."""
    return bool(scene.WriteToMRB(path))


def load_scene(scene: Any, path: str) -> bool:
    """Adds a bundle to the scene; ReadFromMRB needs the application's cache of remote files, this does the same."""
    folder = Path(path).with_suffix("")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    (written,) = folder.rglob("*.mrml")
    scene.SetURL(str(written))
    return bool(scene.Import())
