"""Model folders: config.json, weights.safetensors, card.md, run.json, some normative.safetensors; loading executes no code and trusts nothing.

A model is only loaded when its format version is known, its SHA-256 is the one the configuration names and
its tensors have exactly the names and shapes that the configuration's network has.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ClamSegLib.model.config import FORMAT_VERSION, ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.model.described_model import DescribedModel, describe_model
from ClamSegLib.model.licence import LICENCE_TEXT
from ClamSegLib.model.model_folder import (
    CARD,
    CONFIG,
    MODEL,
    NORMATIVE,
    RUN,
    WEIGHTS,
    sha256_of,
)
from ClamSegLib.model.normative_map import NormativeMap
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.atomic_output import put_back, whole_file, whole_folder
from ClamSegLib.system.errors import InputError


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: its configuration, the network in evaluation mode on the CPU, and its folder.

    `warnings` say what of an older configuration is no longer followed. `engines` keeps what was built of it for the
    next case. `normative` is the map of normal tissue that the network's input is made with, where it has one.
    """

    config: ModelConfig
    twin: TwinUNet
    folder: Path
    warnings: tuple[str, ...] = ()
    engines: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    normative: NormativeMap | None = field(default=None, compare=False, repr=False)


def _empty_network(path: Path, config: ModelConfig) -> TwinUNet:
    """The network without memory, once names and shapes in the file's header are known to be its own."""
    from safetensors import SafetensorError, safe_open

    with torch.device("meta"):
        twin = TwinUNet(config.network)
    expected = {name: tuple(tensor.shape) for name, tensor in twin.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {_name_today(name): tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable safetensors file ({error}); copy the model again.") from error
    if found != expected:
        names = sorted(set(found.items()) ^ set(expected.items()))[:2]
        raise InputError(f"{path} does not hold the weights of the network in {CONFIG} (differs at {names}).")
    return twin


def _name_today(name: str) -> str:
    """The name of a tensor, also in files of format version 1, which call the branches shells."""
    return f"branches.{name.removeprefix('shells.')}" if name.startswith("shells.") else name


def load_model(folder: Path) -> LoadedModel:
    """Loads a model folder.

    Raises:
        InputError: anything missing, damaged, of a newer format, or not what the configuration says.
        LicenceError: it is for non-commercial use only, which nobody has confirmed yet.
    """
    from safetensors.torch import load_file

    model = describe_model(Path(folder))
    config, path = model.config, model.weights
    twin = _empty_network(path, config)
    state = load_file(path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise InputError(f"{path} holds values that are not finite; the model is damaged.")
    # The tensors of the file become the network's own: nothing is drawn or copied that would be thrown away.
    twin.load_state_dict({_name_today(name): _as_trained(tensor) for name, tensor in state.items()}, assign=True)
    return LoadedModel(config, twin.eval(), model.folder, model.warnings, normative=_normative_map(model))


def _normative_map(model: DescribedModel) -> NormativeMap | None:
    config = model.config
    if config.normative is None or model.normative is None:
        return None
    return NormativeMap.load(model.normative, config.normative, config.organ.symmetric)


def _as_trained(tensor: torch.Tensor) -> torch.Tensor:
    """Numbers as networks compute with them; counters stay whole."""
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def _half(tensor: torch.Tensor) -> torch.Tensor:
    # Running variances of wide layers can leave the range of float16; such a tensor stays float32.
    if not tensor.is_floating_point() or tensor.numel() == 0 or tensor.abs().max() > 6e4:
        return tensor
    return tensor.half()


def save_model(
    folder: Path,
    config: ModelConfig,
    state_dict: dict[str, torch.Tensor],
    card: str,
    run: dict[str, Any],
    half: bool = True,
    normative: NormativeMap | None = None,
    licence: str | None = None,
) -> ModelConfig:
    """Writes a model folder: where there is a model already, all files at once, else config.json last.

    A killed save, or a full disk, leaves the model that was there, or none.

    Args:
        folder: created if needed; model files in it are replaced, all others stay.
        state_dict: of the TwinUNet of `config.network`.
        card: Markdown; data, licence, figures, limits.
        run: versions, seed, command, hashes; written as run.json.
        half: store float16.
        normative: the map of normal tissue, for configurations with `normative`.
        licence: text of the licence, written beside the weights.

    Returns:
        The configuration as written, with the hash of the weights.

    Raises:
        OutputError: not writable, disk full.
    """
    folder = Path(folder)
    tensors = {name: (_half(t) if half else t).detach().cpu().contiguous().clone() for name, t in state_dict.items()}
    put_back(folder.parent)
    if not MODEL.is_at(folder):
        return _write_files(folder, config, tensors, card, run, normative, licence)
    with whole_folder(folder, MODEL, overwrite=True) as part:
        return _write_files(part, config, tensors, card, run, normative, licence)


def _write_files(
    folder: Path,
    config: ModelConfig,
    tensors: dict[str, torch.Tensor],
    card: str,
    run: dict[str, Any],
    normative: NormativeMap | None,
    licence: str | None,
) -> ModelConfig:
    """The files of a model, config.json last: without it there is no model."""
    from safetensors.torch import save

    with whole_file(folder / WEIGHTS) as path:
        path.write_bytes(save(tensors))  # save_file would let nobody but its owner read the model
    config = replace(config, weights_sha256=sha256_of(folder / WEIGHTS), format_version=FORMAT_VERSION)
    if normative is not None and config.normative is not None:
        normative.save(folder / NORMATIVE)
        config = replace(config, normative=replace(config.normative, sha256=sha256_of(folder / NORMATIVE)))
    if licence is not None:
        config = replace(config, licence_file=config.licence_file or LICENCE_TEXT)
        with whole_file(folder / config.licence_file) as path:
            path.write_text(licence, encoding="utf-8")
    with whole_file(folder / CARD) as path:
        path.write_text(card, encoding="utf-8")
    with whole_file(folder / RUN) as path:
        path.write_text(json.dumps(run, indent=1, default=str), encoding="utf-8")
    with whole_file(folder / CONFIG) as path:
        path.write_text(json.dumps(to_json(config), indent=1), encoding="utf-8")
    return config


def parameter_count(config: ModelConfig) -> int:
    """Number of parameters of the network of `config`, both branches."""
    with torch.device("meta"):
        return sum(math.prod(p.shape) for p in TwinUNet(config.network).parameters())
