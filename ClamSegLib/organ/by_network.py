"""The organ by a network of our own, slice by slice: any model made by `train --task organ`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.organ.lungs_xray import doubt_of_outline
from ClamSegLib.organ.picture_frame import within_frame
from ClamSegLib.system.errors import InputError

_BATCH = 8
_DOUBTFUL = 0.5
_SMALLEST_SHARE, _LARGEST_SHARE = 0.04, 0.75


def find_by_network(name: str, volume: Volume, device: str) -> tuple[Array, float, str]:
    """The organ of a canonical volume by the organ model `name`.

    Returns:
        mask (slice, row, column) bool, quality 0..1, and what is wrong ('' when nothing is). A model that is not
        installed gives an empty mask and says so: the organ step falls back.
    """
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.model.registry import find_model

    try:
        model = load_model(find_model(name))
    except InputError as error:
        return np.zeros(volume.array.shape, bool), 0.0, f"the organ model cannot be used: {str(error).rstrip('.')}"
    if model.config.task != "organ":
        raise InputError(f"Model '{name}' outlines lesions, not an organ; choose an organ model with `models`.")
    probability = _probability(model.twin, model.config, volume, device)
    mask = np.stack([_plausible_parts(p >= 0.5) for p in probability])
    quality, problem = _judge(mask, probability)
    doubt = doubt_of_outline(mask, model.config) if quality else ""
    return mask, min(quality, _DOUBTFUL) if doubt else quality, doubt or problem


def _probability(twin: object, config: ModelConfig, volume: Volume, device: str) -> NDArray[np.float32]:
    """Softmax of the organ (slice, row, column)."""
    import torch

    from ClamSegLib.model.twin import TwinUNet, decode
    from ClamSegLib.organ.crop_and_normalise import prepare

    assert isinstance(twin, TwinUNet)
    preparation = prepare(volume, within_frame(volume), config)
    twin = twin.to(device)
    pasted = np.empty(volume.array.shape, np.float32)
    for start in range(0, preparation.n_slices, _BATCH):
        indices = np.arange(start, min(start + _BATCH, preparation.n_slices))
        with torch.inference_mode():
            maps, _ = decode(twin(torch.from_numpy(preparation.network_input(indices)).to(device)), config)
        pasted[indices] = preparation.paste(maps.amax(1).cpu().numpy())
    return pasted


def _plausible_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The two largest parts of a slice, the second only when of a size with the first, holes filled."""
    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        order = np.argsort(sizes)[::-1][:2]
        mask = np.isin(labels, [n for n in order if sizes[n] >= 0.15 * sizes[order[0]]])
    return np.asarray(ndimage.binary_fill_holes(mask))


def _judge(mask: NDArray[np.bool_], probability: NDArray[np.float32]) -> tuple[float, str]:
    """Quality: certainty of the network inside its own mask, 0 where the size is impossible."""
    share = float(mask.mean())
    if not _SMALLEST_SHARE <= share <= _LARGEST_SHARE:
        return 0.0, f"the organ network marks {share:.0%} of the image, which no organ fills"
    certainty = float(probability[mask].mean())
    return certainty, "" if certainty > 0.8 else "the organ network is unsure"
