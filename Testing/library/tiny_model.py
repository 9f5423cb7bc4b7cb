"""A model folder small enough for tests of everything around the network; its weights are the initial ones."""

from pathlib import Path

import numpy as np

from ClamSegLib.model.checkpoint import save_model
from ClamSegLib.model.config import Condition, IntensityConfig, ModelConfig, NetworkConfig, OrganConfig
from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.model.normative_map import NormativeMap
from ClamSegLib.model.twin import TwinUNet


def tiny_model(folder: Path, modality: str = "MR", intensity: IntensityConfig | None = None) -> Path:
    """Writes a two-level twin for 32 x 32 crops of the whole image; CT models take HU through a lung window."""
    if intensity is None:
        intensity = IntensityConfig("window_hu", -1000.0, 400.0) if modality == "CT" else IntensityConfig()
    network = NetworkConfig(features=(4, 8, 8), kernel_sizes=(3, 3, 3))
    config = ModelConfig(
        name=folder.name,
        modality=modality,
        image_size=32,
        network=network,
        intensity=intensity,
        organ=OrganConfig("whole", "whole image"),
        conditions=(Condition("lesion"),),
        odds_normal=(((1.0,), (1.0,)), ((1.0,), (1.0,))),
        licence="Apache-2.0",
    )
    save_model(folder, config, TwinUNet(network, seed=3).state_dict(), "# tiny\n", {"seed": 3})
    return folder


def tiny_normative_model(folder: Path, modality: str = "MR", *, slice_smoothing: bool = False) -> Path:
    """The same with a map of normal tissue (smooth random fields) and a calibration instead of odds of normal tissue."""
    rng, normative = np.random.default_rng(5), NormativeConfig(size=16, nodes=3)
    network = NetworkConfig(features=(4, 8, 8), kernel_sizes=(3, 3, 3), in_channels=3)
    config = ModelConfig(
        name=folder.name,
        modality=modality,
        image_size=32,
        network=network,
        intensity=IntensityConfig("window_hu", -1000.0, 400.0) if modality == "CT" else IntensityConfig(),
        organ=OrganConfig("whole", "whole image"),
        conditions=(Condition("lesion"),),
        normative=normative,
        calibration=((0.1, 1.5),),
        slice_smoothing=slice_smoothing,
        licence="Apache-2.0",
    )
    mean, spread = (rng.normal(m, 0.2, (3, 16, 16)).astype(np.float16) for m in (0.0, 1.0))
    known = NormativeMap(mean, spread, normative, config.organ.symmetric)
    save_model(folder, config, TwinUNet(network, seed=3).state_dict(), "# tiny\n", {"seed": 3}, normative=known)
    return folder
