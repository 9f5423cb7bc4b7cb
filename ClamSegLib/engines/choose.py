"""Which engine runs a model here: measured once, checked against the reference, remembered.

The reference is the network as trained, in float32. Any other engine must mark at least 99.9 % of the organ's pixels
of real crops as the reference does, or it is not taken. Measuring costs a few seconds, so `auto` runs the reference
where the work ahead is shorter than that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.decoding.refinement import refined
from ClamSegLib.engines.build import open_engine, open_steps
from ClamSegLib.engines.cache import Remembered, forget, identity_of, question, recall, remember
from ClamSegLib.engines.candidates import by_promise, engines_to_try
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.torch_folded import can_fold
from ClamSegLib.level_steps import LevelSteps
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter

SMALLEST_AGREEMENT = 0.999
SAMPLE_SLICES = 4
DEFAULT_BATCH = 8
_WORTH_MEASURING_S = 5.0
_MEASURING_BUDGET_S = 20.0
_RUNS, _RUNS_BUDGET_S = 3, 1.5
# A later candidate must be clearly faster, or noise decides.
_CLEARLY_FASTER = 0.95
_LARGEST_MAPS_BYTES = 512 * 2**20
# A second run settles nothing where the first took so much longer than the best.
_HOPELESS = 1.5


@dataclass(frozen=True)
class Work:
    """What is to be run: a model at a level, on a device, with crops of the very case to try engines on.

    Attributes:
        asked: of `engine.ENGINES`.
        sample: (B,1,S,S) crops, a few.
        organ: (B,S,S) their organ.
        slices_ahead: how many slices will be run.
        batch_size: asked for, or None.
    """

    model: LoadedModel
    level: int
    device: torch.device
    asked: str
    sample: NDArray[np.float32]
    organ: NDArray[np.bool_]
    slices_ahead: int
    batch_size: int | None = None


@dataclass(frozen=True)
class OpenEngine:
    """An engine ready to run, and how it came to be chosen.

    Attributes:
        agreement: share of the organ's pixels marked as by the reference; 1 for the reference.
        reason: 'reference', 'measured', or 'remembered'.
    """

    engine: Engine
    agreement: float
    reason: str


@dataclass(frozen=True)
class OpenSteps:
    """The steps to several levels, ready to run; the rest as for `OpenEngine`, agreement the smallest of the levels."""

    steps: LevelSteps
    agreement: float
    reason: str


def choose_engine(work: Work, reporter: Reporter | None = None) -> OpenEngine:
    """The engine for some work: remembered, or measured now, or the reference where measuring is not worth it.

    Raises:
        InputError: an engine was asked for that is unknown, not installed, or does not run on the device.
    """
    reporter = reporter or Reporter()
    kinds = engines_to_try(work.asked, work.device)
    if work.asked == "reference":
        return _reference(work)
    asked = question(identity_of(work.model.config), work.level, str(work.device), work.asked, torch.get_num_threads())
    known = recall(asked)
    if known is not None:
        try:
            choice = replace(known.choice, batch_size=work.batch_size or known.choice.batch_size)
            return OpenEngine(open_engine(work.model, work.level, work.device, choice), known.agreement, "remembered")
        except Exception:  # a library that was damaged since; what it raises is its own affair
            forget(asked)
    if work.asked == "auto" and not _worth_measuring(work):
        return _reference(work)
    reporter.progress(0, 1, "choosing an engine (once per model)")
    trial = _Trial(work, reporter)
    fastest = trial.fastest(kinds)
    reporter.progress(1, 1, "choosing an engine (once per model)")
    if fastest is None:
        return _reference(work)
    agreement = trial.agreement[fastest]
    remember(asked, Remembered(fastest, agreement), trial.table())
    choice = replace(fastest, batch_size=work.batch_size or fastest.batch_size)
    return OpenEngine(open_engine(work.model, work.level, work.device, choice), agreement, "measured")


def _reference(work: Work) -> OpenEngine:
    choice = EngineChoice(batch_size=work.batch_size or DEFAULT_BATCH)
    return OpenEngine(open_engine(work.model, work.level, work.device, choice), 1.0, "reference")


def checked_steps(work: Work, levels: Sequence[int], opened: OpenEngine, reporter: Reporter) -> OpenSteps:
    """The steps by which a chosen engine reaches `levels`; those of the reference where its masks differ at one of them.

    Args:
        work: what `opened` was chosen for.
        levels: shallow first, the last that of `work`.
    """
    choice = opened.engine.choice

    def reference() -> LevelSteps:
        return open_steps(work.model, levels, work.device, EngineChoice(batch_size=choice.batch_size))

    if choice.engine == "reference":
        return OpenSteps(reference(), 1.0, opened.reason)
    asked = question(
        identity_of(work.model.config), levels, str(work.device), choice.in_words(), torch.get_num_threads()
    )
    known = recall(asked)
    try:
        steps = open_steps(work.model, levels, work.device, choice)
        if known is not None:
            return OpenSteps(steps, known.agreement, opened.reason)
        agreement = min(
            _agreement(work, found, _marked(work, expected))
            for found, expected in zip(_at_levels(steps, work), _at_levels(reference(), work), strict=True)
        )
        if agreement >= SMALLEST_AGREEMENT:
            remember(asked, Remembered(choice, agreement), [])
            return OpenSteps(steps, agreement, opened.reason)
        why = f"its masks agree with the reference on {agreement:.3%} of the organ"
    except ClamSegError as error:
        why = str(error)
    except Exception as error:  # engines are foreign libraries; one that fails is only not taken
        why = f"it failed ({type(error).__name__})"
    reporter.note(f"Engine {choice.in_words()} is not taken level by level: {why.rstrip('.')}.")
    return OpenSteps(reference(), 1.0, "reference")


def _at_levels(steps: LevelSteps, work: Work) -> list[NDArray[np.float32]]:
    """P_L (B,K,S,S) of the sample at every level."""
    halfway = steps.begin(np.arange(len(work.sample)), work.sample)
    found = [steps.maps(halfway)[0]]
    for step in range(1, len(steps.levels)):
        halfway = steps.go_on(step, halfway)
        found.append(steps.maps(halfway)[0])
    return found


def _worth_measuring(work: Work) -> bool:
    if work.slices_ahead < 2 * SAMPLE_SLICES:
        return False
    engine = _reference(work).engine
    engine.run(work.sample[:1])
    started = time.perf_counter()
    engine.run(work.sample[:1])
    return (time.perf_counter() - started) * work.slices_ahead > _WORTH_MEASURING_S


class _Trial:
    """Tries engines on the crops of a case, each best so far against the next."""

    def __init__(self, work: Work, reporter: Reporter) -> None:
        self.work, self.reporter = work, reporter
        self.until = time.perf_counter() + _MEASURING_BUDGET_S
        self.seconds: dict[EngineChoice, float] = {}
        self.agreement: dict[EngineChoice, float] = {}
        self.refused: dict[EngineChoice, str] = {}
        self.expected = _marked(work, _reference(work).engine.run(work.sample)[0])

    def fastest(self, kinds: list[str]) -> EngineChoice | None:
        """Times candidates: threads, then engines and precision, the order of the branches, the batch.

        None where no candidate agrees with the reference.
        """
        limit = torch.get_num_threads()
        first = EngineChoice(kinds[0], "float32", limit, min(4, self._largest_batch()))
        best = self._try(first, first, in_any_case=True)
        if self.work.device.type == "cpu":
            for threads in sorted({1, limit // 2} - {0, limit}):
                best = self._try(replace(best, threads=threads), best)
        plain = best
        tried = {first.engine}
        for kind, precision in by_promise(kinds, self.work.device):
            # What each engine does best is tried however long those before took.
            best = self._try(replace(plain, engine=kind, precision=precision), best, in_any_case=kind not in tried)
            tried.add(kind)
        if best.engine == "torch" and len(self.work.model.twin.branches) > 1 and can_fold(self.work.model.twin):
            best = self._try(replace(best, branches="together"), best)
        # MNN runs slices one at a time whatever the batch.
        for batch in () if best.engine == "mnn" else (1, 2, 8, 16):
            if batch <= self._largest_batch() and self.work.batch_size is None:
                best = self._try(replace(best, batch_size=batch), best)
        return best if best in self.seconds else None

    def table(self) -> list[dict[str, object]]:
        """What was measured, for the file that remembers it."""
        rows: list[dict[str, object]] = [
            {**asdict(c), "seconds_per_slice": s, "refused": self.refused.get(c, "")} for c, s in self.seconds.items()
        ]
        return rows + [{**asdict(c), "refused": why} for c, why in self.refused.items() if c not in self.seconds]

    def _try(self, choice: EngineChoice, best: EngineChoice, in_any_case: bool = False) -> EngineChoice:
        """The better of two choices, once `choice` was timed and compared with the reference."""
        if choice in self.seconds or choice in self.refused:
            return best
        if not in_any_case and time.perf_counter() > self.until:
            return best
        try:
            engine = open_engine(self.work.model, self.work.level, self.work.device, choice)
            self.agreement[choice] = _agreement(self.work, engine.run(self.work.sample)[0], self.expected)
            if self.agreement[choice] < SMALLEST_AGREEMENT:
                self._refuse(choice, f"its masks agree with the reference on {self.agreement[choice]:.3%} of the organ")
                return best
            self.seconds[choice] = self._seconds(engine, self.seconds.get(best))
        except ClamSegError as error:
            self._refuse(choice, str(error))
            return best
        except Exception as error:  # engines are foreign libraries; one that fails is only not taken
            self._refuse(choice, f"it failed ({type(error).__name__})")
            return best
        known = self.seconds.get(best)
        return choice if known is None or self.seconds[choice] < _CLEARLY_FASTER * known else best

    def _refuse(self, choice: EngineChoice, why: str) -> None:
        self.refused[choice] = why
        self.reporter.note(f"Engine {choice.in_words()} is not taken: {why.rstrip('.')}.")

    def _seconds(self, engine: Engine, best: float | None) -> float:
        """Seconds a slice, the fastest of a few runs: other work on the machine only ever adds to them."""
        batch = engine.choice.batch_size
        image = self.work.sample[np.arange(batch) % len(self.work.sample)]
        if batch != len(self.work.sample):
            engine.run(image)  # warm for this size; for the sample's the comparison with the reference was that
        until = time.perf_counter() + _RUNS_BUDGET_S
        runs: list[float] = []
        while not runs or (len(runs) < _RUNS and time.perf_counter() < until):
            started = time.perf_counter()
            engine.run(image)
            runs.append(time.perf_counter() - started)
            if best is not None and runs[-1] / batch > _HOPELESS * best:
                break
        return min(runs) / batch

    def _largest_batch(self) -> int:
        """So many slices that the widest maps of a branch stay in half a gigabyte."""
        network, side = self.work.model.config.network, self.work.model.config.image_size
        per_slice = side * side * 4 * network.features[0] * 2 * (self.work.level + 1)
        return max(1, _LARGEST_MAPS_BYTES // per_slice)


def _marked(work: Work, found: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels of the sample above the threshold, as stored: in steps of 1/255."""
    refinement = work.model.config.refinement
    if refinement is not None:
        found = refined(found, work.sample, work.organ, refinement)
    steps = np.round(np.clip(found, 0, 1) * 255)
    return np.asarray(steps > 255 * work.model.config.threshold)


def _agreement(work: Work, found: NDArray[np.float32], expected: NDArray[np.bool_]) -> float:
    """Smallest share, over the conditions, of the organ's pixels that are marked as expected."""
    if not np.isfinite(found).all():
        raise ClamSegError("its maps hold values that are no numbers")
    same = _marked(work, found) == expected
    inside = work.organ if work.organ.any() else np.ones_like(work.organ)
    return min(float(same[:, k][inside].mean()) for k in range(same.shape[1]))
