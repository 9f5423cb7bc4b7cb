"""Superpixels of a crop: about seventy regions that follow the image, the pieces mosaics are made of (SLIC)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REGIONS_PER_SIDE = 8.4  # about 70 regions
_PROXIMITY_WEIGHT = 0.5
_ITERATIONS = 5
_MOST_REGIONS = 255


def superpixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Region numbers 0..254 of a crop.

    Args:
        image: (S,S) normalised crop; its own spread sets the weight of values against distances.

    Returns:
        (S,S) uint8.
    """
    import SimpleITK as sitk

    size = image.shape[-1]
    scaled = np.ascontiguousarray((image - image.mean()) / max(float(image.std()), 1e-6), dtype=np.float32)
    grid = max(4, round(size / REGIONS_PER_SIDE))
    labels = sitk.SLIC(
        sitk.GetImageFromArray(scaled),
        superGridSize=[grid, grid],
        spatialProximityWeight=_PROXIMITY_WEIGHT,
        maximumNumberOfIterations=_ITERATIONS,
        enforceConnectivity=True,
        initializationPerturbation=True,
    )
    numbers = sitk.GetArrayFromImage(labels)
    _, dense = np.unique(numbers, return_inverse=True)
    # SLIC may split a few more; sharing a number only lets two far regions move together.
    return (dense.reshape(numbers.shape) % _MOST_REGIONS).astype(np.uint8)
