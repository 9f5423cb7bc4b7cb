"""The end of a training, where NNCF is installed: the network in eight-bit numbers beside the weights, if scans gain by it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib.datasets.sample_crops import evenly
from ClamSegLib.engines.choose import gflop_of_a_slice, int8_pays
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.objective.batches import CropSource
from ClamSegLib.system.device import has_vnni
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.installation import installed_engines
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.learner import Learner


def quantize_where_it_helps(folder: Path, learner: Learner, reporter: Reporter) -> None:
    """Writes the int8 files of a finished model, calibrated on training slices and judged on held-out ones.

    The model is whole without them: whatever is in their way is a note.

    Args:
        folder: of the model that the training wrote.
        learner: its slices are used.
    """
    if not (importlib.util.find_spec("nncf") and "openvino" in installed_engines() and has_vnni()):
        return
    try:
        _quantize(folder, learner, reporter)
    except (
        ClamSegError,
        ImportError,
        MemoryError,
        OSError,
    ) as error:  # a licence that nobody has confirmed is one, too
        reporter.note(f"No int8 network: {words_of_the_machine(error) or error}")


def _quantize(folder: Path, learner: Learner, reporter: Reporter) -> None:
    model = load_model(folder)
    gflop = gflop_of_a_slice(model, model.config.level_of(None))
    if not int8_pays(gflop):
        return
    from ClamSegLib.engines.quantize import Crops, crops_to_look_at, quantize_model

    def crops_of(source: CropSource) -> Crops:
        slices = source.gather(torch.from_numpy(_some(source.label, crops_to_look_at(gflop))))
        return Crops(slices.image.float().cpu().numpy(), slices.organ.cpu().numpy())

    reporter.note("writing the network in eight-bit numbers")
    made = quantize_model(model, crops_of(learner.source), crops_of(learner.held_out), reporter)
    reporter.note(f"int8 network written; Dice of its masks with the reference {made.dice:.3f}")


def _some(label: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Numbers of at most `most` slices, evenly of those with disease and of those without."""
    kinds = [chosen for chosen in (np.flatnonzero(label > 0), np.flatnonzero(label == 0)) if len(chosen)]
    return np.sort(np.concatenate([chosen[evenly(len(chosen), most // 2)] for chosen in kinds]))
