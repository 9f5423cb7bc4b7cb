"""What the depth of a network costs and gives: a study's Dice at every level beside the time of its network here."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from ClamSegLib.engines.choose import DEFAULT_BATCH
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.engines.torch_folded import TorchEngine
from ClamSegLib.experiments.speed_side_by_side import Work, rounds, spread
from ClamSegLib.experiments.study import finished_rows
from ClamSegLib.experiments.study_file import Study, read_study
from ClamSegLib.model.config import ModelConfig, NetworkConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.device import clock_of
from ClamSegLib.system.errors import InputError


def levels_of_study(file: Path, repetitions: int) -> dict[str, Any]:
    """Dice, false alarms and speed of every level that the study has judged.

    Args:
        file: of the study; its finished rows lie in the folder of its name beside it.
        repetitions: rounds of timing.

    Raises:
        InputError: no finished row is judged by others at another level.
    """
    study = read_study(file)
    judged = _judged(study, file.with_suffix(""))
    network = _network(study)
    depth = network.heads
    rows = {depth if row["level"] is None else int(row["level"]): row for row in judged}
    if depth not in rows or len(rows) < 2:
        raise InputError(
            f"{file} has no finished row whose model others judge pruned to a level; run such rows first (in lgg-64: "
            "'recipe', 'level-1', 'level-2')."
        )
    seconds = _seconds(network, study.base.model.get("image_size", 256), sorted(rows), repetitions)
    return {
        "study": study.name,
        "judged_on": rows[depth]["judged_on"],
        "clock": clock_of("cpu")[0],
        "levels": {
            str(level): {
                **{key: rows[level]["figures"][key] for key in ("dice", "volume_dice", "false_positive_area")},
                "slices_per_second": spread([DEFAULT_BATCH / s for s in seconds[level]]),
                "times_as_fast": spread([a / b for a, b in zip(seconds[depth], seconds[level], strict=True)]),
            }
            for level in sorted(rows)
        },
    }


def _judged(study: Study, folder: Path) -> list[dict[str, Any]]:
    """The first finished row that others judge at another level and in no other way, and those others."""
    found = finished_rows(folder, study.rows)
    same = ("judged_on", "refined", "head_weights")
    for own in found:
        others = [
            row
            for row in found
            if row["of"] == own["name"] and row["level"] is not None and all(row[key] == own[key] for key in same)
        ]
        if others:
            return [own, *others]
    return []


def _network(study: Study) -> NetworkConfig:
    given = dict(study.base.model.get("network", {}))
    features = tuple(given.get("features", NetworkConfig().features))
    kernels = tuple(given.get("kernel_sizes", [3 if level < 3 else 5 for level in range(len(features))]))
    return NetworkConfig(features=features, kernel_sizes=kernels, branches=int(given.get("branches", 2)))


def _seconds(network: NetworkConfig, side: int, levels: list[int], repetitions: int) -> dict[int, list[float]]:
    """Seconds of a batch of slices at each level, folded, float32, in every round."""
    odds = tuple(tuple((1.0,) for _ in range(network.heads)) for _ in range(network.branches))
    config = ModelConfig("levels", image_size=side, network=network, odds_normal=odds)
    twin = TwinUNet(network, seed=0).eval()
    image = torch.randn(DEFAULT_BATCH, network.in_channels, side, side).numpy()
    choice = EngineChoice("torch", "float32", torch.get_num_threads(), DEFAULT_BATCH)
    engines = {level: TorchEngine(twin.pruned(level), config, choice, torch.device("cpu")) for level in levels}
    works: dict[str, Work] = {str(level): partial(engine.run, image) for level, engine in engines.items()}
    return {int(name): found for name, found in rounds(works, repetitions, clock=clock_of("cpu")[1]).items()}


def levels_table(found: dict[str, Any]) -> str:
    """As Markdown."""
    lines = [
        f"| level, {found['study']}, {found['clock']} | Dice | false alarms | slices a second | times as fast |",
        "|---|---|---|---|---|",
    ]
    for level, row in found["levels"].items():
        low, high = row["dice"]["interval_95"]
        rate, times = row["slices_per_second"], row["times_as_fast"]
        lines.append(
            f"| {level} | {row['dice']['value']:.3f} ({low:.3f} to {high:.3f}) | {row['false_positive_area']['value']:.3f} "
            f"| {rate['median']:.0f} ({rate['min']:.0f} to {rate['max']:.0f}) "
            f"| {times['median']:.2f} ({times['min']:.2f} to {times['max']:.2f}) |"
        )
    return "\n".join(lines) + "\n"
