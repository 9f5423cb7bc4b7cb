"""UNet++ of segmentation_models_pytorch for the comparison: as it comes, and at the features of the others.

It needs torchvision, whose compiled operators load only beside the torch that they were built for: those from PyPI not
beside a torch without CUDA. UNet++ calls none of them, so here their absence does not keep torchvision from importing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from torch import Tensor, library, nn

# The operators whose shapes torchvision describes in Python when it is imported.
DESCRIBED_OPERATORS = ("nms", "qnms")


def import_without_operators(package: str, operators: Sequence[str]) -> bool:
    """Imports a package that describes operators of its own, even where these operators do not load.

    Their names are declared, without work behind them, while the package is imported and only then: who calls one later
    is told, as without this function, that it does not exist.

    Args:
        package: name of the package and of its operators' namespace.
        operators: that may be declared.

    Returns:
        Whether names had to be declared.

    Raises:
        ImportError: the package, or one that it needs, is not installed.
        RuntimeError: the package does not import for another reason than a missing one of `operators`.
    """
    try:
        import_module(package)
    except RuntimeError as error:
        if str(error) not in {f"operator {package}::{name} does not exist" for name in operators}:
            raise
    else:
        return False
    # Torch takes the names back when the fragment goes out of scope.
    fragment = library.Library(package, "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in operators:
        fragment.define(f"{name}() -> ()")  # type: ignore[no-untyped-call]
    import_module(package)
    return True


@cache
def remark_on_torchvision() -> str:
    """Imports torchvision; what the reader of a figure must know of how, or nothing."""
    if import_without_operators("torchvision", DESCRIBED_OPERATORS):
        return "torchvision's compiled operators do not load here; this network calls none"
    return ""


class SameFeatures(nn.Module):
    """Nodes and head of segmentation_models_pytorch's UNet++ over a plain encoder, two convolutions a level.

    Its encoders give their first features at half the resolution, so its UNet++ has no nodes at full resolution but a
    last one that only enlarges. Here the first features are at full resolution, as in the paper and in the other
    networks of the comparison, and that last node goes.

    Args:
        features: per level, full resolution first; at least 3 levels.
    """

    def __init__(self, features: Sequence[int]) -> None:
        super().__init__()
        from segmentation_models_pytorch.base import SegmentationHead
        from segmentation_models_pytorch.decoders.unetplusplus.decoder import CenterBlock, UnetPlusPlusDecoder

        channels = (1, *features)
        # Its `CenterBlock` is two of its convolutions, each with batch normalization and ReLU.
        self.encoder = nn.ModuleList(CenterBlock(*pair) for pair in zip(channels[:-1], features, strict=True))
        widths = (*reversed(features[:-1]), features[0])
        self.decoder: Any = UnetPlusPlusDecoder(channels, widths, n_blocks=len(features))
        self.decoder.blocks[f"x_0_{len(features) - 1}"] = nn.Identity()
        self.head = SegmentationHead(features[0], 2)

    def forward(self, image: Tensor) -> Tensor:
        """(B,1,H,W) -> logits (B,2,H,W)."""
        maps = [image]
        for level, block in enumerate(self.encoder):
            maps.append(block(nn.functional.max_pool2d(maps[-1], 2) if level else image))
        logits: Tensor = self.head(self.decoder(maps))
        return logits


def as_shipped() -> nn.Module:
    """UNet++ as segmentation_models_pytorch makes it unless told otherwise, a ResNet-34 as encoder; random weights."""
    from segmentation_models_pytorch import UnetPlusPlus

    network: nn.Module = UnetPlusPlus(encoder_weights=None, in_channels=1, classes=2)
    return network
