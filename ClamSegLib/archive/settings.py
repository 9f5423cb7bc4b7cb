"""What holds for all cases of a run, and what becomes of each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ClamSegLib.model.config_json import from_json
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.system.errors import ClamSegError, InputError

# States of a case in the table.
DONE, KEPT, BAD, FAILED = "done", "kept", "bad input", "failed"


@dataclass(frozen=True)
class RunSettings:
    """Options of `segment` that a case is done by.

    Attributes:
        segment: how the model runs.
        series: number or UID in a DICOM folder that was named.
        dicom_seg: write a DICOM SEG.
        dicom_sr: write a DICOM SR of the lesions and the DICOM SEG that it measures.
        overwrite: replace what stands.
        beside: also put the DICOM SEG into the folder of its series.
        store: address of the DICOMweb archive that gets the DICOM SEG; '' for none.
    """

    segment: SegmentOptions
    series: str | None = None
    dicom_seg: bool = False
    dicom_sr: bool = False
    overwrite: bool = False
    beside: bool = False
    store: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a task of a cluster."""
        return dataclasses.asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> RunSettings:
        """What `to_json` told of."""
        return from_json(cls, told, "options")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: its name.
        state: DONE, KEPT (finished before), BAD (exit code 2) or FAILED (exit code 1).
        words: the summary of a finished one, the reason of another.
        tries: how often it was begun in this run.
    """

    case: str
    state: str
    words: str = ""
    tries: int = 1

    @property
    def exit_code(self) -> int:
        """Of the command line, for this case."""
        return {FAILED: 1, BAD: 2}.get(self.state, 0)


def outcome_of(case: str, error: ClamSegError, tries: int = 1) -> Outcome:
    """A case that was stopped by an error, in its words."""
    return Outcome(case, BAD if error.exit_code == InputError.exit_code else FAILED, str(error), tries)
