"""The whole fault bench: `python Testing/faults/bench.py --seed 1 [--part NAME]...`; prints the table of its parts."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "library", HERE.parents[1]):
    sys.path.insert(0, str(folder))

from command import load_all  # noqa: E402 - found by the line above
from materials import home  # noqa: E402
from trial import Outcome, Trial, outcome_of, sample  # noqa: E402 - found by the line above

# Files beside this one, each with a function `trials(seed)`; one that is not there yet is left out.
PARTS = (
    "kills",
    "starts",
    "disk",
    "limits",
    "at_once",
    "locks",
    "overwriting",
    "hostile_models",
    "mutations",
    "protocols",
    "page",
)


def all_trials(seed: int, parts: Sequence[str] = PARTS) -> list[Trial]:
    """The trials of the parts, in their order."""
    there = [name for name in parts if (HERE / f"{name}.py").is_file()]
    return [trial for name in there for trial in importlib.import_module(name).trials(seed)]


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a part: how many held, of how many that could be tried."""
    parts = list(dict.fromkeys(outcome.trial.part for outcome in outcomes))
    lines = ["| part | held | of | not tried here |", "|---|---|---|---|"]
    for part in parts:
        here = [outcome for outcome in outcomes if outcome.trial.part == part]
        tried = [outcome for outcome in here if not outcome.skipped]
        held = sum(not outcome.failure for outcome in tried)
        reasons = Counter(outcome.skipped for outcome in here if outcome.skipped)
        skipped = "; ".join(f"{count}: {reason}" for reason, count in reasons.items()) or "-"
        lines.append(f"| {part} | {held} | {len(tried)} | {skipped} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the trials one after another; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--only", default="", metavar="TEXT", help="only trials whose name holds this")
    parser.add_argument("--count", type=int, help="a seeded sample of so many of each part")
    arguments = parser.parse_args()
    # No trial reads or writes the user's own cache and settings.
    os.environ.update(CLAMSEG_CACHE=str(home() / "cache"), CLAMSEG_SETTINGS=str(home() / "settings"))
    load_all()
    outcomes: list[Outcome] = []
    started = time.monotonic()
    for part in arguments.part or PARTS:
        trials = [trial for trial in all_trials(arguments.seed, [part]) if arguments.only in trial.name]
        chosen = trials if arguments.count is None else sample(trials, arguments.count, arguments.seed)
        for trial in chosen:
            outcomes.append(outcome_of(trial))
            if outcomes[-1].failure:
                print(f"FAILED {trial.part}: {trial.name}: {outcomes[-1].failure}", flush=True)
        print(
            f"{part}: {len(chosen)} trials, {time.monotonic() - started:.0f} s after the start",
            file=sys.stderr,
            flush=True,
        )
    print(f"seed {arguments.seed}, {time.monotonic() - started:.0f} s\n")
    print(table(outcomes))
    return int(any(outcome.failure for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
