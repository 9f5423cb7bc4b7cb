"""A second Python environment for tests: it holds what Slicer brings, PyTorch and safetensors, and nothing else.

The files of the environment that runs the tests are linked, so that it costs seconds and no disk.
"""

import os
import sys
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# As in Slicer 5.10; its other packages are of no use to ClamSeg.
OF_SLICER = (
    "numpy", "scipy", "SimpleITK", "pydicom", "Pillow", "requests", "packaging", "setuptools", "dicomweb-client",
)  # fmt: skip
NEW_IN_5_12 = ("highdicom", "pyjpegls")
FROM_SETUP = ("torch", "safetensors")


def with_what_they_need(names: tuple[str, ...]) -> dict[str, metadata.Distribution]:
    """The installed distributions of these names, and of all that they require, by their canonical name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise AssertionError(f"{name} is not installed here; 'python3 run.py test' sets all up.") from None
        needed = [Requirement(line) for line in found[name].requires or ()]
        waiting += [each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def environment_of(folder: Path, names: tuple[str, ...]) -> Path:
    """Makes an environment in `folder` with these distributions and what they need; returns its Python."""
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
    windows = os.name == "nt"
    library = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = folder / "Lib" / "site-packages" if windows else folder / "lib" / library / "site-packages"
    made: set[Path] = set()
    for each in with_what_they_need(names).values():
        for file in each.files or ():
            source, target = Path(each.locate_file(file)), site / file
            if ".." in file.parts or not source.is_file():
                continue  # a command beside the packages, or what somebody compiled anew
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            try:
                target.symlink_to(source)
            except OSError:  # Windows asks for a right; a second name for the file needs none
                target.hardlink_to(source)
    return folder / ("Scripts/python.exe" if windows else "bin/python")
