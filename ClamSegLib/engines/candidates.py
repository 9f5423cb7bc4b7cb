"""Which engines may run where one was asked for, and in which order they are worth trying."""

from __future__ import annotations

import platform

import torch

from ClamSegLib.engines.engine import ENGINES
from ClamSegLib.system.device import is_bfloat16_fast
from ClamSegLib.system.engine_packages import ENGINE_PACKAGES, installed_engines
from ClamSegLib.system.errors import InputError

# ONNX Runtime was never the fastest here (docs/research/performance.md); it runs where it is asked for.
_OF_AUTO = ("mnn", "openvino")
_ARM = ("arm64", "aarch64")


def engines_to_try(asked: str, device: torch.device) -> list[str]:
    """The engines that may run where `asked` of `engine.ENGINES` was asked for.

    Raises:
        InputError: an engine that is unknown, not installed, or does not run on the device.
    """
    if asked not in ENGINES:
        raise InputError(f"Engine '{asked}' is unknown; allowed are {', '.join(ENGINES)}.")
    installed = installed_engines()
    if asked in ENGINE_PACKAGES and asked not in installed:
        raise InputError(f"Engine '{asked}' is not installed; install it with pip install 'clamseg[{asked}]'.")
    if asked in ENGINE_PACKAGES and device.type != "cpu":
        raise InputError(f"Engine '{asked}' computes on the CPU here, not on {device}; add --device cpu.")
    if asked == "auto":
        return ["torch", *(kind for kind in _OF_AUTO if kind in installed and device.type == "cpu")]
    return [asked]


def by_promise(kinds: list[str], device: torch.device) -> list[tuple[str, str]]:
    """Engine and precision, what promises most first, so that it is tried while there is time."""
    if device.type != "cpu":
        return [("torch", "float16")]
    promising = [("openvino", "bfloat16"), ("mnn", "float32"), ("torch", "bfloat16"), ("openvino", "float32")]
    if platform.machine().lower() in _ARM:
        promising.insert(0, ("mnn", "float16"))
    known = (*precisions_here(device), "float16")
    return [(kind, precision) for kind, precision in promising if kind in kinds and precision in known]


def precisions_here(device: torch.device) -> tuple[str, ...]:
    """float32, and bfloat16 where the device is not slower with it: elsewhere one pass would take minutes."""
    return ("float32", "bfloat16") if is_bfloat16_fast(device.type) else ("float32",)
