"""Which packages each further engine needs beyond PyTorch, and which engines are installed; nothing is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util

# Names to import, which pip knows by the same names; the first one computes, the others convert networks for it.
ENGINE_PACKAGES = {
    "openvino": ("openvino",),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "mnn": ("MNN", "onnx", "onnxscript"),
}


def installed_engines() -> list[str]:
    """Engines of `ENGINE_PACKAGES` all of whose packages can be found."""
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
