"""Masks that were found on a coarse grid come back to the pixels that they stand for."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from ClamSegLib.organ import morphology

EDGES = (lambda share: share > 0.25, lambda share: share >= 0.5, lambda share: share >= 0.75)


@pytest.mark.parametrize("steps", [(1, 1), (2, 3), (4, 4), (5, 7), (6, 1)])
def test_a_coarse_mask_is_enlarged_as_torch_does(steps):
    for seed, shape in enumerate([(1, 1), (2, 9), (61, 47)]):
        mask = (np.random.default_rng(seed).random(shape) < 0.5).astype(np.float32)
        size = [n * step for n, step in zip(shape, steps, strict=True)]
        expected = interpolate(torch.from_numpy(mask)[None, None], size=size, mode="bilinear", align_corners=False)
        found, expected = (
            morphology._enlarged(mask, steps).astype(np.float16),
            expected[0, 0].numpy().astype(np.float16),
        )
        np.testing.assert_allclose(found, expected, atol=1e-3)
        for edge in EDGES:
            np.testing.assert_array_equal(edge(found), edge(expected))
