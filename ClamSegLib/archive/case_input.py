"""What identifies the input of a case: how many files and bytes, when they were changed, and a hash of their headers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ClamSegLib.imaging.read_write import ending_of
from ClamSegLib.system.errors import InputError

# Headers of all formats begin at the first byte; what is beyond tells the scan apart by size and time.
HEADER_BYTES = 4096
# Headers whose voxels lie in files beside them, under any name.
_DETACHED = (".nhdr", ".mhd", ".hdr", ".img")


def files_of(path: Path) -> list[Path]:
    """The files that a case reads, or may read: a file, a header with all files beside it, or all of a folder."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    if path.name.lower().endswith(_DETACHED) or ending_of(path) in _DETACHED:
        return sorted(p for p in path.parent.iterdir() if p.is_file() and not p.name.startswith("."))
    return [path]


def header_sha256(path: Path) -> str:
    """Hash of the first bytes of a file."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(HEADER_BYTES)).hexdigest()


def fingerprint(entries: Iterable[tuple[str, int, int, str]]) -> dict[str, Any]:
    """The input in five figures, for the record of a case.

    Args:
        entries: name in the case, bytes, time of the last change in ns, and header hash of each file, in any order.

    Returns:
        `files`, `bytes`, `changed_ns` (the newest), `listing_sha256` (names, sizes and times) and `headers_sha256`.
    """
    listing, headers = hashlib.sha256(), hashlib.sha256()
    count = total = newest = 0
    for name, size, changed_ns, header in sorted(entries):
        count, total, newest = count + 1, total + size, max(newest, changed_ns)
        listing.update(f"{name}\0{size}\0{changed_ns}\n".encode("utf-8", "surrogateescape"))
        headers.update(f"{header}\n".encode())
    return {
        "files": count,
        "bytes": total,
        "changed_ns": newest,
        "listing_sha256": listing.hexdigest(),
        "headers_sha256": headers.hexdigest(),
    }


def fingerprint_of(path: Path) -> dict[str, Any]:
    """`fingerprint` of a file or folder as it lies on the disk.

    Raises:
        InputError: it is not there, or may not be read.
    """
    try:
        root = path if path.is_dir() else path.parent
        found = []
        for file in files_of(path):
            state = file.stat()
            found.append((file.relative_to(root).as_posix(), state.st_size, state.st_mtime_ns, header_sha256(file)))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); check its name and your rights."
        ) from error
    return fingerprint(found)
