"""How long a slice takes at each level of a model on this machine, measured in seconds, not guessed."""

from __future__ import annotations

import time

from ClamSegLib.checkpoint import LoadedModel
from ClamSegLib.clam import decode
from ClamSegLib.device import choose_device

_BUDGET_S = 5.0


def seconds_per_slice(model: LoadedModel, device: str = "auto", batch_size: int = 8) -> dict[int, float]:
    """Seconds a slice per level, network and decoding, the faster of at least two batches after a warm-up.

    Args:
        model: lesion or organ model.
        device: as `choose_device` takes it.
        batch_size: slices at once, as in a run.
    """
    import torch

    chosen = choose_device(device)
    config = model.config
    side = config.image_size
    image = torch.rand(batch_size, config.network.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    image = image.to(chosen).contiguous(memory_format=torch.channels_last)
    depth = config.network.depth
    times: dict[int, float] = {}
    for level in range(1, depth + 1):
        clam = model.clam if level == depth else model.clam.pruned(level)
        placed = clam.to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
        until = time.perf_counter() + _BUDGET_S / depth
        runs: list[float] = []
        with torch.inference_mode():
            while len(runs) < 3 or (time.perf_counter() < until and len(runs) < 20):
                started = time.perf_counter()
                decode(placed(image), config)[0].sum().item()  # waits for the device
                runs.append(time.perf_counter() - started)
        times[level] = min(runs[1:]) / batch_size
    return times
