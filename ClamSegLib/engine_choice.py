"""Which engine runs a model here: measured once, checked against the reference, remembered.

The reference is the network as trained, in float32. Any other engine must mark at least 99.9 % of the organ's pixels
of real crops as the reference does, or it is not taken. Measuring costs a few seconds, so `auto` runs the reference
where the work ahead is shorter than that.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.checkpoint import LoadedModel
from ClamSegLib.clam import Clam
from ClamSegLib.conversion import DecodedClam, write_mnn, write_onnx, write_openvino
from ClamSegLib.engine import Engine, EngineChoice
from ClamSegLib.engine_candidates import by_promise, engines_to_try
from ClamSegLib.engine_memory import Remembered, converted_file, forget, question, recall, remember
from ClamSegLib.engine_torch import ReferenceEngine, TorchEngine, can_fold
from ClamSegLib.errors import ClamSegError
from ClamSegLib.map_refinement import refined
from ClamSegLib.progress import Reporter

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


def network_at(model: LoadedModel, level: int) -> Clam:
    """The model's shells with the nodes that `level` needs."""
    return model.clam if level == model.config.network.heads else model.clam.pruned(level)


def open_engine(model: LoadedModel, level: int, device: torch.device, choice: EngineChoice) -> Engine:
    """Builds the engine of a choice.

    Raises:
        InputError: the package of the engine is missing.
        OutputError: a converted network cannot be kept in the cache.
    """
    clam = network_at(model, level)
    if choice.engine == "reference":
        return ReferenceEngine(clam, model.config, choice, device)
    if choice.engine == "torch":
        return TorchEngine(clam, model.config, choice, device)
    return _open_converted(model, level, clam.to("cpu"), choice)  # the reference may have moved it elsewhere


def _open_converted(model: LoadedModel, level: int, clam: Clam, choice: EngineChoice) -> Engine:
    config = model.config

    def write(part: Path) -> Path:
        if choice.engine == "mnn":
            return write_mnn(clam, config, level, part)
        decoded = DecodedClam(clam, config).eval()
        return (write_onnx if choice.engine == "onnx" else write_openvino)(decoded, config, part)

    path = converted_file(config.weights_sha256, level, choice.engine, write)
    if choice.engine == "mnn":
        from ClamSegLib.engine_mnn import MnnEngine

        return MnnEngine(path, config, level, choice)
    if choice.engine == "onnx":
        from ClamSegLib.engine_onnx import OnnxEngine

        return OnnxEngine(path, choice)
    from ClamSegLib.engine_openvino import OpenVinoEngine

    return OpenVinoEngine(path, choice)


def choose_engine(work: Work, reporter: Reporter | None = None) -> OpenEngine:
    """The engine for some work: remembered, or measured now, or the reference where measuring is not worth it.

    Raises:
        InputError: an engine was asked for that is unknown, not installed, or does not run on the device.
    """
    reporter = reporter or Reporter()
    kinds = engines_to_try(work.asked, work.device)
    if work.asked == "reference":
        return _reference(work)
    asked = question(
        work.model.config.weights_sha256, work.level, str(work.device), work.asked, torch.get_num_threads()
    )
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
        self.expected = self._marked(_reference(work).engine.run(work.sample)[0])

    def fastest(self, kinds: list[str]) -> EngineChoice | None:
        """Times candidates: threads, then engines and precision, the order of the shells, the batch.

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
        if best.engine == "torch" and len(self.work.model.clam.shells) > 1 and can_fold(self.work.model.clam):
            best = self._try(replace(best, shells="together"), best)
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
            self.agreement[choice] = self._agreement(engine)
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

    def _marked(self, found: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Pixels above the threshold, as stored: in steps of 1/255."""
        refinement = self.work.model.config.refinement
        if refinement is not None:
            found = refined(found, self.work.sample, self.work.organ, refinement)
        steps = np.round(np.clip(found, 0, 1) * 255)
        return np.asarray(steps > 255 * self.work.model.config.threshold)

    def _agreement(self, engine: Engine) -> float:
        """Smallest share, over the conditions, of the organ's pixels that both engines mark alike."""
        found = engine.run(self.work.sample)[0]
        if not np.isfinite(found).all():
            raise ClamSegError("its maps hold values that are no numbers")
        same = self._marked(found) == self.expected
        inside = self.work.organ if self.work.organ.any() else np.ones_like(self.work.organ)
        return min(float(same[:, k][inside].mean()) for k in range(same.shape[1]))

    def _largest_batch(self) -> int:
        """So many slices that the widest maps of a shell stay in half a gigabyte."""
        network, side = self.work.model.config.network, self.work.model.config.image_size
        per_slice = side * side * 4 * network.features[0] * 2 * (self.work.level + 1)
        return max(1, _LARGEST_MAPS_BYTES // per_slice)
