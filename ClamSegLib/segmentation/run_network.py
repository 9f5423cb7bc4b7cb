"""All slices of a prepared volume through an engine: batches, fall-backs when memory runs out, maps pasted back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.slice_smoothing import have_neighbours
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.levels_by_need import run_by_need
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import Preparation
from ClamSegLib.segmentation.maps import CaseMaps
from ClamSegLib.system.device import choose_device, is_out_of_memory
from ClamSegLib.system.errors import EngineError, InputError, OutOfMemoryError
from ClamSegLib.system.malloc_tuning import kept_memory
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    import torch

    from ClamSegLib.engines.choose import OpenEngine, OpenSteps, Work

BY_NEED = "auto"
_AS_TRAINED = "Going on with the network as it was trained."
_CHOSEN_FAILED = f"The engine that was fastest here failed. {_AS_TRAINED}"


@dataclass(frozen=True)
class NetworkRun:
    """Maps of every slice, and what computed them.

    Attributes:
        probability: (K, slice, row, column) uint8 in steps of 1/255, canonical, 0 outside the organ.
        disagreement: same shape.
        device: that finished the run.
        level: deepest level that slices could reach.
        slices_by_level: how many slices each level gave the maps of.
        choosing_s: seconds it took to choose and build the engine.
        engine: for report.json: engine, precision, threads, batch_size, branches, agreement, reason.
        neighbours: whether each slice was heard together with those beside it.
    """

    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8]
    device: str
    level: int
    engine: dict[str, Any]
    slices_by_level: dict[int, int]
    choosing_s: float
    neighbours: bool


@kept_memory()
def run_network(
    preparation: Preparation,
    model: LoadedModel,
    *,
    device: str = "auto",
    level: int | str | None = None,
    batch_size: int | None = None,
    engine: str = "reference",
    cases_ahead: int = 1,
    neighbours: bool | None = None,
    reporter: Reporter | None = None,
) -> NetworkRun:
    """Probability and disagreement of every slice, canonical.

    Runs out of memory gracefully: smaller batches first, then the CPU, each said through the reporter. An engine that
    `auto` took and that fails gives way to the network as trained.

    Args:
        preparation: of the canonical volume.
        model: lesion or organ model.
        device: as `device.choose_device` takes it.
        level: 1..depth, None for the deepest, or 'auto': slices whose outline is decided leave at the first of the
            model's `early_exits` that is sure of it, with the maps of that level; a model without it runs all at the deepest.
        batch_size: slices at once; None leaves it to the engine.
        engine: of `engine.ENGINES`.
        cases_ahead: this case and those that follow: whether measuring engines is worth it.
        neighbours: hear each slice of a volume together with those beside it (neighbours.py); None: as the model says.
        reporter: told about progress and fall-backs.

    Raises:
        InputError: a level the model does not have, or an engine that is not installed.
        OutOfMemoryError: not even one slice fits on the CPU.
        EngineError: the engine that was asked for failed.
    """
    import torch

    reporter = reporter or Reporter()
    levels, limits = _stops(model, level)
    chosen = choose_device(device)
    together = model.config.neighbours if neighbours is None else neighbours
    together = together and model.config.task == "lesion" and have_neighbours(preparation.volume)
    plan = _Plan(chosen, engine, batch_size)
    opened: OpenEngine | None = None
    steps: OpenSteps | None = None
    choosing_s = 0.0
    while True:
        try:
            started = time.perf_counter()
            if opened is None:
                work = _work(preparation, model, levels[-1], plan, cases_ahead)
                opened = _opened(work, reporter)
            if limits and steps is None:
                steps = _steps(work, levels, opened, reporter)
            choosing_s += time.perf_counter() - started
            size = plan.batch_size or opened.engine.choice.batch_size
            told = {**_in_report(opened, steps), "batch_size": size}
            maps = CaseMaps.of(preparation, reporter, together)
            if steps is None:
                maps.run(opened.engine, size)
                by_level = {levels[-1]: preparation.n_slices}
            else:
                by_level = run_by_need(maps, steps.steps, limits, size)
            maps.finish(size)
            return NetworkRun(
                maps.probability, maps.disagreement, str(plan.device), levels[-1], told, by_level, choosing_s, together
            )
        except (RuntimeError, MemoryError, EngineError) as error:
            changed = plan.after(error, opened, reporter)
            if replace(changed, batch_size=plan.batch_size) != plan:
                opened, steps = None, None
            plan = changed
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


@dataclass(frozen=True)
class _Plan:
    """With what slices are run; arguments as for `run_network`."""

    device: torch.device
    engine: str
    batch_size: int | None

    def after(self, error: Exception, opened: OpenEngine | None, reporter: Reporter) -> _Plan:
        """What to go on with.

        Args:
            opened: the engine that failed; None: it was still being chosen.

        Raises:
            Exception: `error`, where nothing else may help.
            OutOfMemoryError: not even one slice fits on the CPU.
        """
        if isinstance(error, EngineError):
            if self.engine != "auto" or opened is None or opened.engine.choice.engine == "reference":
                raise error
            reporter.warning(f"{_CHOSEN_FAILED} {str(error).partition(';')[0]}.")
            return replace(self, engine="reference")
        if not is_out_of_memory(error):
            raise error
        size = self.batch_size or (opened.engine.choice.batch_size if opened else 1)
        if size > 1:
            reporter.warning(f"Memory of {self.device} ran out; going on with {size // 2} slice(s) at once.")
            return replace(self, batch_size=size // 2)
        if opened is None and self.engine != "reference":  # trying engines takes several slices at once
            reporter.warning(f"Memory of {self.device} ran out while engines were tried. {_AS_TRAINED}")
            return replace(self, engine="reference", batch_size=1)
        if self.device.type != "cpu":
            reporter.warning("Memory of the GPU ran out even for one slice; going on on the CPU, which is slower.")
            return _Plan(choose_device("cpu"), "reference", 1)
        raise OutOfMemoryError(
            "Memory ran out even for one slice at a time; close other programs and run again."
        ) from error


def _stops(model: LoadedModel, level: int | str | None) -> tuple[list[int], list[float]]:
    """The levels at which slices may leave, and the doubt with which they do at each but the last.

    Raises:
        InputError: the model has no such level, or none of its heads counts at it.
    """
    depth = model.config.network.heads
    if level == BY_NEED:
        exits = model.config.early_exits
        levels, limits = [*(leaves.level for leaves in exits), depth], [leaves.undecided for leaves in exits]
        if 1.0 in limits:  # all leave there, so nothing deeper is needed
            levels, limits = levels[: limits.index(1.0) + 1], limits[: limits.index(1.0)]
    else:
        level = depth if level is None else int(level)
        if not 1 <= level <= depth:
            raise InputError(f"Level {level} is not there; model '{model.config.name}' has the levels 1 to {depth}.")
        levels, limits = [level], []
    weights = model.config.head_weights
    if model.config.task == "lesion" and weights and not any(weights[: levels[0]]):
        raise InputError(
            f"Model '{model.config.name}' gives every head of level {levels[0]} the weight 0, so nothing can be told "
            f"there; its head_weights are {list(weights)}. Choose a deeper level."
        )
    return levels, limits


def _in_report(opened: OpenEngine, steps: OpenSteps | None) -> dict[str, Any]:
    choice: EngineChoice = opened.engine.choice if steps is None else steps.steps.choice
    return {
        "engine": choice.engine,
        "precision": choice.precision,
        "threads": choice.threads or _threads(),
        "branches": choice.branches,
        "agreement_with_reference": round(opened.agreement if steps is None else steps.agreement, 6),
        "chosen": opened.reason if steps is None else steps.reason,
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _opened(work: Work, reporter: Reporter) -> OpenEngine:
    """The engine, kept with the model for the next case unless it was the reference for lack of work."""
    from ClamSegLib.engines.choose import OpenEngine, choose_engine

    key = (work.level, str(work.device), work.asked, _threads())
    kept = work.model.engines.get(key)
    if isinstance(kept, OpenEngine):
        return kept
    opened = choose_engine(work, reporter)
    if opened.reason != "reference":
        work.model.engines[key] = opened
    return opened


def _work(
    preparation: Preparation,
    model: LoadedModel,
    level: int,
    plan: _Plan,
    cases_ahead: int,
) -> Work:
    """What engines are tried on: crops from the middle of the organ, where lesions and edges are."""
    from ClamSegLib.engines.choose import SAMPLE_SLICES, Work

    n = preparation.n_slices
    with_organ = np.flatnonzero(preparation.mask.any(axis=(1, 2)))
    some = with_organ if len(with_organ) else np.arange(n)
    places = np.linspace(0, len(some) - 1, min(SAMPLE_SLICES, len(some)) + 2)[1:-1].round().astype(int)
    index = np.unique(some[places])
    sample, organ = preparation.network_input(index), preparation.organ_input(index)
    return Work(model, level, plan.device, plan.engine, sample, organ, n * cases_ahead, plan.batch_size)


def _steps(work: Work, levels: Sequence[int], opened: OpenEngine, reporter: Reporter) -> OpenSteps:
    """The engine's steps to `levels`, kept with the model like the engine."""
    from ClamSegLib.engines.choose import OpenSteps, checked_steps

    key = (*levels, str(work.device), work.asked, _threads())
    kept = work.model.engines.get(key)
    if isinstance(kept, OpenSteps):
        return kept
    steps = checked_steps(work, levels, opened, reporter)
    if steps.reason != "reference":
        work.model.engines[key] = steps
    return steps
