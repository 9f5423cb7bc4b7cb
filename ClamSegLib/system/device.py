"""The device that computes: chosen by name, refused when absent, its memory asked and its exhaustion recognised."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from ClamSegLib.system.disk import OUT_OF_MEMORY
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.loading import loading

if TYPE_CHECKING:
    import torch

_PRODUCT_SIDE, _HOPELESS = 256, 10.0


def choose_device(name: str = "auto") -> torch.device:
    """The torch device for `--device`.

    Args:
        name: 'auto' (first CUDA GPU if any, else the CPU), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        InputError: the name is unknown, or a GPU was asked for that is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdigit()):
        raise InputError(f"Device '{name}' is unknown; allowed are auto, cpu, cuda and cuda:N.")
    index, count = int(number or 0), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        found = "no CUDA GPU was found" if count == 0 else f"only cuda:0 to cuda:{count - 1} were found"
        raise InputError(f"Device '{name}' was asked for, but {found}; use --device auto or cpu.")
    return torch.device("cuda", index)


def take_threads(count: int) -> None:
    """Lets torch compute with so many threads; 0 leaves them as they are, and torch where it is."""
    if count:
        with loading():
            import torch

        torch.set_num_threads(count)


def clock_of(kind: str) -> tuple[str, Callable[[], float]]:
    """What work on devices of a kind ('cpu' or 'cuda') is timed by, in words and as a function.

    With one thread the processor's own time is the time of the work, whoever else uses the machine.
    """
    import torch

    if kind == "cpu" and torch.get_num_threads() == 1:
        return "processor time", time.process_time
    return "wall time", time.perf_counter


@cache
def is_bfloat16_fast(kind: str) -> bool:
    """Whether devices of a kind ('cpu' or 'cuda') compute bfloat16 faster than float32.

    A processor without instructions for it works it out number by number, many times slower, so that trying a
    network once would take minutes; a small product tells it in a tenth of a second.
    """
    import torch

    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    seconds: list[float] = []
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(_PRODUCT_SIDE, _PRODUCT_SIDE, dtype=dtype)
        matrix @ matrix  # the first sets the library up
        runs = []
        for _ in range(5):
            started = time.perf_counter()
            matrix @ matrix
            runs.append(time.perf_counter() - started)
            if len(seconds) == 1 and runs[-1] > _HOPELESS * seconds[0]:
                break
        seconds.append(min(runs))
    return seconds[1] < seconds[0]


@cache
def has_vnni() -> bool:
    """Whether the processor has instructions that multiply and add eight-bit numbers (AVX-512 VNNI or AVX-VNNI).

    Without them eight-bit networks are no faster, and round worse.
    """
    import torch

    asked = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.11
    if asked is None:
        older = getattr(torch.cpu, "_is_vnni_supported", None)
        return bool(older is not None and older())
    found = asked()
    return bool(found.get("avx512_vnni") or found.get("avx_vnni"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device, or the machine, ran out of memory."""
    import torch

    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
