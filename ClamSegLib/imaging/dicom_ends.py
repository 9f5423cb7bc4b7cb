"""Whether slices may be missing at an end of a series, where no gap shows it: what its headers tell of how many there were.

These are hints, and nothing is refused by them: an acquisition may have given several series, and numbers may go on from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Numbers of images that a header tells, the surest first: of the series, of a PET or nuclear series, of the acquisition.
END_TAGS = ("NumberOfSeriesRelatedInstances", "NumberOfSlices", "ImagesInAcquisition")
_SENTENCE = "Slices may be missing at an end of the series: {hint}. Where the scan is cut, export the whole series."


def ends_doubt(headers: Sequence[Any], n_missing_between: int, n_left_out: int = 0) -> str:
    """A sentence on slices that may be missing at an end; '' where nothing hints at it.

    Args:
        headers: of the single-slice files of a stack, in the order of their positions.
        n_missing_between: slices that are known to be missing between others.
        n_left_out: files of the series that are no slices of the stack, localisers.
    """
    there = len(headers)
    known = there + n_missing_between + n_left_out
    told = None
    for name in END_TAGS:
        told = told or _same_number(headers, name)
    # A multiple is what several series of one acquisition have together, or several time points.
    if told is not None and told > known and told % there:
        return _SENTENCE.format(hint=f"the headers tell of {told} images, {there} are here")
    first = _first_number(headers, n_missing_between)
    if first is not None and first - 1 > n_left_out:
        return _SENTENCE.format(hint=f"its images are numbered from {first} to {first + known - n_left_out - 1}")
    return ""


def _whole(header: Any, name: str) -> int | None:
    try:
        return int(header.get(name))
    except (TypeError, ValueError):
        return None


def _same_number(headers: Sequence[Any], name: str) -> int | None:
    """What all headers tell alike; None where one does not tell, or another number."""
    found = {_whole(header, name) for header in headers}
    return found.pop() if len(found) == 1 else None


def _first_number(headers: Sequence[Any], n_missing_between: int) -> int | None:
    """The lowest InstanceNumber where they count the slices from one end to the other; None where they do not."""
    found = [_whole(header, "InstanceNumber") for header in headers]
    given = [number for number in found if number is not None]
    if len(given) < max(2, len(found)) or given not in (sorted(given), sorted(given, reverse=True)):
        return None
    counts_slices = max(given) - min(given) == len(given) - 1 + n_missing_between and len(set(given)) == len(given)
    return min(given) if counts_slices else None
