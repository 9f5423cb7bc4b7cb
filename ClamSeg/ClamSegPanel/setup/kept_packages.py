"""What an installation must leave as it is, as constraints for pip: it then adds packages or refuses; without Qt.

A constraint installs nothing. It only forbids pip every other version of a package that something else asks for.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

# Slicer brings its own builds of these; another one breaks Slicer.
OF_SLICER = ("numpy", "scipy", "SimpleITK")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(
    r"(?:\d+!)?\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[a-z0-9]+(?:[._-][a-z0-9]+)*)?",
    re.IGNORECASE,
)
_CONFLICT = re.compile(r"\(constraint\) (" + _NAME.pattern + r")==")


def installed_versions() -> dict[str, str]:
    """Version of every package that pip knows here."""
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        name, version = each.metadata["Name"], each.metadata["Version"]
        # What a broken installation left has neither; pip would refuse the whole file for one such line.
        if name and version and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
            found.setdefault(name, version)
    return found


def constraints(versions: dict[str, str], names: Iterable[str] | None = None) -> str:
    """The text of a constraints file that holds packages at their versions.

    Args:
        versions: package -> version, as installed.
        names: those to hold; None for all.
    """
    held = None if names is None else {_key(name) for name in names}
    lines = [f"{name}=={version}" for name, version in versions.items() if held is None or _key(name) in held]
    return "".join(f"{line}\n" for line in sorted(lines, key=str.lower))


def write_constraints(folder: Path, names: Iterable[str] | None = None) -> Path:
    """Writes `constraints` of what is installed here into a folder; returns the file."""
    path = folder / "kept.txt"
    path.write_text(constraints(installed_versions(), names), encoding="utf-8")
    return path


def packages_in_the_way(words_of_pip: str) -> list[str]:
    """Packages whose constraint made pip refuse, from what it printed; empty where it failed otherwise."""
    if "ResolutionImpossible" not in words_of_pip:
        return []
    return sorted(set(_CONFLICT.findall(words_of_pip)), key=str.lower)


def error_of_pip(words_of_pip: str) -> str:
    """The line that says why pip failed: its first error, else the last thing it printed."""
    lines = [line.strip() for line in words_of_pip.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "")


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
