"""Limits of the system: sizes of files, open files, memory."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from pathlib import Path

from command import Ended, Harm, run
from materials import VERBS, essence, finished, hidden, home, result_folder
from trial import Trial

_SIZES = {"segment": 6, "train": 6, "evaluate": 3, "study": 3, "export": 2}


def trials(seed: int) -> list[Trial]:
    """Every verb under limits that may or may not suffice: an undisturbed result, or one line and nothing."""
    rng = random.Random(f"limits {seed}")
    found = []
    for verb, count in _SIZES.items():
        for _ in range(count):
            size = int(2 ** rng.uniform(8, 19))
            harm = Harm(limits={resource.RLIMIT_FSIZE: size})
            found.append(Trial("limits", f"{verb} with files of {size} bytes at most", _attempt(verb, harm)))
        for _ in range(count // 2 + 1):
            files = rng.randrange(4, 40)
            harm = Harm(limits={resource.RLIMIT_NOFILE: files})
            found.append(Trial("limits", f"{verb} with {files} open files at most", _attempt(verb, harm)))
            room = int(2 ** rng.uniform(0, 8))
            found.append(Trial("limits", f"{verb} with {room} MB more at most", _attempt(verb, Harm(memory_mb=room))))
    return found


def _attempt(verb: str, harm: Harm) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        expected, output = essence(verb, finished(verb)[0]), folder / "out"
        ended = run(VERBS[verb](output), home() / "printed", harm)
        by_library = bool(harm.memory_mb) and _ended_by_a_library(ended)
        problem = "" if by_library else ended.complaint(0, 1, 2)
        if problem:
            return problem
        if ended.code == 0 and essence(verb, output) != expected:
            return "the result is another one"
        left = [] if by_library else hidden(folder)
        if left:
            return f"left behind: {left}"
        begun = verb == "train" and (output / "state" / "state.safetensors").is_file()
        options = ("--resume",) if begun else ("--overwrite",) if result_folder(verb, output).exists() else ()
        second = run(VERBS[verb](output, *options), home() / "printed")
        if second.complaint(0):
            return f"could not be run again: {second.complaint(0)}"
        return "" if essence(verb, output) == expected else "run again, the result is another one"

    return attempt


def _ended_by_a_library(ended: Ended) -> bool:
    """Libraries that find no memory for themselves may end the process: by a signal, or by glibc's own words where a thread begins."""
    return ended.code < 0 or (ended.code == 127 and "cannot allocate memory for thread-local data" in ended.err)
