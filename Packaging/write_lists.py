"""Writes the lists of files in the CMakeLists, and the addresses that follow ClamSeg.json.

    python Packaging/write_lists.py            writes them
    python Packaging/write_lists.py --check    says what differs and ends with 1

Slicer installs only what its CMake lists name: all but the library's room for developers. Run this after adding,
renaming or removing a file.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = (".png", ".svg")
# Studies and benchmarks: in the wheel, not in Slicer.
NOT_IN_SLICER = "experiments/"
# Pictures of the panel that the extension's page in Slicer's catalogue shows.
SCREENSHOTS = ("docs/images/panel-review.png", "docs/images/panel-training.png", "docs/stages.png")


def files_below(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Files with one of the endings, relative to `folder`, sorted; hidden ones and caches left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if (
            path.is_file()
            and path.name.endswith(endings)
            and not any(p.startswith((".", "__pycache__")) for p in parts)
        ):
            found.append("/".join(parts))
    return found


def lists(repository: Path = REPOSITORY) -> dict[tuple[str, str], list[str]]:
    """What each list must hold: (CMake file, name of the list) to files relative to the list's folder."""
    module, library, shared = repository / "ClamSeg", repository / "ClamSegLib", repository / "Resources"
    resources = (".ui", ".json", ".qss", *PICTURES)
    held = (".bin", ".json", ".md", ".nii.gz", ".nrrd", ".png", ".safetensors", ".xml")
    return {
        ("ClamSeg/CMakeLists.txt", "MODULE_PYTHON_SCRIPTS"): files_below(module, (".py",)),
        ("ClamSeg/CMakeLists.txt", "MODULE_PYTHON_RESOURCES"): [
            f"Resources/{name}" for name in files_below(module / "Resources", resources)
        ],
        ("ClamSegLib/CMakeLists.txt", "LIBRARY_PYTHON_SCRIPTS"): [
            name for name in files_below(library, (".py",)) if not name.startswith(NOT_IN_SLICER)
        ],
        ("ClamSegLib/CMakeLists.txt", "SHARED_RESOURCES"): files_below(shared, held),
    }


def addresses(repository: Path = REPOSITORY) -> dict[str, str]:
    """Values of the top CMakeLists that follow from the repository's address; the catalogue reads them literally."""
    entry = json.loads((repository / "ClamSeg.json").read_text(encoding="utf-8"))
    home = entry["scm_url"].removesuffix(".git").rstrip("/")
    raw = home.replace("https://github.com/", "https://raw.githubusercontent.com/") + f"/{entry['scm_revision']}"
    return {
        "EXTENSION_HOMEPAGE": home,
        "EXTENSION_ICONURL": f"{raw}/ClamSeg.png",
        "EXTENSION_SCREENSHOTURLS": " ".join(f"{raw}/{name}" for name in SCREENSHOTS),
    }


def with_list(text: str, name: str, files: list[str]) -> str:
    """The CMake text with the list replaced."""
    body = "".join(f"  {file}\n" for file in files)
    new, count = re.subn(rf"(?m)^set\({name}\n(?:  .*\n)*?  \)$", f"set({name}\n{body}  )", text)
    if count != 1:
        raise ValueError(f"'set({name}' with one file a line was not found")
    return new


def with_value(text: str, name: str, value: str) -> str:
    """The CMake text with a quoted value replaced."""
    new, count = re.subn(rf'(?m)^set\({name} "[^"]*"\)', lambda _: f'set({name} "{value}")', text)
    if count != 1:
        raise ValueError(f"'set({name} \"...\")' was not found")
    return new


def wanted(repository: Path = REPOSITORY) -> dict[Path, str]:
    """What each CMake file should read."""
    texts: dict[Path, str] = {}
    for (file, name), files in lists(repository).items():
        path = repository / file
        texts[path] = with_list(texts.get(path) or path.read_text(encoding="utf-8"), name, files)
    top = repository / "CMakeLists.txt"
    texts[top] = top.read_text(encoding="utf-8")
    for name, value in addresses(repository).items():
        texts[top] = with_value(texts[top], name, value)
    return texts


def main(words: list[str]) -> int:
    """Entry point."""
    differing = [(path, text) for path, text in wanted().items() if path.read_text(encoding="utf-8") != text]
    for path, text in differing:
        print(f"{path.relative_to(REPOSITORY)}: {'differs' if '--check' in words else 'written'}")
        if "--check" not in words:
            path.write_text(text, encoding="utf-8")
    return 1 if differing and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
