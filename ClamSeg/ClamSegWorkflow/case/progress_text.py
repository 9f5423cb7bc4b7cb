"""The progress of a run in words: stage, slices, time left."""

from __future__ import annotations

from ClamSegWorkflow.words import tr as _

# Stages as worker and run name them.
_STAGES = {
    "writing": _("writing"),
    "reading": _("reading"),
    "checking the organ": _("checking the organ"),
    "finding the organ": _("finding the organ"),
    "choosing an engine (once per model)": _("choosing an engine (once per model)"),
    "segmenting slices": _("segmenting slices"),
    "showing": _("showing"),
}


def progress_words(stage: str, done: int, total: int, seconds_left: float | None, first: str = "") -> str:
    """A line under the progress bar; the slices are counted where the stage has slices.

    Args:
        first: what a first look shows meanwhile, '' where nothing.
    """
    words = _STAGES.get(stage, stage)
    if total > 1 and "slice" in stage:
        words = _("{stage}: {done} of {total}").format(stage=words, done=done, total=total)
    if seconds_left:
        words += _(", {n} s left").format(n=max(1, round(seconds_left)))
    return f"{words}. {first}" if first else words
