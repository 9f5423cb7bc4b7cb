"""Processes stopped while they start: one line or none, never a traceback, and nothing half-written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from materials import hidden, segment_words
from trial import Trial

_REPOSITORY = Path(__file__).resolve().parents[2]
_COUNT = 12
# Python itself loads for so long, before any of ClamSeg's text runs; a traceback of that time is Python's own.
_PYTHON_S = 0.3


def trials(seed: int) -> list[Trial]:
    """Ctrl-C and SIGTERM at random moments of the first seconds."""
    rng = random.Random(f"starts {seed}")
    moments = [(rng.uniform(_PYTHON_S, 4.0), rng.choice((signal.SIGINT, signal.SIGTERM))) for _ in range(_COUNT)]
    return [Trial("stopped while starting", f"{n.name} after {s:.2f} s", _attempt(s, n)) for s, n in moments]


def _attempt(after_s: float, number: signal.Signals) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        words = [str(word) for word in segment_words(folder / "out")]
        process = subprocess.Popen(
            [sys.executable, "-m", "ClamSegLib", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
        )  # fmt: skip
        time.sleep(after_s)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        python_itself = "KeyboardInterrupt" in err and "ClamSegLib" not in err
        if process.returncode not in (0, 130, -signal.SIGTERM) and not python_itself:
            return f"ended with {process.returncode}: {err[-200:]}"
        # While Python itself loads, a traceback is its own.
        if "Traceback" in err + out and "ClamSegLib" in err + out:
            return f"ended with {process.returncode} and a traceback"
        left = hidden(folder)
        return f"left behind: {left}" if left else ""

    return attempt
