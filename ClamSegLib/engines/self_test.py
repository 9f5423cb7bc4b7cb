"""Whether an engine computes on this machine: a real network, random crops, compared with the network as trained.

`auto` does not take an engine that refuses or answers wrongly, but one that ends the process would end every run. So an
engine is tried once where it was just installed, in a process that may end.
"""

from __future__ import annotations

import numpy as np
import torch

from ClamSegLib.engines.build import open_engine
from ClamSegLib.engines.choose import require_engine
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.installation import ENGINE_PACKAGES

LARGEST_DIFFERENCE = 0.01


def try_engine(model: LoadedModel, kind: str) -> float:
    """Converts the network, runs two crops on the CPU, and compares.

    Args:
        kind: of `ENGINE_PACKAGES`.

    Returns:
        Largest difference of a probability or disagreement from the reference, at most `LARGEST_DIFFERENCE`.

    Raises:
        InputError: an engine that is unknown or not installed.
        ClamSegError: it cannot convert the network, or answers otherwise than the network as trained.
    """
    if kind not in ENGINE_PACKAGES:
        raise InputError(f"Engine '{kind}' cannot be tried; allowed are {', '.join(ENGINE_PACKAGES)}.")
    cpu = torch.device("cpu")
    require_engine(kind, cpu)
    level = model.config.network.heads
    size = (2, model.config.network.in_channels, model.config.image_size, model.config.image_size)
    image = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    expected = open_engine(model, level, cpu, EngineChoice()).run(image)
    found = open_engine(model, level, cpu, EngineChoice(kind)).run(image)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    if not difference <= LARGEST_DIFFERENCE:  # a NaN, too
        raise ClamSegError(
            f"Engine '{kind}' differs from the trained network by {difference:.3g} in probability; "
            f"at most {LARGEST_DIFFERENCE} is allowed."
        )
    return difference
