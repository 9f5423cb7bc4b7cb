"""Which series of an archive a model can be asked about: suitable by what they are, and chosen by `--select`.

`--select "Modality=CT and SliceThickness<=2.5"`: conditions on DICOM attributes, joined by `and`, alternatives by `or`. Text is
compared without regard to capitals; * and ? stand for any letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ClamSegLib.imaging.dicom_series import NO_SCANS
from ClamSegLib.imaging.volume import MODALITY_OF
from ClamSegLib.system.errors import InputError

SLICES = "NumberOfSlices"
_CONDITION = re.compile(r"""\s*(\w+)\s*(<=|>=|!=|==?|<|>)\s*("[^"]*"|'[^']*'|[^\s"']+)\s*""")
_JOINT = re.compile(r"(and|or)\b", re.IGNORECASE)
# Fewer are a scout or a preview, in which no volume is measured.
_FEWEST_SLICES = 3
# Attributes whose values may name a patient or lead to one: they are compared, and never told.
_NOT_TOLD = (
    "SeriesDescription",
    "ProtocolName",
    "StudyDescription",
    "StudyDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)


@dataclass(frozen=True)
class Condition:
    """One condition on an attribute."""

    name: str
    relation: str
    value: str

    def holds(self, tags: Mapping[str, Any]) -> bool:
        """Whether a series fulfils it; one that lacks the attribute does not."""
        found = tags.get(self.name)
        if found is None:
            return False
        if isinstance(found, int | float):
            return _compared(found, self.relation, float(self.value))
        if self.relation in ("=", "!="):
            # ImageType is a list: one of its words is enough.
            words = str(found).upper().split("\\")
            return any(fnmatchcase(word, self.value.upper()) for word in words) == (self.relation == "=")
        return _compared(str(found), self.relation, self.value)

    def failure(self, tags: Mapping[str, Any]) -> str:
        """Why it does not hold, in words that name the attribute."""
        found = tags.get(self.name)
        if found is None:
            return f"has no {self.name}"
        if self.name in _NOT_TOLD:
            return f"{self.name} is another one"
        came = f"{found:g}" if isinstance(found, int | float) else str(found)
        return f"{self.name} is {came}, not {'' if self.relation == '=' else self.relation + ' '}{self.value}"


@dataclass(frozen=True)
class Selection:
    """What `--select` asks for: one of the alternatives, of which all conditions hold; () takes every suitable series."""

    alternatives: tuple[tuple[Condition, ...], ...] = ()

    def failure(self, tags: Mapping[str, Any]) -> str:
        """Why a series is not chosen; '' where it is."""
        failures = []
        for conditions in self.alternatives:
            failed = next((c for c in conditions if not c.holds(tags)), None)
            if failed is None:
                return ""
            failures.append(failed.failure(tags))
        return " and ".join(dict.fromkeys(failures))

    def every(self, name: str) -> str:
        """The value that all alternatives ask of an attribute with `=`, without * and ?; '' where there is none."""
        values = {
            next((c.value for c in conditions if c.name == name and c.relation == "="), "")
            for conditions in self.alternatives
        }
        (value,) = values if len(values) == 1 else ("",)
        return "" if set(value) & set("*?") else value

    def dates(self) -> str:
        """The range of StudyDate that includes all that is asked for, as QIDO writes it; '' where any may be."""
        if len(self.alternatives) != 1:
            return ""
        asked = [c for c in self.alternatives[0] if c.name == "StudyDate" and len(c.value) == 8 and c.value.isdigit()]
        low = max((c.value for c in asked if c.relation in (">", ">=", "=")), default="")
        high = min((c.value for c in asked if c.relation in ("<", "<=", "=")), default="")
        return f"{low}-{high}" if low or high else ""


def read_selection(text: str, names: Sequence[str]) -> Selection:
    """What `--select` says.

    Args:
        text: conditions joined by `and` and `or`; `and` binds closer.
        names: attributes that may be asked for, beside `NumberOfSlices`.

    Raises:
        InputError: it cannot be read, an attribute that is not among them, or text where a number belongs.
    """
    if not text.strip():
        return Selection()
    known = {name.casefold(): name for name in (*names, SLICES)}
    alternatives: list[list[Condition]] = [[]]
    place = 0
    while True:
        found = _CONDITION.match(text, place)
        if found is None:
            rest = text[place:].strip()[:40]
            where = f"from '{rest}' on" if rest else "at its end, where a condition belongs"
            raise InputError(
                f'--select cannot be read {where}; write conditions as "Modality=CT and SliceThickness<=2.5", '
                "values with blanks in quotes."
            )
        alternatives[-1].append(_condition(found[1], found[2].replace("==", "="), found[3].strip("\"'"), known))
        place = found.end()
        if place == len(text):
            return Selection(tuple(map(tuple, alternatives)))
        joint = _JOINT.match(text, place)
        if joint is None:
            raise InputError(f"--select lacks 'and' or 'or' before '{text[place:].strip()[:40]}'.")
        if joint[1].lower() == "or":
            alternatives.append([])
        place = joint.end()


def _condition(name: str, relation: str, value: str, known: Mapping[str, str]) -> Condition:
    if name.casefold() not in known:
        raise InputError(f"--select cannot ask for {name}; it can for {', '.join(sorted(known.values()))}.")
    name = known[name.casefold()]
    if name in ("SliceThickness", "SpacingBetweenSlices", "SeriesNumber", "Rows", "Columns", SLICES):
        try:
            float(value)
        except ValueError:
            raise InputError(f"--select compares {name} with '{value}'; a number belongs there.") from None
    return Condition(name, relation, value)


def _compared(found: Any, relation: str, value: Any) -> bool:
    return bool(
        {
            "=": found == value,
            "!=": found != value,
            "<": found < value,
            "<=": found <= value,
            ">": found > value,
            ">=": found >= value,
        }[relation]
    )


def unsuitable(tags: Mapping[str, Any], n_slices: int, odd_kind: str, modality: str) -> str:
    """Why a model cannot be asked about a series; '' where it can.

    Args:
        tags: of the series.
        n_slices: of the series.
        odd_kind: what makes it no scan although it is a picture.
        modality: of the model: 'CT', 'MR' or 'XR'; '' for any.
    """
    came = str(tags.get("Modality", ""))
    if came in NO_SCANS:
        return f"a {came} object, no scan"
    if odd_kind:
        return f"{odd_kind}, no scan"
    if modality and MODALITY_OF.get(came, "") != modality:
        return f"{came or 'no modality'}, the model was made for {modality}"
    if modality in ("CT", "MR") and n_slices < _FEWEST_SLICES:
        return f"{n_slices} slices, no volume"
    return ""
