"""The twin: two identical UNet++ branches, and how their logits become a lesion probability without masks.

Decoding (docs/explanation.md): o = p_c / p_0 are the odds of condition c against background, o_N their median on
normal tissue; lesion posterior P_L = max(0, 1 - o_N / o). Heads are combined by the weighted mean of their
log odds ratios, branches by the mean of their posteriors; the branches' difference is the disagreement.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.unetplusplus import UNetPlusPlus
from ClamSegLib.system.errors import InputError

# exp of larger log ratios is 1 in float32 anyway
_LARGEST_LOG_RATIO = 60.0


class TwinUNet(nn.Module):
    """Branches of the same architecture with their own initialisation.

    Args:
        network: architecture and number of branches.
        seed: decides the initial weights of every branch; the global random state stays untouched.
        level: build pruned branches of this level; None builds all nodes.
    """

    def __init__(self, network: NetworkConfig, seed: int = 0, level: int | None = None) -> None:
        super().__init__()
        self.network = network
        branches = []
        with torch.random.fork_rng(devices=[]):
            for number in range(network.branches):
                torch.manual_seed(seed * 7919 + number)
                branches.append(UNetPlusPlus(network, level))
        self.branches = nn.ModuleList(branches)

    def forward(self, image: Tensor, level: int | None = None) -> list[list[Tensor]]:
        """Per branch the logits (B,classes,H,W) of the heads, deepest first; image (B,1,H,W)."""
        return [branch(image, level) for branch in self.branches]

    def pruned(self, level: int) -> TwinUNet:
        """A copy that holds only the nodes `level` needs."""
        smaller = TwinUNet(self.network, level=level)
        smaller.branches = nn.ModuleList([branch.pruned(level) for branch in self.branches])  # type: ignore[operator]
        return smaller.train(self.training)


def log_odds_ratio(logits: Sequence[Tensor], odds_normal: Tensor, head_weights: Tensor) -> Tensor:
    """log o / o_N of one branch, the weighted mean of its heads.

    Args:
        logits: (B, 1 + K, H, W) per head, deepest first, heads L..1.
        odds_normal: (depth, K), level 1 first.
        head_weights: (depth,), level 1 first; the weights of the heads present are made to sum to 1.

    Returns:
        (B, K, H, W) float32.
    """
    present = len(logits)
    weights = head_weights[:present].float()
    weights = weights / weights.sum()
    log_ratio: Tensor | None = None
    for level, head in zip(range(present, 0, -1), logits, strict=True):
        head = head.float()  # noqa: PLW2901
        log_odds = head[:, 1:] - head[:, :1]
        log_normal = odds_normal[level - 1].float().clamp_min(1e-30).log()[None, :, None, None]
        part = weights[level - 1] * (log_odds - log_normal)
        log_ratio = part if log_ratio is None else log_ratio + part
    if log_ratio is None:
        raise ValueError("no logits given")
    return log_ratio


def lesion_posterior(logits: Sequence[Tensor], odds_normal: Tensor, head_weights: Tensor) -> Tensor:
    """P_L (B, K, H, W) float32 in 0..1 of one branch; arguments as for `log_odds_ratio`."""
    log_ratio = log_odds_ratio(logits, odds_normal, head_weights)
    return -torch.expm1(-log_ratio.clamp(0.0, _LARGEST_LOG_RATIO))


def mean_log_odds(logits: Sequence[Tensor], head_weights: Tensor) -> Tensor:
    """Log odds condition : background (B, K, H, W) of one branch, the weighted mean of its heads; arguments as above."""
    some = torch.full((len(logits), 1), 1.0, device=logits[0].device)
    return log_odds_ratio(logits, some, head_weights)


def decode(twin_logits: Sequence[Sequence[Tensor]], config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Probability and disagreement of the twin.

    Args:
        twin_logits: per branch, per head (deepest first) the logits (B, 1 + K, H, W).
        config: of the model; lesion models need `odds_normal`.

    Returns:
        probability (B, K, H, W), mean over the branches of P_L (organ task: of the softmax of the deepest head
        present; calibrated models: sigmoid of the branches' mean log odds), and disagreement (B, K, H, W) = |A - B|,
        0 for one branch; float32 in 0..1.
    """
    if config.task == "organ":
        maps = [heads[0].float().softmax(1)[:, 1:] for heads in twin_logits]
    elif config.calibration:
        return _calibrated(twin_logits, config)
    else:
        device = twin_logits[0][0].device
        odds = torch.tensor(config.odds_normal, dtype=torch.float32, device=device)
        if odds.numel() == 0:
            raise InputError(
                f"Model '{config.name}' has no odds_normal in its config.json, without which its outputs mean nothing; "
                "copy the model again."
            )
        weights = torch.tensor(config.head_weights or (1.0,) * config.network.heads, device=device)
        maps = [lesion_posterior(heads, odds[n], weights) for n, heads in enumerate(twin_logits)]
    if len(maps) == 1:
        return maps[0], torch.zeros_like(maps[0])
    return (maps[0] + maps[1]) / 2, (maps[0] - maps[1]).abs()


def _calibrated(twin_logits: Sequence[Sequence[Tensor]], config: ModelConfig) -> tuple[Tensor, Tensor]:
    """As `decode`, for a model whose config.json holds shift and scale of the log odds."""
    device = twin_logits[0][0].device
    weights = torch.tensor(config.head_weights or (1.0,) * config.network.heads, device=device)
    fitted = torch.tensor(config.calibration, dtype=torch.float32, device=device)
    shift, scale = fitted[None, :, 0, None, None], fitted[None, :, 1, None, None]
    odds = [scale * (mean_log_odds(heads, weights) - shift) for heads in twin_logits]
    if len(odds) == 1:
        return odds[0].sigmoid(), torch.zeros_like(odds[0])
    return ((odds[0] + odds[1]) / 2).sigmoid(), (odds[0].sigmoid() - odds[1].sigmoid()).abs()
