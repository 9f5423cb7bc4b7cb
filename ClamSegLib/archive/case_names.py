"""What cases are called: a file by its own name, and each name once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def case_name(path: Path) -> str:
    """The input's own name without its ending (a link's, not that of the file it leads to); never '' or dots only."""
    whole = path.resolve() if path.name in ("", "..") else path
    name = whole.name if path.is_dir() else whole.stem
    for ending in (".nii.gz", ".seg.nrrd"):
        if whole.name.lower().endswith(ending):
            name = whole.name[: -len(ending)]
    return name if name.strip(" .") else "scan"


def free_names(wanted: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names; one that is taken, also in other letters of case, gets a number.

    Args:
        wanted: in order.
        taken: names that stand already.
    """
    used = {name.casefold() for name in taken}
    names = []
    for name in wanted:
        free, number = name, 1
        while free.casefold() in used:
            number += 1
            free = f"{name}-{number}"
        used.add(free.casefold())
        names.append(free)
    return names
