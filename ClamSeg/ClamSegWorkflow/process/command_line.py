"""How the library is started: PythonSlicer -m ClamSegLib, with the library's folder on PYTHONPATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def library_folder() -> Path:
    """The folder that holds ClamSegLib."""
    import ClamSegLib

    return Path(ClamSegLib.__file__).resolve().parent.parent


def python_program() -> str:
    """The Python of the application; inside Slicer sys.executable is PythonSlicer."""
    return sys.executable


def library_words(*words: str) -> list[str]:
    """Arguments of the Python program that run a verb of the library."""
    return ["-m", "ClamSegLib", *words]


def extra_environment() -> dict[str, str]:
    """What is added to the environment: the library first on the path, unbuffered UTF-8 output."""
    path = os.pathsep.join(part for part in (str(library_folder()), os.environ.get("PYTHONPATH", "")) if part)
    return {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
