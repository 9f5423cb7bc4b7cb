"""How long a slice takes at each level of a model on this machine, measured in seconds, not guessed."""

from __future__ import annotations

import time

from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.system.device import choose_device
from ClamSegLib.system.malloc_tuning import kept_memory

_BUDGET_S = 5.0


@kept_memory()
def seconds_per_slice(model: LoadedModel, device: str = "auto") -> dict[int, float]:
    """Seconds a slice per level, network and decoding, the faster of at least two batches after a warm-up.

    Each level runs on the engine that was chosen for it here, on the reference where none was yet.

    Args:
        model: lesion or organ model.
        device: as `choose_device` takes it.
    """
    import torch

    from ClamSegLib.engines.build import open_engine
    from ClamSegLib.engines.cache import identity_of, question, recall

    chosen = choose_device(device)
    config = model.config
    side, depth = config.image_size, config.network.heads
    generator = torch.Generator().manual_seed(0)
    times: dict[int, float] = {}
    for level in range(1, depth + 1):
        known = recall(question(identity_of(config), level, str(chosen), "auto", torch.get_num_threads()))
        try:
            engine = open_engine(model, level, chosen, known.choice if known else EngineChoice())
        except Exception:  # a library that was removed or damaged since; a run would measure anew
            engine = open_engine(model, level, chosen, EngineChoice())
        batch = engine.choice.batch_size
        image = torch.rand(batch, config.network.in_channels, side, side, generator=generator).numpy()
        until = time.perf_counter() + _BUDGET_S / depth
        runs: list[float] = []
        while len(runs) < 3 or (time.perf_counter() < until and len(runs) < 20):
            started = time.perf_counter()
            engine.run(image)
            runs.append(time.perf_counter() - started)
        times[level] = min(runs[1:]) / batch
    return times
