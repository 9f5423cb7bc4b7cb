"""Two processes at once on the same output: one result or the other, whole, and nothing of the loser."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from command import Running
from materials import VERBS, copy_of, essence, finished, hidden
from trial import Trial

_TIMES = {"segment": 6, "train": 4, "evaluate": 2, "study": 2, "export": 1}


def trials(seed: int) -> list[Trial]:
    """Both start within a short time of each other, with or without --overwrite."""
    rng = random.Random(f"at once {seed}")
    found = []
    for verb, count in _TIMES.items():
        for number in range(count):
            again, apart_s = bool(number % 2), rng.uniform(0, 0.5)
            name = f"two {verb}{' --overwrite' if again else ''}, {apart_s:.2f} s apart"
            found.append(Trial("at once", name, _attempt(verb, again, apart_s)))
    return found


def _attempt(verb: str, again: bool, apart_s: float) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        expected, output = essence(verb, finished(verb)[0]), folder / "out"
        if again:
            copy_of(verb, folder)
        words = VERBS[verb](output, *(("--overwrite",) if again else ()))
        first = Running(words, folder / "printed-first")
        time.sleep(apart_s)
        both = [running.wait() for running in (first, Running(words, folder / "printed-second"))]
        for ended in both:
            if ended.complaint(0, 2):
                return ended.complaint(0, 2)
        if all(ended.code for ended in both):
            return f"neither ended well: {[ended.err[-150:] for ended in both]}"
        if essence(verb, output) != expected:
            return "the result is not that of one of them"
        left = hidden(folder)
        return f"left behind: {left}" if left else ""

    return attempt
