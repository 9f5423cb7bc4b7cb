"""Which files the page may open: those below the folders that were named at its start, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ClamSegLib.imaging.read_write import is_image_file, readable_name
from ClamSegLib.system.errors import InputError


@dataclass(frozen=True)
class Entry:
    """A line of the folder list."""

    name: str
    path: Path
    is_folder: bool


class Roots:
    """The chosen folders.

    Args:
        folders: named at the start, by the user or as the folders of the files given.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(dict.fromkeys(Path(folder).resolve() for folder in folders))

    def admit(self, path: str | Path) -> Path:
        """The path itself, links followed.

        Raises:
            InputError: it lies outside, or is not there.
        """
        wanted = Path(path)
        if "\0" in str(path) or not wanted.is_absolute():
            raise InputError("Only whole paths below the chosen folders can be opened.")
        found = wanted.resolve()
        if not any(found == root or root in found.parents for root in self.folders):
            raise InputError(
                f"{readable_name(wanted.name)} lies outside the folders that were chosen when the page was started; start it again with --root FOLDER."
            )
        if not found.exists():
            raise InputError(f"{readable_name(wanted.name)} no longer exists.")
        return found

    def entries(self, folder: Path | None) -> list[Entry]:
        """What can be opened in a folder, folders first; the chosen folders themselves for None.

        Raises:
            InputError: outside, gone, or not readable.
        """
        if folder is None:
            return [Entry(readable_name(root.name or root), root, True) for root in self.folders]
        folder = self.admit(folder)
        try:
            found = sorted(folder.iterdir(), key=lambda path: (not path.is_dir(), path.name.lower()))
        except OSError as error:
            raise InputError(f"{readable_name(folder.name)} cannot be listed ({error.strerror}).") from error
        shown = [p for p in found if not p.name.startswith(".") and (p.is_dir() or is_image_file(p))]
        return [Entry(readable_name(path.name), path, path.is_dir()) for path in shown]

    def parent(self, folder: Path) -> Path | None:
        """The folder above, None above the chosen ones."""
        return None if folder.resolve() in self.folders else folder.parent
