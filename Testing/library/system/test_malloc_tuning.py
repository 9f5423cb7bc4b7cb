import os
import subprocess
import sys

import pytest
import torch

from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.engines.torch_folded import TorchEngine
from ClamSegLib.experiments.speed_side_by_side import comparison_config
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system import malloc_tuning as memory_reuse
from ClamSegLib.system.malloc_tuning import kept_memory


class Library:
    """Writes down what a C library is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def mallopt(self, what: int, value: int) -> None:
        self.asked.append((what, value))

    def malloc_trim(self, padding: int) -> None:
        self.asked.append(("trim", padding))


def test_memory_is_kept_within_the_outermost_block_and_given_back_after_it(monkeypatch):
    library = Library()
    monkeypatch.setattr(memory_reuse, "_glibc", lambda: library)
    with kept_memory():
        with kept_memory():
            pass
        assert ("trim", 0) not in library.asked
    assert library.asked[-1] == ("trim", 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_lies_free_between_used_blocks_goes_back_to_the_system_when_it_is_asked_for(repository):
    ask = """
from pathlib import Path
from ClamSegLib.system.malloc_tuning import give_back_memory
def used_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
blocks = [b"x" * (100_000 + n % 7) for n in range(2000)]
blocks = blocks[::50]
before = used_mb()
give_back_memory()
print(before - used_mb())
"""
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    told = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert float(told.stdout) > 150


def test_an_error_inside_the_block_gives_the_memory_back_too(monkeypatch):
    library = Library()
    monkeypatch.setattr(memory_reuse, "_glibc", lambda: library)
    with pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")
    assert library.asked[-1] == ("trim", 0)


def test_where_the_c_library_is_another_one_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory_reuse, "_glibc", lambda: None)
    with kept_memory():
        assert torch.ones(2).sum() == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_memory_that_batches_of_different_sizes_share_leaves_no_trace_in_their_maps(precision):
    config = comparison_config((4, 8, 16), 32)
    twin = TwinUNet(config.network, seed=3).eval()
    choice = EngineChoice("torch", precision)
    image = torch.randn(5, 1, 32, 32, generator=torch.Generator().manual_seed(1)).numpy()
    used = TorchEngine(twin, config, choice, torch.device("cpu"))

    first = [used.run(image[:n])[0].copy() for n in (5, 1, 3, 5)]

    for n, found in zip((5, 1, 3, 5), first, strict=True):
        fresh = TorchEngine(twin, config, choice, torch.device("cpu")).run(image[:n])[0]
        assert (found == fresh).all()
