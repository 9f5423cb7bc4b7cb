"""Names of the steps of a review, as Undo and Redo say them."""

from __future__ import annotations

from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.words import tr as _

_DECIDED = {
    Decision.UNDECIDED: _("lesion {number} undecided again"),
    Decision.ACCEPTED: _("lesion {number} accepted"),
    Decision.REJECTED: _("lesion {number} rejected"),
    Decision.EDITED: _("lesion {number} edited"),
    Decision.ADDED: _("lesion {number} added"),
}


def decided_words(number: int, decision: Decision) -> str:
    """One lesion was decided on or drawn."""
    return _DECIDED[decision].format(number=number)


def labelled_words(canonical_slice: int, word: str) -> str:
    """A slice was labelled, or its label taken away."""
    words = _("slice {n} labelled {word}") if word else _("label of slice {n} removed")
    return words.format(n=canonical_slice + 1, word=_(word))


def rejected_words(count: int, minimum: float, has_volume: bool) -> str:
    """All small lesions were rejected at once."""
    limit = f"{minimum:g} ml" if has_volume else f"{minimum:g} px"
    if count == 1:
        return _("1 lesion below {limit} rejected").format(limit=limit)
    return _("{count} lesions below {limit} rejected").format(count=count, limit=limit)
