"""What computes the maps of a batch of crops: one interface, one choice of engine, precision, threads and batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.system.errors import InputError

ENGINES = ("auto", "reference", "torch", "openvino", "mnn")
PRECISIONS = ("float32", "bfloat16", "float16", "int8")

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class EngineChoice:
    """How the network runs; with the same choice a machine gives the same result.

    Attributes:
        engine: 'reference' (as trained, float32), 'torch', 'openvino' or 'mnn'.
        precision: of the convolutions; 'int8' where a quantised network lies beside the weights.
        threads: CPU threads; 0 as many as torch was told.
        batch_size: slices at once.
    """

    engine: str = "reference"
    precision: str = "float32"
    threads: int = 0
    batch_size: int = 8

    def __post_init__(self) -> None:
        allowed = {"engine": ENGINES[1:], "precision": PRECISIONS}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name} {getattr(self, name)!r} must be one of {', '.join(values)}.")
        if self.threads < 0 or self.batch_size < 1:
            raise InputError("threads must be at least 0 and batch_size at least 1.")

    def describe(self) -> str:
        """For people: 'torch, bfloat16, 2 threads, 8 slices at once'."""
        words = [self.engine, self.precision]
        if self.threads:
            words.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        words.append(f"{self.batch_size} slice{'s' if self.batch_size > 1 else ''} at once")
        return ", ".join(words)


class Engine(ABC):
    """A network of one level ready to run on one device."""

    def __init__(self, choice: EngineChoice) -> None:
        self.choice = choice

    @abstractmethod
    def run(self, image: NDArray[np.float32]) -> Maps:
        """Probability and disagreement of crops.

        Args:
            image: (B, 1, S, S) float32, any B; the choice's batch_size is the fastest.

        Returns:
            (B, K, S, S) float32 in 0..1 each.

        Raises:
            EngineError: the engine failed, or answered with values that are no numbers.
        """
