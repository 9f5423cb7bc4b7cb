"""The end of a training: decoding fitted on held-out slices, the card, and the model folder."""

from __future__ import annotations

import platform
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.model.checkpoint import parameter_count, save_model
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.fit_calibration import with_calibration
from ClamSegLib.training.fit_decoding import shallowest_level_that_holds, slice_smoothing_helps
from ClamSegLib.training.fit_threshold import threshold_of_corrections
from ClamSegLib.training.held_out import run_on_held_out
from ClamSegLib.training.learner import Learner
from ClamSegLib.training.request import TrainingRequest
from ClamSegLib.training.setup import TrainingSetup
from ClamSegLib.training.trainer import Trainer


def write_model(request: TrainingRequest, trainer: Trainer, finished: bool) -> None:
    """Writes the model folder of the best network so far.

    Raises:
        OutputError: not writable, disk full.
    """
    setup, best = trainer.learner.setup, trainer.at.best
    config = replace(
        setup.config,
        odds_normal=tuple(tuple(tuple(head) for head in branch) for branch in best["odds_normal"]),
        head_weights=(),
    )
    twin = trainer.best_model()
    config = finished_config(trainer.learner, twin, config, trainer.reporter)
    run = {
        "clamseg": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": str(request.device),
        "date": datetime.now(UTC).date().isoformat(),
        "command": list(request.command),
        "training": to_json(setup.training),
        "counts": setup.counts,
        "finished": finished,
        "best_step": trainer.at.best_step,
        "validation": best["figures"],
        "initial_model": request.initial_model.name if request.initial_model else None,
    }
    card = _card(request, setup, config, run)
    save_model(
        request.output,
        config,
        twin.cpu().state_dict(),
        card,
        run,
        normative=setup.normative,
        licence=request.licence_words(config.licence),
    )


def finished_config(learner: Learner, twin: TwinUNet, config: ModelConfig, reporter: Reporter) -> ModelConfig:
    """The configuration with everything that is fitted once the weights are known.

    Args:
        learner: its held-out and training slices are used, on its device.
        twin: in evaluation mode; moved to that device.
        config: with odds of normal tissue.
    """
    if config.task == "organ":
        return config
    twin = twin.to(learner.device)
    held_out = run_on_held_out(twin, learner.held_out)
    if len(held_out.label) < held_out.available:
        reporter.note(
            f"decoding is fitted on {len(held_out.label)} of {held_out.available} held-out slices (whole stacks)"
        )
    if config.normative is not None:
        config = with_calibration(learner, twin, config)
    else:
        config = replace(
            config,
            slice_smoothing=slice_smoothing_helps(config, held_out),
            threshold=threshold_of_corrections(twin, learner.source, config),
        )
    # Last: it compares outlines, which the threshold draws.
    return replace(config, default_level=shallowest_level_that_holds(config, held_out))


def _licence_words(config: ModelConfig) -> str:
    if not config.licence:
        return "not stated by the person who trained it"
    if not config.is_non_commercial:
        return config.licence
    return f"{config.licence}, for non-commercial use only, which its user confirms once; what is made from it is under it too"


def _card(request: TrainingRequest, setup: TrainingSetup, config: ModelConfig, run: dict[str, Any]) -> str:
    about = request.about or {}
    figures = "\n".join(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in run["validation"].items())
    counts = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in setup.counts.items())
    kind = " ".join(word for word in (config.modality, config.sequence) if word)
    where = "X-rays" if config.modality == "XR" else f"{config.plane} {kind} slices"
    held_out = not np.array_equal(setup.split[0], setup.split[1])
    shown = (
        "held-out patients of the training data" if held_out else "the training slices themselves, for lack of patients"
    )
    judged = (
        "against organ masks"
        if config.task == "organ"
        else "against lesion masks"
        if request.training.supervision == "masks"
        else "without any lesion mask"
    )
    return f"""# {config.name}

{RESEARCH_ONLY}

Outlines {", ".join(c.name for c in config.conditions)} in {where} ({config.body_part}); task {config.task}; learned from {"organ masks" if config.task == "organ" else "image labels" if request.training.supervision == "labels" else "lesion masks"}.

- Data: {about.get("data", request.folder.root.name)}
- Licence: {_licence_words(config)}
- Network: {config.network.branches} UNet++ branch(s), features {list(config.network.features)}, kernels {list(config.network.kernel_sizes)}, {parameter_count(config):,} parameters, {config.image_size} x {config.image_size} pixels
- Starting model: {run["initial_model"] or "none"}
- Command: `{shlex.join(run["command"]) or "library call"}`, seed {request.training.seed}, {run["date"]}

| data | |
|---|---|
{counts}

Figures on {shown}, {judged} (they chose the model, so they are optimistic):

| figure | |
|---|---|
{figures}

Limits: {about.get("limits", "not tested outside the data named above.")}
"""
