"""What a network is built from; part of a model's configuration (config.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ClamSegLib.system.errors import InputError

NETWORKS = ("unetplusplus",)


def require(condition: bool, message: str) -> None:
    """Refuses a value of a configuration.

    Raises:
        InputError: the condition does not hold.
    """
    if not condition:
        raise InputError(message)


@dataclass(frozen=True)
class NetworkConfig:
    """A twin of UNet++ networks (docs/explanation.md).

    Attributes:
        kind: 'unetplusplus'.
        features: channels of the backbone per level, shallow to deep; depth = len(features) - 1.
        kernel_sizes: odd kernel size of the convolutions per level, same length as features.
        repeat_levels: levels whose backbone node is followed by a second block of the same map size.
        in_channels: channels of the image.
        classes: background and conditions, at least 2.
        branches: networks trained together; 2 for the twin, 1 for an organ network.
    """

    features: tuple[int, ...] = (16, 32, 64, 128, 256)
    kernel_sizes: tuple[int, ...] = (3, 3, 3, 5, 5)
    repeat_levels: tuple[int, ...] = ()
    in_channels: int = 1
    classes: int = 2
    branches: int = field(default=2, metadata={"formerly": "shells"})
    kind: str = "unetplusplus"

    def __post_init__(self) -> None:
        depth = len(self.features) - 1
        require(self.kind in NETWORKS, f"network kind '{self.kind}' must be one of {', '.join(NETWORKS)}.")
        require(depth >= 1, f"features {self.features} gives no level; name at least two numbers.")
        require(all(1 <= f <= 4096 for f in self.features), f"features {self.features} must lie in 1..4096.")
        require(
            len(self.kernel_sizes) == len(self.features)
            and all(k % 2 == 1 and 1 <= k <= 15 for k in self.kernel_sizes),
            f"kernel_sizes {self.kernel_sizes} must be {len(self.features)} odd numbers up to 15, one per level.",
        )
        repeats = self.repeat_levels
        require(all(0 <= i <= depth for i in repeats), f"repeat_levels {repeats} must lie in 0..{depth}.")
        require(2 <= self.classes <= 64, f"classes {self.classes} must be 2 to 64: background and conditions.")
        require(
            self.branches in (1, 2) and self.in_channels >= 1, "branches must be 1 or 2 and in_channels at least 1."
        )

    @property
    def depth(self) -> int:
        """How often the image is halved."""
        return len(self.features) - 1

    @property
    def heads(self) -> int:
        """Number of heads; they are levels 1..heads, as many as the UNet++ is deep."""
        return self.depth
