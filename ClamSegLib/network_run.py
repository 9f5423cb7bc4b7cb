"""All slices of a prepared volume through an engine: batches, fall-backs when memory runs out, maps pasted back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.checkpoint import LoadedModel
from ClamSegLib.device import choose_device, is_out_of_memory
from ClamSegLib.early_exit import undecided
from ClamSegLib.engine import Engine, EngineChoice
from ClamSegLib.errors import ClamSegError, InputError, OutOfMemoryError
from ClamSegLib.map_refinement import refined
from ClamSegLib.memory_reuse import kept_memory
from ClamSegLib.neighbours import evidence, have_neighbours, heard_together
from ClamSegLib.preprocess import Preparation, resize_to_box
from ClamSegLib.progress import Reporter

if TYPE_CHECKING:
    import torch

    from ClamSegLib.engine_choice import OpenEngine

_STAGE = "segmenting slices"
BY_NEED = "auto"


@dataclass(frozen=True)
class NetworkRun:
    """Maps of every slice, and what computed them.

    Attributes:
        probability: (K, slice, row, column) uint8 in steps of 1/255, canonical, 0 outside the organ.
        disagreement: same shape.
        device: that finished the run.
        level: deepest level that ran.
        slices_by_level: how many slices each level gave the maps of.
        choosing_s: seconds it took to choose and build the engine.
        engine: for report.json: engine, precision, threads, batch_size, shells, agreement, reason.
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

    Runs out of memory gracefully: smaller batches first, then the CPU, each said through the reporter.

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
    """
    import torch

    reporter = reporter or Reporter()
    depth = model.config.network.heads
    exits = model.config.early_exits if level == BY_NEED else ()
    level = depth if level is None or isinstance(level, str) else level
    if not 1 <= level <= depth:
        raise InputError(f"Level {level} is not there; model '{model.config.name}' has the levels 1 to {depth}.")
    chosen = choose_device(device)
    together = model.config.neighbours if neighbours is None else neighbours
    together = together and model.config.task == "lesion" and have_neighbours(preparation.volume)
    opened: OpenEngine | None = None
    shallow: list[OpenEngine] = []
    choosing_s = 0.0
    while True:
        try:
            if opened is None:
                started = time.perf_counter()
                asked = (chosen, batch_size, engine, cases_ahead, reporter)
                opened = _opened(preparation, model, level, *asked)
                shallow = [_opened(preparation, model, leaves.level, *asked) for leaves in exits]
                choosing_s += time.perf_counter() - started
            size = batch_size or opened.engine.choice.batch_size
            told = {**_in_report(opened), "batch_size": size}
            maps = _Maps.of(preparation, reporter, together)
            stays, by_level = np.arange(preparation.n_slices), {}
            for leaves, at_level in zip(exits, shallow, strict=True):
                left = maps.run(at_level.engine, stays, size, leaves.undecided)
                by_level[leaves.level], stays = len(stays) - len(left), left
            maps.run(opened.engine, stays, size)
            by_level[level] = len(stays)
            maps.check()
            maps.hear_together(size)
            return NetworkRun(
                maps.probability, maps.disagreement, str(chosen), level, told, by_level, choosing_s, together
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = batch_size or (opened.engine.choice.batch_size if opened else 1)
            if size > 1:
                batch_size = max(1, size // 2)
                reporter.warning(f"Memory of {chosen} ran out; going on with {batch_size} slice(s) at once.")
            elif chosen.type != "cpu":
                chosen, batch_size, opened, engine = torch.device("cpu"), 1, None, "reference"
                reporter.warning("Memory of the GPU ran out even for one slice; going on on the CPU, which is slower.")
            else:
                raise OutOfMemoryError(
                    "Memory ran out even for one slice at a time; close other programs and run again."
                ) from error
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _in_report(opened: OpenEngine) -> dict[str, Any]:
    choice: EngineChoice = opened.engine.choice
    return {
        "engine": choice.engine,
        "precision": choice.precision,
        "threads": choice.threads or _threads(),
        "shells": choice.shells,
        "agreement_with_reference": round(opened.agreement, 6),
        "chosen": opened.reason,
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _opened(
    preparation: Preparation,
    model: LoadedModel,
    level: int,
    device: torch.device,
    batch_size: int | None,
    engine: str,
    cases_ahead: int,
    reporter: Reporter,
) -> OpenEngine:
    """The engine, kept with the model for the next case unless it was the reference for lack of work."""
    from ClamSegLib.engine_choice import SAMPLE_SLICES, OpenEngine, Work, choose_engine

    key = (level, str(device), engine, _threads())
    kept = model.engines.get(key)
    if isinstance(kept, OpenEngine):
        return kept
    n = preparation.n_slices
    # From the middle of the organ, where lesions and edges are.
    with_organ = np.flatnonzero(preparation.mask.any(axis=(1, 2)))
    some = with_organ if len(with_organ) else np.arange(n)
    places = np.linspace(0, len(some) - 1, min(SAMPLE_SLICES, len(some)) + 2)[1:-1].round().astype(int)
    index = np.unique(some[places])
    work = Work(
        model,
        level,
        device,
        engine,
        preparation.network_input(index),
        preparation.organ_input(index),
        n * cases_ahead,
        batch_size,
    )
    opened = choose_engine(work, reporter)
    if opened.reason != "reference":
        model.engines[key] = opened
    return opened


@dataclass
class _Maps:
    """The maps of a case while they are filled.

    Attributes:
        analysed: which slices have their final maps of the network.
        kept: (N,K,S,S) evidence of every slice where neighbours are heard, else None.
    """

    preparation: Preparation
    reporter: Reporter
    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8]
    analysed: NDArray[np.bool_]
    kept: NDArray[np.float16] | None

    @staticmethod
    def of(preparation: Preparation, reporter: Reporter, together: bool) -> _Maps:
        conditions, size = len(preparation.config.conditions), preparation.config.image_size
        shape = (conditions, *preparation.volume.array.shape)
        kept = np.zeros((shape[1], conditions, size, size), np.float16) if together else None
        reporter.progress(0, preparation.n_slices, _STAGE)
        return _Maps(
            preparation, reporter, np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape[1], bool), kept
        )

    def run(
        self, engine: Engine, slices: NDArray[np.int64], batch_size: int, leaving: float | None = None
    ) -> NDArray[np.int64]:
        """Fills the maps of `slices`.

        Args:
            leaving: slices of whose outline more is undecided are to be run again deeper; None: none is.

        Returns:
            The slices to run again.
        """
        stays: list[NDArray[np.int64]] = []
        for start in range(0, len(slices), batch_size):
            indices = slices[start : start + batch_size]
            image = self.preparation.network_input(indices)
            found, differs = engine.run(image)
            final = np.ones(len(indices), bool)
            # Heard with its neighbours, a slice is sharpened only after all are known.
            given = self._sharpened(found, image) if self.kept is None or leaving is not None else found
            if leaving is not None:
                config, organ = self.preparation.config, self.preparation.organ_input(indices)
                final = undecided(given, organ, config.threshold) <= leaving
                stays.append(indices[~final])
            if final.any():
                if self.kept is None:
                    paste_steps(self.preparation, given[final], indices[final], self.probability)
                else:
                    self.kept[indices[final]] = evidence(found[final])
                paste_steps(self.preparation, differs[final], indices[final], self.disagreement)
            self.analysed[indices[final]] = True
            self.reporter.progress(int(self.analysed.sum()), len(self.analysed), _STAGE)
        return np.concatenate(stays) if stays else np.zeros(0, np.int64)

    def hear_together(self, batch_size: int) -> None:
        """Makes the probability of each slice from its evidence and that of its neighbours, where they are heard."""
        if self.kept is None:
            return
        for start in range(0, len(self.kept), batch_size):
            stop = min(start + batch_size, len(self.kept))
            indices = np.arange(start, stop)
            sharpens = self.preparation.config.refinement is not None
            image = self.preparation.network_input(indices) if sharpens else np.zeros(0, np.float32)
            found = self._sharpened(heard_together(self.kept, start, stop), image)
            paste_steps(self.preparation, found, indices, self.probability)

    def _sharpened(self, found: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
        """P_L, sharpened by the image where the model does so."""
        refinement = self.preparation.config.refinement
        return found if refinement is None else refined(found, image, refinement)

    def check(self) -> None:
        """Raises ClamSegError unless every slice was analysed."""
        if not self.analysed.all():
            raise ClamSegError(
                f"Only {self.analysed.sum()} of {len(self.analysed)} slices were analysed; the result is not given out."
            )


def paste_steps(
    preparation: Preparation, maps: NDArray[np.float32], indices: NDArray[np.int64], into: NDArray[np.uint8]
) -> None:
    """Writes crops (B,K,S,S) in 0..1 as steps of 1/255 into the slices `indices` of (K, slice, row, column)."""
    box = preparation.box
    _, rows, columns = box.slices
    for condition in range(maps.shape[1]):
        values = resize_to_box(maps[:, condition], box)
        np.clip(values, 0, 1, out=values)
        values *= 255
        np.rint(values, out=values)
        # Slice by slice, so that what one step writes the next finds in the processor's cache.
        for index, steps in zip(indices, values, strict=True):
            # Outside the organ nothing was ever taught, so there the network's answer means nothing.
            place = into[condition, index, rows, columns]
            np.multiply(steps, preparation.mask[index, rows, columns], out=place, casting="unsafe")
