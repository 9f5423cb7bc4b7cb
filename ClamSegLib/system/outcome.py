"""What becomes of a piece of work that stops no other: a case of a batch, an image of a check."""

from __future__ import annotations

from dataclasses import dataclass

from ClamSegLib.system.errors import ClamSegError, InputError

# States of a case in the table.
DONE, KEPT, BAD, FAILED = "done", "kept", "bad input", "failed"


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
