"""A seeded sample of the fault bench: a few trials of each part. The whole of it is `bench.py`; CONTRIBUTING says how."""

import pytest
from bench import PARTS, all_trials, table
from trial import Outcome, Skipped, Trial, outcome_of, sample

pytestmark = pytest.mark.slow

_SEED = 17
# How many trials of each part, and only those that begin with one of these words: a training takes seconds, not minutes.
_SAMPLE = {
    "kills": 2,
    "disk": 1,
    "limits": 1,
    "at_once": 1,
    "locks": 1,
    "overwriting": 1,
    "hostile_models": 2,
    "mutations": 12,
    "protocols": 1,
}
_QUICK = ("segment", "two segment", "a lock", "half messages")


def chosen() -> list[Trial]:
    found = []
    for part, count in _SAMPLE.items():
        trials = all_trials(_SEED, [part])
        quick = [trial for trial in trials if trial.name.startswith(_QUICK)] or trials
        found += sample(quick, count, _SEED)
    training = [
        trial for trial in all_trials(_SEED, ["kills"]) if trial.name.startswith("train --overwrite killed before")
    ]
    return [*found, training[2]]  # between the two renames


@pytest.mark.parametrize("trial", chosen(), ids=lambda trial: f"{trial.part}: {trial.name}")
def test_clamseg_holds(trial):
    outcome = outcome_of(trial)
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert not outcome.failure, outcome.failure


def test_the_same_seed_gives_the_same_trials_and_another_seed_others():
    def names(seed: int) -> list[str]:
        return [trial.name for trial in all_trials(seed, ["kills", "limits", "disk"])]

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_the_table_counts_what_held_of_what_could_be_tried():
    def trial(name: str) -> Trial:
        return Trial("killed", name, lambda folder: "")

    outcomes = [Outcome(trial("a")), Outcome(trial("b"), failure="gone"), Outcome(trial("c"), skipped="only root")]
    assert "| killed | 1 | 2 | 1: only root |" in table(outcomes)


def test_a_trial_that_cannot_be_made_here_says_why():
    def attempt(folder: object) -> str:
        raise Skipped("no such disk")

    assert outcome_of(Trial("disk", "x", attempt)) == Outcome(Trial("disk", "x", attempt), skipped="no such disk")


def test_every_part_is_there_and_has_trials(repository):
    missing = [part for part in PARTS if not (repository / "Testing" / "faults" / f"{part}.py").is_file()]
    assert missing == []
    assert all(all_trials(1, [part]) for part in PARTS)
