"""How ClamSeg knows a folder that it wrote, so that it never replaces one of somebody else's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

LARGEST_MANIFEST_BYTES = 256_000_000


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that ClamSeg writes.

    Attributes:
        shown: what it is, in messages.
        manifest: the JSON file that every such folder has; '' where a folder lies in ClamSeg's own keeping and all in it
            is ClamSeg's, whole or damaged.
        keys: that the object in this file has.
        files: patterns of all names that ClamSeg gives files and folders in it; any other is somebody's.
        second: another JSON file with these keys, by which a folder whose `manifest` is missing or empty is still known; '' for none.
    """

    shown: str
    manifest: str
    keys: tuple[str, ...]
    files: tuple[str, ...]
    second: str = ""

    def is_at(self, folder: Path) -> bool:
        """Whether the folder is of this kind."""
        if not self.manifest:
            return True
        if self.second and _is_lost(folder / self.manifest):
            return self._is_told_by(folder / self.second)
        return self._is_told_by(folder / self.manifest)

    def _is_told_by(self, path: Path) -> bool:
        try:
            if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_MANIFEST_BYTES:
                return False
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(told, dict) and all(key in told for key in self.keys)


def _is_lost(path: Path) -> bool:
    """Whether a file is missing or empty, as a copy or a power cut leaves it."""
    try:
        return not path.is_symlink() and path.stat().st_size == 0
    except OSError:
        return not path.is_symlink()


# Folders in the cache: nobody else writes there, and a damaged one is made again.
CACHED = FolderKind("the cache", "", (), ("*",))
