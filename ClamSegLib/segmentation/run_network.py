"""All slices of a prepared volume through an engine: batches, fall-backs when memory runs out, maps pasted back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.slice_smoothing import slices_are_close
from ClamSegLib.organ.crop_and_normalise import Preparation
from ClamSegLib.segmentation.maps import CaseMaps
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.system.device import choose_device, is_out_of_memory
from ClamSegLib.system.errors import EngineError, OutOfMemoryError
from ClamSegLib.system.malloc_tuning import give_back_memory, kept_memory
from ClamSegLib.system.progress import Reporter, Stopwatch

if TYPE_CHECKING:
    from ClamSegLib.engines.choose import OpenEngine, Work
    from ClamSegLib.model.checkpoint import LoadedModel

_AS_TRAINED = "Going on with the network as it was trained."
_CHOSEN_FAILED = f"The engine that was chosen here failed. {_AS_TRAINED}"


@dataclass(frozen=True)
class NetworkRun:
    """Maps of every slice, and what computed them.

    Attributes:
        probability: (K, slice, row, column) uint8 in steps of 1/255, canonical, 0 outside the organ.
        disagreement: same shape; None unless asked for.
        device: that finished the run.
        level: that ran.
        choosing_s: seconds it took to choose and build the engine.
        engine: for report.json: engine, precision, threads, batch_size, agreement.
        slice_smoothing: whether the evidence was averaged over neighbouring slices.
    """

    probability: NDArray[np.uint8]
    disagreement: NDArray[np.uint8] | None
    device: str
    level: int
    engine: dict[str, Any]
    choosing_s: float
    slice_smoothing: bool


def run_network(
    preparation: Preparation,
    model: LoadedModel,
    options: SegmentOptions,
    reporter: Reporter | None = None,
    *,
    with_disagreement: bool = False,
    opened: OpenEngine | None = None,
) -> NetworkRun:
    """Probability of every slice, and the disagreement of the branches where it is asked for, canonical.

    Runs out of memory gracefully: smaller batches first, then the CPU, each said through the reporter. An engine that
    `auto` took and that fails gives way to the network as trained.

    Args:
        preparation: of the canonical volume.
        model: lesion or organ model.
        options: device, level, engine, batch size and slice smoothing are used here.
        reporter: told about progress and fall-backs.
        opened: the engine to begin with; None chooses one.

    Raises:
        InputError: a level the model does not have, or an engine that is not installed.
        OutOfMemoryError: not even one slice fits on the CPU.
        EngineError: the engine that was asked for failed.
    """
    import torch

    from ClamSegLib.engines.choose import Work, choose_engine

    reporter = reporter or Reporter()
    level = model.config.level_of(options.level)
    smooths = model.config.slice_smoothing if options.slice_smoothing is None else options.slice_smoothing
    smooths = smooths and model.config.task == "lesion" and slices_are_close(preparation.volume)
    work = Work(preparation, model, level, choose_device(options.device), options.engine, options.batch_size)
    stage = Stopwatch({"choosing": 0.0})
    while True:
        try:
            if opened is None:
                with stage("choosing"):
                    opened = choose_engine(work, reporter)
            size = work.batch_size or opened.engine.choice.batch_size
            maps = CaseMaps.empty_for(preparation, reporter, smooths, with_disagreement=with_disagreement)
            with kept_memory():
                maps.run(opened.engine, size)
            maps.finish(size)
            give_back_memory()  # what the evidence of all slices took lies between what is still used
            told, seconds = _in_report(opened, size), stage.seconds["choosing"]
            return NetworkRun(maps.probability, maps.disagreement, str(work.device), level, told, seconds, smooths)
        except (RuntimeError, MemoryError, EngineError) as error:
            before, work = work, _after(error, work, opened, reporter)
            if replace(work, batch_size=before.batch_size) != before:
                opened = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _after(error: Exception, work: Work, opened: OpenEngine | None, reporter: Reporter) -> Work:
    """With what to go on.

    Args:
        opened: the engine that failed; None: it was still being chosen.

    Raises:
        Exception: `error`, where nothing else may help.
        OutOfMemoryError: not even one slice fits on the CPU.
    """
    if isinstance(error, EngineError):
        if work.engine != "auto" or opened is None or opened.engine.choice.engine == "reference":
            raise error
        reporter.warning(f"{_CHOSEN_FAILED} {str(error).partition(';')[0]}.")
        return replace(work, engine="reference")
    if not is_out_of_memory(error):
        raise error
    size = work.batch_size or (opened.engine.choice.batch_size if opened else 1)
    if size > 1:
        reporter.warning(f"Memory of {work.device} ran out; going on with {size // 2} slice(s) at once.")
        return replace(work, batch_size=size // 2)
    if opened is None and work.engine != "reference":  # trying an engine takes several slices at once
        reporter.warning(f"Memory of {work.device} ran out while engines were tried. {_AS_TRAINED}")
        return replace(work, engine="reference", batch_size=1)
    if work.device.type != "cpu":
        reporter.warning("Memory of the GPU ran out even for one slice; going on on the CPU, which is slower.")
        return replace(work, device=choose_device("cpu"), engine="reference", batch_size=1)
    raise OutOfMemoryError(
        "Memory ran out even for one slice at a time; close other programs and run again."
    ) from error


def _in_report(opened: OpenEngine, batch_size: int) -> dict[str, Any]:
    import torch

    choice = opened.engine.choice
    return {
        "engine": choice.engine,
        "precision": choice.precision,
        "threads": choice.threads or torch.get_num_threads(),
        "agreement_with_reference": round(opened.agreement, 6),
        "batch_size": batch_size,
    }
