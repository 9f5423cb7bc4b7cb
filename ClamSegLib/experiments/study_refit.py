"""The decoding of a finished training fitted anew by the code of today, without training again."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import torch

from ClamSegLib.datasets.rows import LabelledFolder
from ClamSegLib.model.checkpoint import LoadedModel, load_model, save_model
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import from_json
from ClamSegLib.model.model_folder import CARD, RUN
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.finish import finished_config
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.setup import prepare_training


def refitted_model(
    model: LoadedModel,
    start: LoadedModel | None,
    folder: LabelledFolder,
    output: Path,
    device: torch.device,
    reporter: Reporter,
) -> LoadedModel:
    """The model with its cut, calibration and decoding fitted anew, as a model folder of its own.

    Args:
        model: a finished training.
        start: the model it was fine-tuned from, or None.
        folder: the data it learned from, with the splits that it had.
        output: the new model folder.

    Raises:
        InputError: the data does not fit the model.
        OutputError: not writable, disk full.
    """
    run = json.loads((model.folder / RUN).read_text(encoding="utf-8"))
    # Keys that are gone since decided how the weights were learned, not how they are decoded.
    known = {field.name for field in fields(TrainingConfig)}
    training = from_json(TrainingConfig, {k: v for k, v in run["training"].items() if k in known}, RUN)
    # Training slices must be compared with the maps of other patients, so they are measured again.
    setup = prepare_training(folder, model.config, training, reporter, start.normative if start else None)
    learner = Learner(setup, device)
    # Threshold and smoothing start from where the training's own did, not from what it had found.
    smoothing = start.config.slice_smoothing if start else model.config.slice_smoothing
    before = replace(model.config, threshold=ModelConfig.threshold, slice_smoothing=smoothing, refinement=None)
    config = finished_config(learner, model.twin.to(device), before, reporter)
    card = (model.folder / CARD).read_text(encoding="utf-8")
    weights = model.twin.cpu().state_dict()
    save_model(output, config, weights, card, run, normative=model.normative)
    return load_model(output)
