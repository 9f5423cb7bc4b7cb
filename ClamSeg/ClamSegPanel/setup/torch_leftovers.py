"""What an installation of PyTorch that broke off leaves behind, and what pip cannot remove; without Qt."""

from __future__ import annotations

import shutil
from pathlib import Path

# Folders of the package itself, its record for pip, and what pip renames while it replaces a package ('~orch').
_LEFTOVERS = ("torch", "torchgen", "functorch", "torch-*.dist-info", "torch-*.egg-info", "~orch*", "~-rch*")


def remove_torch_leftovers(site_packages: Path) -> list[str]:
    """Removes what is left of PyTorch in a folder of packages; returns the names.

    Raises:
        OSError: a file is in use, as libraries are on Windows once they were loaded.
    """
    found = sorted({path for pattern in _LEFTOVERS for path in site_packages.glob(pattern)})
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [path.name for path in found]
