"""Processes killed: at every change that they make on the disk, and at random moments. Old result or new one, whole.

After a kill the same command is given again: it must put right what was left, end well, and give the result of an
undisturbed run; a training, to the bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from command import Harm
from materials import VERBS, attempt_once, copy_of, essence, finished, hidden, result_folder
from trial import Trial

# Another result, so that old and new can be told apart.
_OTHER = {
    "segment": ("--threshold", "0.1"), "train": ("--seed", "7"), "evaluate": ("--level", "1"), "study": (), "export": ("--level", "1"),
}  # fmt: skip
# How many changes on the disk a verb makes here, about, and how many of them are tried; and how many random moments.
_STEPS = {"segment": (24, 12), "train": (110, 16), "evaluate": (14, 5), "study": (140, 8), "export": (12, 3)}
_RANDOM = {"segment": 12, "train": 12, "evaluate": 4, "study": 6, "export": 3}
_SWAP_STEPS = 8


def trials(seed: int) -> list[Trial]:
    """Aimed and random kills of every verb that writes, of a first run and of one that replaces."""
    rng = random.Random(f"kills {seed}")
    found = []
    for verb in VERBS:
        if _OTHER[verb]:
            for step in range(1, _SWAP_STEPS):
                harm = Harm(die_at=step, in_swap=True)
                found.append(_trial(verb, True, f"before change {step} of the swap", harm))
        most, count = _STEPS[verb]
        for step in sorted(rng.sample(range(1, most), count)):
            again = bool(rng.random() < 0.5) and bool(_OTHER[verb])
            found.append(_trial(verb, again, f"before change {step} on the disk", Harm(die_at=step)))
        for _ in range(_RANDOM[verb]):
            share, again = rng.random(), bool(rng.random() < 0.5) and bool(_OTHER[verb])
            found.append(_trial(verb, again, f"after {share:.2f} of its time", share))
    return found


def _trial(verb: str, again: bool, when: str, harm: Harm | float) -> Trial:
    name = f"{verb}{' --overwrite' if again else ''} killed {when}"
    return Trial("killed", name, _attempt(verb, again, harm))


def _attempt(verb: str, again: bool, harm: Harm | float) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        new = essence(verb, finished(verb)[0])
        output = folder / "out"
        old = ""
        if again:
            copy_of(verb, folder, *_OTHER[verb])
            old = essence(verb, output)
            (result_folder(verb, output) / "mine.txt").write_text("mine")
        options = ("--overwrite",) if again else ()
        dealt = harm if isinstance(harm, Harm) else Harm(signal_after_s=harm * finished(verb)[1])
        words = VERBS[verb]
        first = attempt_once(words(output, *options), folder, dealt)
        if first.code not in (0, -9):
            return f"ended with {first.code}: {first.err[-200:]}"
        found = _essence_if_there(verb, output)
        if found not in (old, new):
            return "neither the old result nor the new one is there whole"
        options = ("--overwrite",) if found and verb != "study" else ()
        if verb == "train" and (output / "state" / "state.safetensors").is_file():
            options = ("--resume",)
        second = attempt_once(words(output, *options), folder)
        if second.code:
            return f"could not be run again: {second.code}: {second.err[-200:]}"
        if essence(verb, output) != new:
            return "the second run gave another result than an undisturbed one"
        if again and (result_folder(verb, output) / "mine.txt").read_text() != "mine":
            return "a file of the user's is gone"
        left = [name for name in hidden(folder) if ".clamseg-part-" not in name]
        return f"left behind: {left}" if left else ""

    return attempt


def _essence_if_there(verb: str, output: Path) -> str:
    """What the next start finds: it puts back what was just being replaced. '' where there is no result."""
    from ClamSegLib.system.atomic_output import put_back

    folder = result_folder(verb, output)
    put_back(folder.parent)
    manifest = {"segment": "report.json", "evaluate": "metrics.json", "export": "model.json"}.get(verb, "config.json")
    if not (folder / manifest).is_file():
        return ""
    try:
        return essence(verb, output)
    except Exception as error:  # any at all: the result is not whole
        return f"broken: {error}"
