"""What of the installation is there and works: packages, torch, further engines, and a kernel on every GPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from typing import Any

from ClamSegLib.system.device import has_vnni
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.loading import loading
from ClamSegLib.system.memory import cpu_memory_mb

PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "safetensors", "pydicom", "highdicom")
_NEEDED = ("numpy", "scipy", "SimpleITK", "safetensors", "pydicom")
_NO_TORCH = "PyTorch is not installed; use Setup, Install."
# What each further engine needs beyond PyTorch, by the names that both Python and pip know; the first one computes, the
# others convert networks for it.
ENGINE_PACKAGES = {"openvino": ("openvino",), "mnn": ("MNN", "onnx", "onnxscript")}


class InstallationError(ClamSegError):
    """torch is missing or damaged: nothing that needs a network can run."""

    exit_code = 2


def versions() -> dict[str, str | None]:
    """Installed version of each package, None where it is absent; nothing is imported."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def installed_engines() -> list[str]:
    """Engines of `ENGINE_PACKAGES` all of whose packages can be found; nothing is imported."""
    return [kind for kind, names in ENGINE_PACKAGES.items() if all(map(importlib.util.find_spec, names))]


def engine_versions() -> dict[str, str | None]:
    """Version of what computes in each engine, None where the engine is not installed or only in part."""
    found: dict[str, str | None] = dict.fromkeys(ENGINE_PACKAGES)
    for kind in installed_engines():
        try:
            found[kind] = importlib.metadata.version(ENGINE_PACKAGES[kind][0])
        except importlib.metadata.PackageNotFoundError:  # its files without pip's record of them
            continue
    return found


def drawing_problem() -> str:
    """Why no pictures and curves are drawn here, in a sentence; '' where Matplotlib is installed.

    Slicer does not bundle it and needs none: its panel shows maps and curves itself.
    """
    if importlib.util.find_spec("matplotlib"):
        return ""
    return "Matplotlib is not installed, so pictures and curves are not drawn; everything else is written."


def torch_problem() -> str:
    """Why networks cannot run, with what to do; '' where torch imports and computes."""
    try:
        with loading():
            import torch
    except ModuleNotFoundError as error:
        if error.name == "torch":
            return _NO_TORCH
        return f"PyTorch is installed only in part ({_words(error)}); use Setup, Repair."
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a half-installed torch fails in many ways: OSError, SystemExit, a panic of Rust
        return f"PyTorch is installed but does not load ({_words(error)}); use Setup, Repair."
    try:
        if float((torch.ones(2, 2) @ torch.ones(2, 2)).sum()) != 8.0:
            return "PyTorch computes wrongly on the CPU; use Setup, Repair."
    except Exception as error:
        return f"PyTorch loads but does not compute ({_words(error)}); use Setup, Repair."
    return ""


def require_torch_files() -> None:
    """Refuses where torch is not installed at all, without loading it.

    Raises:
        InstallationError: likewise.
    """
    if "torch" not in sys.modules and not importlib.util.find_spec("torch"):
        raise InstallationError(_NO_TORCH)


def require_torch() -> None:
    """Refuses in one sentence where networks cannot run.

    Raises:
        InstallationError: torch is missing or damaged.
    """
    problem = torch_problem()
    if problem:
        raise InstallationError(problem)


def devices() -> list[dict[str, Any]]:
    """The CPU and every CUDA GPU: name, description, free and total memory in MB, whether a kernel really runs."""
    free, total = cpu_memory_mb()
    found: list[dict[str, Any]] = [
        {"name": "cpu", "description": platform.processor() or platform.machine(), "free_mb": free, "total_mb": total,
         "works": True, "problem": ""}
    ]  # fmt: skip
    import torch

    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        entry: dict[str, Any] = {"name": f"cuda:{index}", "description": "", "free_mb": None, "total_mb": None}
        try:
            entry["description"] = torch.cuda.get_device_name(index)
            free_bytes, total_bytes = torch.cuda.mem_get_info(index)
            entry["free_mb"], entry["total_mb"] = free_bytes // 2**20, total_bytes // 2**20
            one = torch.nn.functional.conv2d(
                torch.ones(1, 1, 4, 4, device=entry["name"]), torch.ones(1, 1, 3, 3, device=entry["name"])
            )
            entry["works"] = float(one.sum()) == 36.0
            entry["problem"] = "" if entry["works"] else "computes wrongly"
        except Exception as error:  # the wrong CUDA build fails only when a kernel starts
            entry["works"], entry["problem"] = False, _words(error)
        found.append(entry)
    return found


def packages_at_hand() -> dict[str, Any]:
    """What is installed as far as that is known without importing it: python, packages, engines."""
    return {"python": platform.python_version(), "packages": versions(), "engines": engine_versions()}


def examine_installation(problem: str | None = None) -> dict[str, Any]:
    """Everything the Setup part of a front shows; never fails.

    Args:
        problem: of torch, where that is known; else torch is tried.

    Returns:
        python, torch (version or None), packages, engines (version or None of each), vnni (whether the processor computes
        eight-bit networks), problems (sentences with what to do), devices.
    """
    at_hand = packages_at_hand()
    packages = at_hand["packages"]
    problem = torch_problem() if problem is None else problem
    problems = [problem] if problem else []
    problems += [f"{name} is not installed; use Setup, Install." for name in _NEEDED if packages[name] is None]
    found: list[dict[str, Any]] = []
    if not problem:
        found = devices()
        problems += [
            f"The GPU {entry['name']} ({entry['description']}) does not compute ({entry['problem']}); "
            "choose the CPU, or use Setup, Repair for a PyTorch that fits its driver."
            for entry in found
            if not entry["works"]
        ]
    return {
        **at_hand,
        "torch": None if problem else packages["torch"],
        "vnni": not problem and has_vnni(),
        "problems": problems,
        "devices": found,
    }


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
