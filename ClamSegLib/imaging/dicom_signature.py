"""Whether a file is DICOM by how it begins; names and endings tell nothing in the field."""

from __future__ import annotations

from pathlib import Path

# Of the first element of a file: a length of its group, a character set, a UID.
_LONGEST_FIRST_BYTES = 256


def is_dicom_file(path: Path) -> bool:
    """Whether the file carries the DICOM preamble, or begins as a DICOM data set without one does."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or _begins_as_data_set(head)


def _begins_as_data_set(head: bytes) -> bool:
    """Whether the first element is one of group 2 or 8 with a plausible length, as older scanners write without preamble."""
    if len(head) < 12:
        return False
    for order in ("little", "big"):
        group, element = (int.from_bytes(head[k : k + 2], order) for k in (0, 2))
        if group not in (2, 8) or element > 0x0100:
            continue
        if head[4:6].isalpha() and head[4:6].isupper():
            return int.from_bytes(head[6:8], order) <= _LONGEST_FIRST_BYTES
        if order == "little" and int.from_bytes(head[4:8], order) <= _LONGEST_FIRST_BYTES:
            return True
    return False
