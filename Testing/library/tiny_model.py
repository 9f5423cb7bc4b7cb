"""A model folder small enough for tests of everything around the network; its weights are the initial ones."""

from pathlib import Path

from ClamSegLib.model.checkpoint import save_model
from ClamSegLib.model.config import Condition, IntensityConfig, ModelConfig, NetworkConfig, OrganConfig
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
