"""One trial of the bench: some harm, and whether ClamSeg held."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


class Skipped(Exception):  # noqa: N818 - no error: this machine cannot try it
    """Why a trial cannot be made on this machine."""


@dataclass(frozen=True)
class Trial:
    """Some harm, and a look at what came of it.

    Attributes:
        part: line of the table it counts for.
        name: what is done, in words; never the bytes of a mutated input.
        attempt: gets an empty folder of its own; returns '' where ClamSeg held, else what happened instead.
    """

    part: str
    name: str
    attempt: Callable[[Path], str]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: '' in `failure` and `skipped` where it held."""

    trial: Trial
    failure: str = ""
    skipped: str = ""


def outcome_of(trial: Trial) -> Outcome:
    """Makes a trial in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="clamseg-fault-", ignore_cleanup_errors=True) as folder:
        try:
            return Outcome(trial, failure=trial.attempt(Path(folder)))
        except Skipped as reason:
            return Outcome(trial, skipped=str(reason))


def sample(trials: Sequence[Trial], count: int, seed: int) -> list[Trial]:
    """`count` of the trials, the same for the same seed, in the order of the bench."""
    chosen = set(random.Random(seed).sample(range(len(trials)), min(count, len(trials))))
    return [trial for number, trial in enumerate(trials) if number in chosen]
