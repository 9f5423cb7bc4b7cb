"""ClamSegLib: lesion segmentation of CT, MR and X-ray slices learned from image labels.

    import ClamSegLib as cs
    result = cs.segment("scan.nii.gz", "ct-lung-lesion")

The package knows images and networks and nothing of 3D Slicer. Importing it is cheap: torch, SimpleITK and scipy
are imported by the files that use them, never here; the names of `ClamSegLib.api` are loaded when first used.
docs/explanation.md draws the rooms of the house.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ClamSegLib.api import (
        InputError,
        LoadedModel,
        Segmentation,
        Volume,
        load_model,
        outline_at,
        read_volume,
        segment,
        train,
    )

__all__ = [
    "InputError",
    "LoadedModel",
    "Segmentation",
    "Volume",
    "load_model",
    "outline_at",
    "read_volume",
    "segment",
    "train",
]

__version__ = "0.1.0"

RESEARCH_ONLY = "For research, not for diagnosis."


def __getattr__(name: str) -> Any:
    """The front door, opened by the first use of one of its names (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'ClamSegLib' has no attribute '{name}'")
    return getattr(import_module("ClamSegLib.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
